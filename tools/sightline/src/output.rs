//! The one place that prints.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

/// Prints a line on standard output. A reader that has gone away (`sightline trace … | head`) is no error.
pub fn line(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints text that ends its own lines.
pub fn block(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// Prints a line on standard error: progress, warnings, errors.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether standard output may be coloured: a terminal, and nobody said no (<https://no-color.org>).
#[must_use]
pub fn colour() -> bool {
    io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Columns of the terminal on standard output; where there is none, `COLUMNS` or 100.
#[must_use]
pub fn width() -> usize {
    let terminal = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let variable = || std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    terminal.filter(|&columns| columns > 0).or_else(variable).unwrap_or(100)
}
