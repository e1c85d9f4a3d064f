//! The sources of settings, the parsers for their values, and the error for a value that cannot be used.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// A source of environment variables: the environment of the process ([`ProcessEnv`]) or a map ([`MapEnv`]).
pub trait Env {
    /// Returns the value of `name` without surrounding white space.
    ///
    /// An empty value counts as unset, as the OpenTelemetry specification requires: [Parsing empty value].
    ///
    /// [Parsing empty value]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#parsing-empty-value
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn get(&self, name: &str) -> Option<String> {
        // A value that is not UTF-8 must not count as unset. Its invalid bytes are replaced, and most parsers then
        // reject the value.
        let value = std::env::var_os(name)?;
        non_empty(&value.to_string_lossy())
    }
}

/// Environment variables in a map, for tests and for programs that set the values in their code.
///
/// ```
/// use sightline_telemetry::settings::{Env, MapEnv};
///
/// let env = MapEnv::from_iter([("OTEL_SERVICE_NAME", " shop "), ("OTEL_SDK_DISABLED", "")]);
/// assert_eq!(env.get("OTEL_SERVICE_NAME").as_deref(), Some("shop"));
/// assert_eq!(env.get("OTEL_SDK_DISABLED"), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct MapEnv(HashMap<String, String>);

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for MapEnv {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Env for MapEnv {
    fn get(&self, name: &str) -> Option<String> {
        non_empty(self.0.get(name)?)
    }
}

fn non_empty(value: &str) -> Option<String> {
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// The error for a setting whose value cannot be used.
///
/// The message names the variable and says what to use instead. It also shows the value, unless the value is a secret.
/// [`run`](crate::run) exits with [`SettingsError::EXIT_CODE`] when it gets this error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {value} cannot be used: {remedy}")]
pub struct SettingsError {
    name: String,
    value: ShownValue,
    remedy: String,
}

impl SettingsError {
    /// `EX_USAGE` from `sysexits.h`: the program got wrong settings, so a restart does not help.
    pub const EXIT_CODE: u8 = 64;

    /// An error that shows `value`. `remedy` completes the sentence "NAME: VALUE cannot be used: …".
    pub fn new(name: impl Into<String>, value: impl Display, remedy: impl Into<String>) -> Self {
        let value = ShownValue::Plain(value.to_string());
        Self { name: name.into(), value, remedy: remedy.into() }
    }

    /// Like [`SettingsError::new`], but for a value that must not be shown. `remedy` must not contain the
    /// value either.
    pub fn secret(name: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.into(), value: ShownValue::Hidden, remedy: remedy.into() }
    }

    /// The name of the variable.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ShownValue {
    Plain(String),
    Hidden,
}

/// The maximum length of a value that an error shows in full, in characters. A value can be long, for example if a
/// person pastes a whole file by mistake.
const MAX_SHOWN_CHARACTERS: usize = 120;

impl Display for ShownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(value) if value.chars().count() > MAX_SHOWN_CHARACTERS => {
                write!(f, "{:?}…", value.chars().take(MAX_SHOWN_CHARACTERS).collect::<String>())
            }
            Self::Plain(value) => write!(f, "{value:?}"),
            Self::Hidden => f.write_str("the value (not shown)"),
        }
    }
}

/// Reads the variable `name` as a `T`, or returns `default` if the variable is unset.
///
/// If the value cannot be parsed, the error shows the value. `remedy` completes the sentence "NAME: VALUE cannot be
/// used: …".
///
/// ```
/// use sightline_telemetry::settings::{MapEnv, parse};
///
/// let env = MapEnv::from_iter([("SHOP_WORKERS", "four")]);
/// let error = parse(&env, "SHOP_WORKERS", 2_u32, "use a whole number").unwrap_err();
/// assert_eq!(error.to_string(), r#"SHOP_WORKERS: "four" cannot be used: use a whole number"#);
/// ```
pub fn parse<T: FromStr>(env: &dyn Env, name: &str, default: T, remedy: &str) -> Result<T, SettingsError> {
    match env.get(name) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| SettingsError::new(name, value, remedy)),
    }
}

