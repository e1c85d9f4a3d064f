//! The one place that prints.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

/// Prints a line on standard output. A reader that has gone away (`sightline trace … | head`) is no error.
pub fn line(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
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
