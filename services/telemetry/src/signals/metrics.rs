//! The meter provider and its readers. See the [metrics SDK](https://opentelemetry.io/docs/specs/otel/metrics/sdk/).

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};

use crate::delivery::console;
use crate::delivery::export::{Delivery, ExportThread, Exporter};
use crate::delivery::otlp::Exporters;
use crate::error::StartError;
use crate::settings::{Metrics, MetricsExporter};

/// The registry of the metrics for Prometheus. Without the cargo feature `prometheus`, there is none.
#[cfg(feature = "prometheus")]
pub(crate) type Registry = prometheus::Registry;
#[cfg(not(feature = "prometheus"))]
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {}

/// Creates the meter provider with the exporters in `settings`. The Prometheus exporter registers its metrics in
/// `registry`.
pub(crate) fn provider(
    settings: &Metrics,
    resource: &Resource,
    thread: &ExportThread,
    exporters: &mut Exporters<'_>,
    registry: &Registry,
) -> Result<SdkMeterProvider, StartError> {
    let mut builder = SdkMeterProvider::builder().with_resource(resource.clone());
    for kind in &settings.exporters {
        builder = match kind {
            MetricsExporter::Otlp => {
                let exporter = exporters.metrics(&settings.otlp, settings.timeout, settings.temporality)?;
                let delivery = Delivery::new("metrics to otlp");
                let exporter = Exporter::new(exporter, thread, settings.timeout, delivery);
                builder
                    .with_reader(PeriodicReader::builder(exporter).with_interval(settings.interval).build())
            }
            MetricsExporter::Console => {
                let exporter = console::metrics()?;
                let delivery = Delivery::new("metrics to the console");
                let exporter = Exporter::new(exporter, thread, settings.timeout, delivery);
                builder
                    .with_reader(PeriodicReader::builder(exporter).with_interval(settings.interval).build())
            }
            #[cfg(feature = "prometheus")]
            MetricsExporter::Prometheus => {
                let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build();
                builder.with_reader(exporter.map_err(|error| StartError::Exporter {
                    signal: "metrics",
                    reason: crate::error::chain(&error),
                })?)
            }
            #[cfg(not(feature = "prometheus"))]
            MetricsExporter::Prometheus => {
                let Registry {} = registry;
                return Err(StartError::Exporter {
                    signal: "metrics",
                    reason: "it needs the cargo feature prometheus of sightline-telemetry".to_owned(),
                });
            }
        };
    }
    Ok(builder.build())
}
