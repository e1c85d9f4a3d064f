//! Extractors for the path of a request.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use telemetry::http::problem::Problem;

/// The only parameter of a path: a positive integer that fits into SQL's `BIGINT`, a signed 64-bit integer.
///
/// If the parameter is anything else, the extraction fails with status 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub i64);

impl Id {
    /// Parses decimal digits. Rejects zero and also a sign, which `i64::from_str` would accept.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|id| digits && *id > 0).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        // Path rejects a parameter that is not UTF-8 after percent-decoding.
        let text = Path::<String>::from_request_parts(parts, state).await.ok();
        text.and_then(|Path(text)| Self::parse(&text))
            .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "The ID must be a positive 64-bit integer."))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts_only_positive_64_bit_integers() {
        assert_eq!(Id::parse("1"), Some(Id(1)));
        assert_eq!(Id::parse("9223372036854775807"), Some(Id(i64::MAX)));
        for invalid in ["", "0", "-1", "+1", "1.0", "1e3", " 1", "1 ", "0x1", "9223372036854775808", "१"] {
            assert_eq!(Id::parse(invalid), None, "{invalid}");
        }
    }

    proptest! {
        #[test]
        fn parses_every_positive_integer(id in 1..=i64::MAX) {
            prop_assert_eq!(Id::parse(&id.to_string()), Some(Id(id)));
        }

        #[test]
        fn rejects_text_that_is_not_a_positive_integer(text in "\\PC{0,30}") {
            if let Some(Id(id)) = Id::parse(&text) {
                prop_assert!(id > 0 && text.bytes().all(|byte| byte.is_ascii_digit()));
            }
        }
    }
}
