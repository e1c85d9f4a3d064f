//! Start and stop: of telemetry alone, or of a whole service with its admin port.

mod admin;
mod guard;
mod run;

pub use guard::{Telemetry, start};
pub use run::{Running, run};
