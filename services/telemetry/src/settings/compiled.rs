//! The cargo features that settings need.
//!
//! A value that needs a feature that is not compiled is an error. An unset variable never needs one: its default then
//! leaves out what is not compiled.

use super::otlp::Protocol;

/// What to do about a value that needs `feature`.
pub(super) fn remedy(value: &str, feature: &str) -> String {
    format!(
        "{value} needs the cargo feature {feature} of sightline-telemetry: enable the feature, or change the value"
    )
}

/// The feature that is missing for exports over OTLP, if neither protocol is compiled.
pub(super) fn missing_for_otlp() -> Option<&'static str> {
    missing_for_grpc().and(missing_for_http()).map(|_| "otlp-grpc or otlp-http")
}

pub(super) fn missing_for_grpc() -> Option<&'static str> {
    (!cfg!(feature = "otlp-grpc")).then_some("otlp-grpc")
}

pub(super) fn missing_for_http() -> Option<&'static str> {
    (!cfg!(feature = "otlp-http")).then_some("otlp-http")
}

/// The feature that is missing for spans and metrics on standard output.
pub(super) fn missing_for_console() -> Option<&'static str> {
    (!cfg!(feature = "console")).then_some("console")
}

pub(super) fn missing_for_prometheus() -> Option<&'static str> {
    (!cfg!(feature = "prometheus")).then_some("prometheus")
}

pub(super) fn missing_for_gzip() -> Option<&'static str> {
    (!cfg!(feature = "gzip")).then_some("gzip")
}

/// The protocol that applies if the variable is unset: the specification's default, or the only one that is compiled.
pub(super) fn default_protocol() -> Protocol {
    match (missing_for_http(), missing_for_grpc()) {
        (Some(_), None) => Protocol::Grpc,
        _ => Protocol::HttpProtobuf,
    }
}
