//! Text that comes from outside, on its way into an attribute.

/// The most bytes of one text a span keeps: long enough for an honest URL or user agent.
pub(crate) const MAX: usize = 1024;

/// The part of `text` that is kept, whole characters only.
pub(crate) fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX)]
}
