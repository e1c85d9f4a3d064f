//! What a request's path carries.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use telemetry::http::problem::Problem;

/// The path's only parameter, a positive number that fits the 64 bits (with sign) that SQL's `BIGINT` has. Anything
/// else is answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub i64);

impl Id {
    /// Digits and nothing else, as `i64::from_str` would also take a sign.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|id| digits && *id > 0).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        // Bytes that are not UTF-8 when decoded are refused by Path itself.
        let text = Path::<String>::from_request_parts(parts, state).await.ok();
        text.and_then(|Path(text)| Self::parse(&text))
            .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "The id is not a positive 64-bit number."))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_edges_of_a_positive_64_bit_number() {
        assert_eq!(Id::parse("1"), Some(Id(1)));
        assert_eq!(Id::parse("9223372036854775807"), Some(Id(i64::MAX)));
        for bad in ["", "0", "-1", "+1", "1.0", "1e3", " 1", "1 ", "0x1", "9223372036854775808", "१"] {
            assert_eq!(Id::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_positive_number_comes_back(id in 1..=i64::MAX) {
            prop_assert_eq!(Id::parse(&id.to_string()), Some(Id(id)));
        }

        #[test]
        fn any_text_is_a_positive_number_or_refused(text in "\\PC{0,30}") {
            if let Some(Id(id)) = Id::parse(&text) {
                prop_assert!(id > 0 && text.bytes().all(|byte| byte.is_ascii_digit()));
            }
        }
    }
}
