//! Start and stop: of telemetry alone, or of a whole service with its admin port.

mod admin;
mod builder;
mod guard;
mod run;

pub use builder::TelemetryBuilder;
pub use guard::{Telemetry, start};
pub use run::{Running, run};
