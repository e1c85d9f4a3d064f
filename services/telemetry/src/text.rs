//! Limits and redacts attribute values that come from outside this process, such as URLs.

/// The text that replaces a secret, as the semantic conventions define it.
pub(crate) const REDACTED: &str = "REDACTED";

/// The maximum length of such a value, in bytes. Typical URLs and user agents are shorter.
pub(crate) const MAX: usize = 1024;

/// The first [`MAX`] bytes of `text`, without a partial character at the end.
pub(crate) fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX)]
}
