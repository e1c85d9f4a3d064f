//! Text for a terminal: escaping, width and alignment.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// Replaces control characters with visible escape sequences.
///
/// Any process that sends spans chooses their names and attributes. An escape sequence in a name could rewrite the
/// screen, and a bidirectional override could make a name look like a different one.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            c if is_unsafe(c) => {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Returns the number of terminal columns that the text takes.
///
/// This is the sum of the widths of its characters. The widths are those that wcwidth(3) defines and that most
/// terminals use. A sequence of characters that some terminals join into one, such as a family emoji, therefore counts
/// as several characters.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Returns the width of a character according to Unicode Standard Annex #11.
fn char_width(c: char) -> usize {
    // A control character has no width; it counts as one column until it is escaped.
    c.width().unwrap_or(1)
}

/// Returns the text in exactly this many columns. A short text is padded. A long text is shortened in the middle,
/// because the start and the end of a name are the most informative (`sightline.…/Reserve`).
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    let text_width = width(text);
    if text_width <= columns {
        return format!("{text}{}", " ".repeat(columns - text_width));
    }
    if columns == 0 {
        return String::new();
    }
    let tail_columns = (columns - 1) / 2;
    let head = take_columns(text.chars(), columns - 1 - tail_columns);
    let tail: String = take_columns(text.chars().rev(), tail_columns).chars().rev().collect();
    let short = format!("{head}…{tail}");
    // A wide character that does not fit leaves a column free, which is filled with a space.
    let padding = columns - width(&short);
    short + &" ".repeat(padding)
}

/// Returns the first characters: as many as fit into this number of columns.
fn take_columns(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += char_width(*c);
            used <= columns
        })
        .collect()
}

/// Returns the text in lines of at most this many columns, which break at spaces where that is possible. If there are
/// more than `max_lines` lines, the last one ends with `…`. Spaces at a break are removed.
#[must_use]
pub fn wrap(text: &str, columns: usize, max_lines: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut lines = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let head = take_columns(rest.chars(), columns);
        if head.len() == rest.len() {
            lines.push(head);
            break;
        }
        if lines.len() + 1 == max_lines {
            lines.push(format!("{}…", take_columns(rest.chars(), columns - 1).trim_end()));
            break;
        }
        // A break at a space that leaves most of the line empty, as before a long URL, would be harder to read.
        let at_space = rest[head.len()..].starts_with(' ').then_some(head.len());
        let end = at_space.or_else(|| head.rfind(' ').filter(|&end| width(&head[..end]) * 2 > columns));
        let end = end.unwrap_or(head.len());
        lines.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    lines
}

/// Formats a duration in nanoseconds, in at most eight columns.
#[must_use]
pub fn duration(nanoseconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns")];
    let seconds = nanoseconds / 1_000_000_000;
    if seconds >= 360_000 {
        return format!("{} d", seconds / 86_400);
    }
    if seconds >= 3600 {
        return format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
    }
    if seconds >= 100 {
        return format!("{}m{:02}s", seconds / 60, seconds % 60);
    }
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| nanoseconds >= *unit).unwrap_or((1, "ns"));
    // Show three digits. Truncate instead of rounding, so that 999.9 ms is not shown as 1000 ms.
    let (whole, thousandths) = (nanoseconds / unit, nanoseconds % unit * 1000 / unit);
    match whole {
        _ if unit == 1 => format!("{whole} {name}"),
        0..10 => format!("{whole}.{:02} {name}", thousandths / 10),
        10..100 => format!("{whole}.{} {name}", thousandths / 100),
        _ => format!("{whole} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_control_characters() {
        assert_eq!(escape("GET /users/{id} ünd 用户"), "GET /users/{id} ünd 用户");
        assert_eq!(escape("a\x1b[2Jb\nc\u{9b}"), "a\\u{1b}[2Jb\\nc\\u{9b}");
        assert_eq!(escape("\u{202e}gnp.exe\x7f"), "\\u{202e}gnp.exe\\u{7f}");
    }

    #[test]
    fn counts_terminal_columns() {
        for (text, columns) in [("ab", 2), ("e\u{301}", 1), ("用户", 4), ("🦀", 2), ("└ … ✗ █ µ", 9)]
        {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn fits_text_into_a_column() {
        assert_eq!(fit("abc", 5), "abc  ");
        assert_eq!(fit("abcdefgh", 5), "ab…gh");
        assert_eq!(fit("sightline.inventory.v1.Inventory/Reserve", 20), "sightline.…y/Reserve");
        for columns in 0..12 {
            for text in ["用户服务的名字很长", "e\u{301}e\u{301}e\u{301}", "plain and long text"] {
                assert_eq!(width(&fit(text, columns)), columns, "{text} in {columns}");
            }
        }
    }

    #[test]
    fn wraps_at_spaces() {
        assert_eq!(wrap("the request has failed", 11, 9), ["the request", "has failed"]);
        assert_eq!(wrap("  short ", 11, 9), ["short"]);
        assert_eq!(wrap("see https://example.org/a/b", 12, 9), ["see https://", "example.org/", "a/b"]);
        assert_eq!(wrap("one two three four", 9, 2), ["one two", "three fo…"]);
        assert_eq!(wrap("用户用户", 3, 9), ["用", "户", "用", "户"]);
        assert_eq!(wrap("", 9, 9), [""; 0]);
    }

    #[test]
    fn formats_durations_with_three_digits() {
        for (nanoseconds, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_345, "12.3 µs"),
            (999_999, "999 µs"),
            (1_234_567, "1.23 ms"),
            (45_600_000_000, "45.6 s"),
            (100_000_000_000, "1m40s"),
            (3_661_000_000_000, "1h01m"),
            (u64::MAX, "213503 d"),
        ] {
            assert_eq!(duration(nanoseconds), text);
            assert!(width(text) <= 8);
        }
    }
}
