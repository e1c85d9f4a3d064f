//! The program of template-http.

use std::process::ExitCode;

use template_http::Settings;

fn main() -> ExitCode {
    telemetry::run(telemetry::service!(), Settings::read, template_http::serve)
}
