//! Quoting of values in queries.

/// Returns a string literal for `LogsQL` and `PromQL`.
///
/// Both languages use the syntax of Go for text in double quotes. A JSON string is a subset of this syntax: the escape
/// sequences `\"`, `\\`, `\b`, `\f`, `\n`, `\r`, `\t` and `\u00XX` have the same meaning, and all other characters
/// stand for themselves.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_would_end_the_literal() {
        assert_eq!(quote("order-service"), r#""order-service""#);
        assert_eq!(quote(r#"a" or * | delete"#), r#""a\" or * | delete""#);
        assert_eq!(quote(r#"\" | x"#), r#""\\\" | x""#);
        assert_eq!(quote("a\nb\u{1b}ü'`{}"), r#""a\nb\u001bü'`{}""#);
    }
}
