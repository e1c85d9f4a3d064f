//! ANSI colours.

/// The role of a piece of text, which determines its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Ordinary text.
    Plain,
    /// Headings.
    Strong,
    /// Less important text.
    Faint,
    /// Errors.
    Error,
    /// Warnings.
    Warning,
    /// The service with this index in the trace.
    Service(usize),
}

/// Colours of services, as SGR parameters of escape sequences. They are legible on dark and light backgrounds. Red is
/// reserved for errors.
const SERVICES: [u8; 6] = [36, 33, 35, 32, 34, 96];

/// Colours text. If `colour` is false, returns the text unchanged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) colour: bool,
}

impl Style {
    pub(crate) fn paint(self, text: &str, paint: Paint) -> String {
        let code = match paint {
            _ if !self.colour || text.is_empty() => return text.to_owned(),
            Paint::Plain => return text.to_owned(),
            Paint::Strong => 1,
            Paint::Faint => 2,
            Paint::Error => 31,
            Paint::Warning => 33,
            Paint::Service(index) => SERVICES[index % SERVICES.len()],
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
