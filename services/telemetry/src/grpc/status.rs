//! The status of a call: where it is found, its name, and when it is an error.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tonic::Code;

/// The name of a status code, as in gRPC's own documentation: `NOT_FOUND`.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The code of this name.
pub(super) fn code_of(name: &str) -> Option<Code> {
    (0..=16).map(Code::from_i32).find(|code| code_name(*code) == name)
}

/// Whether a server is to blame for `code`, by the conventions. For a client, all but `OK` is an error.
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

/// The status in headers or trailers, if it is there.
pub(super) fn in_headers(headers: &HeaderMap) -> Option<Code> {
    headers.get(tonic::Status::GRPC_STATUS).map(|status| Code::from_bytes(status.as_bytes()))
}

/// The status a client makes up for a response that has none.
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

/// The time a caller gives a call, from the header `grpc-timeout`.
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
    fn code_names_are_those_of_the_specification() {
        for (code, name) in
            [(0, "OK"), (1, "CANCELLED"), (4, "DEADLINE_EXCEEDED"), (5, "NOT_FOUND"), (16, "UNAUTHENTICATED")]
        {
            assert_eq!(code_name(Code::from_i32(code)), name);
            assert_eq!(code_of(name), Some(Code::from_i32(code)));
        }
    }

    #[test]
    fn a_deadline_has_a_unit() {
        let read = |value: &'static str| {
            deadline(&HeaderMap::from_iter([(
                "grpc-timeout".parse().unwrap(),
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(read("5S"), Some(Duration::from_secs(5)));
        assert_eq!(read("100m"), Some(Duration::from_millis(100)));
        assert_eq!(read("99999999H"), Some(Duration::from_hours(99_999_999)));
        for nonsense in ["", "S", "5", "5x", "-5S", "123456789S"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn a_deadline_never_panics(value in prop::collection::vec(any::<u8>(), 0..16)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                deadline(&HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), value)]));
            }
        }
    }
}
