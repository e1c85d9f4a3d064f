//! Text on a terminal: made harmless, measured, fitted to a column.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Makes control characters visible.
///
/// Names and attributes come from whoever sends spans. An escape sequence in one could rewrite the screen, and a
/// bidirectional override could show another name than is there.
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

/// Columns of a terminal that the text takes, near enough to keep a table straight.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> usize {
    match u32::from(c) {
        // Combining marks, joiners and variation selectors.
        0x0300..=0x036f | 0x200b..=0x200d | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        // East Asian wide blocks and emoji.
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// The text in exactly this many columns: padded, or shortened in the middle, as the ends of a name say most
/// (`sightline.…/Reserve`).
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    let have = width(text);
    if have <= columns {
        return format!("{text}{}", " ".repeat(columns - have));
    }
    if columns == 0 {
        return String::new();
    }
    let tail_columns = (columns - 1) / 2;
    let head = take(text.chars(), columns - 1 - tail_columns);
    let tail: String = take(text.chars().rev(), tail_columns).chars().rev().collect();
    let short = format!("{head}…{tail}");
    let missing = columns - width(&short);
    short + &" ".repeat(missing)
}

fn take(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += char_width(*c);
            used <= columns
        })
        .collect()
}

/// A duration of nanoseconds in at most eight columns.
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
    // Three figures, cut and not rounded: 999.9 ms is not yet a second.
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
    fn control_characters_are_shown_and_do_nothing() {
        assert_eq!(escape("GET /users/{id} ünd 用户"), "GET /users/{id} ünd 用户");
        assert_eq!(escape("a\x1b[2Jb\nc\u{9b}"), "a\\u{1b}[2Jb\\nc\\u{9b}");
        assert_eq!(escape("\u{202e}gnp.exe\x7f"), "\\u{202e}gnp.exe\\u{7f}");
    }

    #[test]
    fn text_fits_its_column() {
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
    fn durations_have_three_figures() {
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
