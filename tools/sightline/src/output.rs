//! Output to the terminal. All other modules print through these functions.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

/// Prints a line to standard output.
///
/// Ignores write errors, because the reader may close the pipe early, as in `sightline trace … | head`.
pub fn println(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints text without adding a newline. Ignores write errors, as [`println`] does.
pub fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Prints a line to standard error. This function is used for progress, warnings and errors.
pub fn eprintln(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Returns whether to colour standard output: `true` if standard output is a terminal, and neither
/// `NO_COLOR` (<https://no-color.org>) nor `TERM=dumb` is set.
#[must_use]
pub fn use_colour() -> bool {
    io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Returns the width of the terminal in columns. If standard output is not a terminal, returns the value
/// of the environment variable `COLUMNS`, or 100 if `COLUMNS` is not set.
#[must_use]
pub fn terminal_width() -> usize {
    let terminal = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let variable = || std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    terminal.filter(|&columns| columns > 0).or_else(variable).unwrap_or(100)
}
