//! Reads the status and the deadline of a call, converts status codes to names and back, and says which codes are
//! server errors.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tonic::Code;

use crate::instrument::grpc_code::code_name;

/// Returns the status code with this name, if there is one.
pub(super) fn code_of(name: &str) -> Option<Code> {
    (0..=16).map(Code::from_i32).find(|code| code_name(*code) == name)
}

/// Whether `code` is an error on the server side. On the client side, every code except `OK` is an error.
///
/// Source: <https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#server>
pub(super) fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// The gRPC status in headers or trailers, if they contain one.
pub(super) fn in_headers(headers: &HeaderMap) -> Option<Code> {
    headers.get(tonic::Status::GRPC_STATUS).map(|status| Code::from_bytes(status.as_bytes()))
}

/// The status that a client assumes for an HTTP response without a gRPC status.
///
/// Source: <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>
pub(super) fn of_http(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The timeout that the caller sets for the call, from the header `grpc-timeout`.
///
/// Source: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>
pub(super) fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let digits: u64 = (digits.len() <= 8).then(|| digits.parse().ok())??;
    Some(match unit {
        "H" => Duration::from_hours(digits),
        "M" => Duration::from_mins(digits),
        "S" => Duration::from_secs(digits),
        "m" => Duration::from_millis(digits),
        "u" => Duration::from_micros(digits),
        "n" => Duration::from_nanos(digits),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn codes_have_the_names_of_the_specification() {
        for (code, name) in
            [(0, "OK"), (1, "CANCELLED"), (4, "DEADLINE_EXCEEDED"), (5, "NOT_FOUND"), (16, "UNAUTHENTICATED")]
        {
            assert_eq!(code_name(Code::from_i32(code)), name);
            assert_eq!(code_of(name), Some(Code::from_i32(code)));
        }
    }

    #[test]
    fn parses_a_deadline_with_its_unit() {
        let read = |value: &'static str| {
            deadline(&HeaderMap::from_iter([(
                "grpc-timeout".parse().unwrap(),
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(read("5S"), Some(Duration::from_secs(5)));
        assert_eq!(read("100m"), Some(Duration::from_millis(100)));
        assert_eq!(read("99999999H"), Some(Duration::from_hours(99_999_999)));
        for invalid in ["", "S", "5", "5x", "-5S", "123456789S"] {
            assert_eq!(read(invalid), None, "{invalid}");
        }
    }

    proptest! {
        #[test]
        fn parses_any_deadline_without_a_panic(value in prop::collection::vec(any::<u8>(), 0..16)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                deadline(&HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), value)]));
            }
        }
    }
}
