//! The program of template-grpc.

use std::process::ExitCode;

use template_grpc::Settings;

fn main() -> ExitCode {
    telemetry::run(telemetry::service!(), Settings::read, template_grpc::serve)
}
