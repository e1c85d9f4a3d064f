//! The meter provider and its readers. See the [metrics SDK](https://opentelemetry.io/docs/specs/otel/metrics/sdk/).

use std::sync::Arc;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{Instrument, PeriodicReader, SdkMeterProvider, Stream};

use crate::delivery::console;
use crate::delivery::count::{Component, Delivery, Item};
use crate::delivery::export::{ExportThread, Exporter};
use crate::delivery::otlp::Exporters;
use crate::error::StartError;
use crate::settings::{Metrics, MetricsExporter, Signal};
use crate::signals::added::{Addition, Stop};

/// The registry of the metrics for Prometheus. Without the cargo feature `prometheus`, there is none.
#[cfg(feature = "prometheus")]
pub(crate) type Registry = prometheus::Registry;
#[cfg(not(feature = "prometheus"))]
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {}

/// A view that the program adds.
pub(crate) type View = Box<dyn Fn(&Instrument) -> Option<Stream> + Send + Sync>;

/// What the program adds to metrics.
#[derive(Default)]
pub(crate) struct Extensions {
    pub(crate) views: Vec<View>,
    pub(crate) readers: Vec<Addition<dyn MetricReader>>,
}

/// Creates the meter provider with the exporters in `settings`. Also returns the delivery counters of each exporter that
/// sends metrics. The Prometheus exporter registers its metrics in `registry`. Adds the handles of the program's own
/// readers to `added`.
pub(crate) fn provider(
    settings: &Metrics,
    extensions: Extensions,
    added: &mut Vec<Arc<dyn Stop>>,
    resource: &Resource,
    thread: &ExportThread,
    exporters: &mut Exporters<'_>,
    registry: &Registry,
) -> Result<(SdkMeterProvider, Vec<Arc<Delivery>>), StartError> {
    let mut deliveries = Vec::new();
    let mut builder = SdkMeterProvider::builder().with_resource(resource.clone());
    for kind in &settings.exporters {
        builder = match kind {
            MetricsExporter::Otlp => {
                let exporter = exporters.metrics(&settings.otlp, settings.timeout, settings.temporality)?;
                let component = Component::otlp(Signal::Metrics, &settings.otlp);
                let delivery = Delivery::new(Item::DataPoint, "metrics to otlp", component, None);
                deliveries.push(Arc::clone(&delivery));
                let exporter = Exporter::new(exporter, thread, settings.timeout, delivery);
                builder
                    .with_reader(PeriodicReader::builder(exporter).with_interval(settings.interval).build())
            }
            MetricsExporter::Console => {
                let exporter = console::metrics()?;
                let component = Component::new("opentelemetry_stdout::MetricExporter", 0);
                let delivery = Delivery::new(Item::DataPoint, "metrics to the console", component, None);
                deliveries.push(Arc::clone(&delivery));
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
    for view in extensions.views {
        builder = builder.with_view(view);
    }
    for reader in extensions.readers {
        let (reader, handle) = reader.start();
        added.push(handle);
        builder = builder.with_reader(reader);
    }
    Ok((builder.build(), deliveries))
}
