//! The metrics of the process and of the Tokio runtime.
//!
//! All instruments are observable: they read their values when metrics are collected.

mod process;

use opentelemetry::metrics::Meter;
use tokio::runtime::Handle;

/// Creates the instruments about this process and about `runtime`. The global meter provider must already be installed.
pub(crate) fn register(meter: &Meter, runtime: Option<&Handle>) {
    process::register(meter);
    // The crate uses the global meter provider, and keeps the handle until the process exits.
    if let Some(runtime) = runtime {
        opentelemetry_instrumentation_tokio::observe_runtime(runtime);
    }
}
