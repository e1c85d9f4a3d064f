//! The class of a failed export, for the attribute [`error.type`].
//!
//! [`error.type`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/#error-type

use opentelemetry_sdk::error::OTelSdkError;

/// Returns the class of an error: the name of a gRPC status such as `UNAVAILABLE`, an HTTP status such as `503`,
/// `network_error`, `timeout`, `already_shutdown`, or `_OTHER`.
///
/// The SDK passes on only the text of an error, so the class is read from the text. A part of the text itself is never
/// returned, except for the name or the number of a status.
pub(super) fn error_type(error: &OTelSdkError) -> String {
    let reason = match error {
        OTelSdkError::AlreadyShutdown => return "already_shutdown".to_owned(),
        OTelSdkError::Timeout(_) => return "timeout".to_owned(),
        OTelSdkError::InternalFailure(reason) => reason,
    };
    let class = if let Some((_, code)) = reason.split_once("export failed with gRPC code: ") {
        grpc_status(code)
    } else if let Some((_, status)) = reason.split_once("HTTP export failed with status code: ") {
        http_status(status)
    } else if reason.contains("HTTP export failed: network error") {
        Some("network_error".to_owned())
    } else {
        None
    };
    class.unwrap_or_else(|| "_OTHER".to_owned())
}

/// Converts Rust's name of a status at the start of `text`, such as `DeadlineExceeded`, to `DEADLINE_EXCEEDED`.
fn grpc_status(text: &str) -> Option<String> {
    let name = text.split(|c: char| !c.is_ascii_alphabetic()).next().filter(|name| !name.is_empty())?;
    let mut status = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !status.is_empty() {
            status.push('_');
        }
        status.push(c.to_ascii_uppercase());
    }
    Some(status)
}

fn http_status(text: &str) -> Option<String> {
    let digits = text.get(..3)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn classifies_the_errors_of_the_sdk() {
        for (reason, class) in [
            ("TonicTracesClient export failed with gRPC code: Unavailable", "UNAVAILABLE"),
            (
                "TonicLogsClient export failed with gRPC code: DeadlineExceeded: transport error",
                "DEADLINE_EXCEEDED",
            ),
            ("HTTP export failed with status code: 503", "503"),
            ("HTTP export failed: network error", "network_error"),
            ("HTTP export failed with status code: ", "_OTHER"),
            ("export failed with gRPC code: ", "_OTHER"),
            ("a secret", "_OTHER"),
        ] {
            assert_eq!(error_type(&OTelSdkError::InternalFailure(reason.to_owned())), class, "{reason}");
        }
        assert_eq!(error_type(&OTelSdkError::Timeout(Duration::ZERO)), "timeout");
        assert_eq!(error_type(&OTelSdkError::AlreadyShutdown), "already_shutdown");
    }
}
