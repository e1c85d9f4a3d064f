//! The program of user-service.

use std::process::ExitCode;

use user_service::Settings;

fn main() -> ExitCode {
    telemetry::run(telemetry::service!(), Settings::read, user_service::serve)
}
