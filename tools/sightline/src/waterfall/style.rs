//! Colour, where it is wanted.

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// As it is.
    Plain,
    /// Headings.
    Strong,
    /// What one reads second.
    Faint,
    /// Errors.
    Error,
    /// The n-th service of the trace.
    Service(usize),
}

/// Foreground colours that can be told apart on dark and light, without red, which is for errors.
const SERVICES: [u8; 6] = [36, 33, 35, 32, 34, 96];

#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) colour: bool,
}

impl Style {
    pub(super) fn paint(self, text: &str, paint: Paint) -> String {
        let code = match paint {
            _ if !self.colour || text.is_empty() => return text.to_owned(),
            Paint::Plain => return text.to_owned(),
            Paint::Strong => 1,
            Paint::Faint => 2,
            Paint::Error => 31,
            Paint::Service(index) => SERVICES[index % SERVICES.len()],
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
