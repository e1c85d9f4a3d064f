//! Where settings are read from, and what is said when one cannot be used.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// A source of settings: the process's environment, or a map in a test.
pub trait Env {
    /// The value of `name`, without surrounding white space. An empty value counts as unset, as the
    /// [OpenTelemetry specification](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#parsing-empty-value)
    /// asks.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn get(&self, name: &str) -> Option<String> {
        // A value that is not UTF-8 is kept readable, so that it is refused with its name and not ignored.
        let value = std::env::var_os(name)?;
        meaningful(&value.to_string_lossy())
    }
}

/// Settings written down in place, for tests and for programs that configure themselves.
#[derive(Clone, Debug, Default)]
pub struct MapEnv(HashMap<String, String>);

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for MapEnv {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Env for MapEnv {
    fn get(&self, name: &str) -> Option<String> {
        meaningful(self.0.get(name)?)
    }
}

fn meaningful(value: &str) -> Option<String> {
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// A setting that cannot be used. A program that meets one exits with [`SettingsError::EXIT_CODE`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {value} cannot be used: {remedy}")]
pub struct SettingsError {
    name: String,
    value: Shown,
    remedy: String,
}

impl SettingsError {
    /// `EX_USAGE` of `sysexits.h`: the program was started wrongly, starting it again will not help.
    pub const EXIT_CODE: u8 = 64;

    /// `name` has `value`, which is shown; `remedy` says what would do.
    pub fn new(name: impl Into<String>, value: impl Display, remedy: impl Into<String>) -> Self {
        let value = Shown::Value(value.to_string());
        Self { name: name.into(), value, remedy: remedy.into() }
    }

    /// As [`SettingsError::new`], for a value that must not be shown.
    pub fn secret(name: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.into(), value: Shown::Hidden, remedy: remedy.into() }
    }

    /// The variable's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shown {
    Value(String),
    Hidden,
}

/// How much of a value is worth repeating: it may be a whole file pasted by mistake.
const SHOWN_CHARACTERS: usize = 120;

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) if value.chars().count() > SHOWN_CHARACTERS => {
                write!(f, "{:?}…", value.chars().take(SHOWN_CHARACTERS).collect::<String>())
            }
            Self::Value(value) => write!(f, "{value:?}"),
            Self::Hidden => f.write_str("the value (not shown)"),
        }
    }
}

/// Reads `name` as a `T`, or `default` where it is unset. `remedy` completes the sentence
/// "… cannot be used: …" where it does not parse.
pub fn parse<T: FromStr>(env: &dyn Env, name: &str, default: T, remedy: &str) -> Result<T, SettingsError> {
    match env.get(name) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| SettingsError::new(name, value, remedy)),
    }
}

/// Reads a boolean as the specification does: `true` in any case is true, `false` is false. Where the
/// specification takes any other value for false with a warning, this refuses it; `1` and `0` are taken too.
pub fn flag(env: &dyn Env, name: &str, default: bool) -> Result<bool, SettingsError> {
    match env.get(name) {
        None => Ok(default),
        Some(value) => match value.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(SettingsError::new(name, value, "use true or false")),
        },
    }
}

/// Reads a comma-separated list; items are trimmed, empty ones left out.
pub(super) fn list(env: &dyn Env, name: &str) -> Option<Vec<String>> {
    env.get(name).map(|value| {
        value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    })
}

/// Reads a comma-separated list of `key=value` with percent-encoded parts, the form of W3C baggage that
/// `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_EXPORTER_OTLP_HEADERS` have. An error names the position of the
/// entry and never its text.
pub(super) fn pairs(value: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for (index, entry) in value.split(',').enumerate().filter(|(_, entry)| !entry.trim().is_empty()) {
        let position = index + 1;
        let (key, value) = entry
            .split_once('=')
            .ok_or_else(|| format!("entry {position} has no `=`; write key=value,key=value"))?;
        let key = percent_decode(key.trim())
            .ok_or_else(|| format!("the key of entry {position} is badly encoded"))?;
        if key.is_empty() {
            return Err(format!("entry {position} has an empty key; write key=value,key=value"));
        }
        let value = percent_decode(value.trim())
            .ok_or_else(|| format!("the value of entry {position} is badly encoded"))?;
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// Decodes `text`, or returns `None` if an escape is malformed or the bytes are not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    // The decoder leaves malformed escapes as they are; here they are an error.
    let mut escapes = text.split('%').skip(1);
    if !escapes.all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_value_counts_as_unset() {
        let env = MapEnv::from_iter([("A", "  "), ("B", " 7 ")]);
        assert_eq!(parse(&env, "A", 1, ""), Ok(1));
        assert_eq!(parse(&env, "B", 1, ""), Ok(7));
    }

    #[test]
    fn an_error_names_the_setting_its_value_and_the_remedy() {
        let env = MapEnv::from_iter([("A", "seven")]);
        let error = parse(&env, "A", 1, "use a whole number").unwrap_err();
        assert_eq!(error.to_string(), r#"A: "seven" cannot be used: use a whole number"#);
    }

    #[test]
    fn a_secret_is_not_shown_and_a_long_value_is_cut() {
        assert!(!SettingsError::secret("TOKEN", "use another").to_string().contains("hunter2"));
        let error = SettingsError::new("A", "x".repeat(10_000), "shorten it").to_string();
        assert!(error.len() < 200, "{error}");
    }

    #[test]
    fn flags_are_true_or_false_and_nothing_else() {
        let env = MapEnv::from_iter([("A", "TRUE"), ("B", "0"), ("C", "yes")]);
        assert_eq!(flag(&env, "A", false), Ok(true));
        assert_eq!(flag(&env, "B", true), Ok(false));
        assert!(flag(&env, "C", false).is_err());
    }

    #[test]
    fn pairs_are_decoded() {
        assert_eq!(
            pairs("a=1, b = two%20words ,,c=%C3%A9=x"),
            Ok(vec![("a".into(), "1".into()), ("b".into(), "two words".into()), ("c".into(), "é=x".into())])
        );
        for bad in ["a", "=1", "a=%", "a=%2", "a=%2x", "a=%zz", "a=%+1", "a=%%20", "%zz=1", "a=%ff"] {
            assert!(pairs(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn pairs_never_panic_and_never_repeat_a_value(value in ".{0,200}") {
            if let Err(error) = pairs(&format!("{value},secret")) {
                prop_assert!(!error.contains("secret"));
            }
        }

        #[test]
        fn encoded_pairs_come_back(key in "[a-z.]{1,20}", value in "\\PC{0,40}") {
            let encoded = value.bytes().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02X}"));
            prop_assert_eq!(pairs(&format!("{key}={encoded}")), Ok(vec![(key, value)]));
        }
    }
}
