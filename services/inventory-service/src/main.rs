//! The program of inventory-service.

use std::process::ExitCode;

use inventory_service::Settings;

fn main() -> ExitCode {
    telemetry::run(telemetry::service!(), Settings::read, inventory_service::serve)
}
