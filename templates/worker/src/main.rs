//! The program of template-worker.

use std::process::ExitCode;

use template_worker::Settings;

fn main() -> ExitCode {
    telemetry::run(telemetry::service!(), Settings::read, template_worker::work)
}
