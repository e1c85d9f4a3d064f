//! Output to the terminal. All other modules print through these functions.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

/// Prints a line to standard output.
///
/// Ignores write errors, because the reader may close the pipe early, as in `sightline trace … | head`.
pub fn println(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints a line to standard output. Returns whether the reader still reads. A command that prints until it is stopped
/// ends when the reader has closed the pipe.
#[must_use]
pub fn try_println(text: impl Display) -> bool {
    !matches!(writeln!(io::stdout(), "{text}"), Err(error) if error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints text without adding a newline. Ignores write errors, as [`println`] does.
pub fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Prints lines in the place of the lines that the last call printed, from the top of the terminal. Lines that do not
/// fit into the height of the terminal are left out, and the last line says how many.
pub fn redraw(lines: &[String]) {
    let height = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    // The cursor stays in the last row of the terminal, so the text does not scroll.
    let room = if height < 2 { usize::MAX } else { height - 1 };
    let mut text = String::from("\x1b[H");
    let shown = if lines.len() > room { &lines[..room - 1] } else { lines };
    for line in shown {
        text.push_str(line);
        // The rest of the row may have text of the last call.
        text.push_str("\x1b[K\r\n");
    }
    if shown.len() < lines.len() {
        let more = format!("… {} more lines: the terminal is too low\x1b[K\r\n", lines.len() - shown.len());
        text.push_str(&more);
    }
    text.push_str("\x1b[J");
    let mut stdout = io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Returns whether standard output is a terminal that understands escape sequences.
#[must_use]
pub fn can_redraw() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
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
