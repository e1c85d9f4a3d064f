//! The program of order-service.

use std::process::ExitCode;

use order_service::Settings;

fn main() -> ExitCode {
    telemetry::run(telemetry::service!(), Settings::read, order_service::serve)
}