/// Reads the variable `name` as a boolean, or returns `default` if the variable is unset.
///
/// The accepted values are `1`, `0`, and `true` and `false` in upper or lower case. Any other value is an error.
/// According to the specification, any other value means false, with a warning in the log: [Boolean].
///
/// [Boolean]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#boolean
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

/// Reads the variable `name` as a comma-separated list, or splits `default` if the variable is unset.
/// Items are trimmed, and empty items are dropped.
pub(super) fn list(env: &dyn Env, name: &str, default: &str) -> Vec<String> {
    let value = env.get(name);
    let items = value.as_deref().unwrap_or(default).split(',').map(str::trim);
    items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Parses a comma-separated list of `key=value` entries with percent-encoded keys and values. This is the format of
/// `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_EXPORTER_OTLP_HEADERS`, and of W3C baggage without properties.
///
/// An error gives the position of the malformed entry but never its text, because the text can be a secret.
pub(super) fn pairs(value: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for (index, entry) in value.split(',').enumerate().filter(|(_, entry)| !entry.trim().is_empty()) {
        let position = index + 1;
        let (key, value) = entry
            .split_once('=')
            .ok_or_else(|| format!("entry {position} has no `=`; write key=value,key=value"))?;
        let key = percent_decode(key.trim())
            .ok_or_else(|| format!("the percent-encoding in the key of entry {position} is not valid"))?;
        if key.is_empty() {
            return Err(format!("entry {position} has an empty key; write key=value,key=value"));
        }
        let value = percent_decode(value.trim())
            .ok_or_else(|| format!("the percent-encoding in the value of entry {position} is not valid"))?;
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// Decodes `text`, or returns `None` if an escape is malformed or the decoded bytes are not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    // The decoder leaves malformed escapes unchanged, but this function must reject them.
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
    fn treats_an_empty_value_as_unset() {
        let env = MapEnv::from_iter([("A", "  "), ("B", " 7 ")]);
        assert_eq!(parse(&env, "A", 1, ""), Ok(1));
        assert_eq!(parse(&env, "B", 1, ""), Ok(7));
    }

    #[test]
    fn shows_the_name_the_value_and_the_remedy_in_an_error() {
        let env = MapEnv::from_iter([("A", "seven")]);
        let error = parse(&env, "A", 1, "use a whole number").unwrap_err();
        assert_eq!(error.to_string(), r#"A: "seven" cannot be used: use a whole number"#);
    }

    #[test]
    fn hides_a_secret_and_truncates_a_long_value() {
        assert!(!SettingsError::secret("TOKEN", "use another").to_string().contains("hunter2"));
        let error = SettingsError::new("A", "x".repeat(10_000), "shorten it").to_string();
        assert!(error.len() < 200, "{error}");
    }

    #[test]
    fn accepts_only_a_boolean_as_a_flag() {
        let env = MapEnv::from_iter([("A", "TRUE"), ("B", "0"), ("C", "yes")]);
        assert_eq!(flag(&env, "A", false), Ok(true));
        assert_eq!(flag(&env, "B", true), Ok(false));
        assert!(flag(&env, "C", false).is_err());
    }

    #[test]
    fn decodes_pairs() {
        assert_eq!(
            pairs("a=1, b = two%20words ,,c=%C3%A9=x"),
            Ok(vec![("a".into(), "1".into()), ("b".into(), "two words".into()), ("c".into(), "é=x".into())])
        );
    }

    #[test]
    fn rejects_malformed_pairs() {
        for bad in ["a", "=1", "a=%", "a=%2", "a=%2x", "a=%zz", "a=%+1", "a=%%20", "%zz=1", "a=%ff"] {
            assert!(pairs(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_shows_a_value(value in ".{0,200}") {
            if let Err(error) = pairs(&format!("{value},secret")) {
                prop_assert!(!error.contains("secret"));
            }
        }

        #[test]
        fn decodes_what_was_encoded(key in "[a-z.]{1,20}", value in "\\PC{0,40}") {
            let encoded = value.bytes().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02X}"));
            prop_assert_eq!(pairs(&format!("{key}={encoded}")), Ok(vec![(key, value)]));
        }
    }
}
