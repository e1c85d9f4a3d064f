//! The maximum length of a text from outside, such as a URL, in an attribute.

/// The maximum length of such a text, in bytes. Usual URLs and user agents are shorter.
pub(crate) const MAX: usize = 1024;

/// The first [`MAX`] bytes of `text`, without a partial character at the end.
pub(crate) fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX)]
}
