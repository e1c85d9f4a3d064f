//! OTLP exporters over gRPC and HTTP. With TLS, both protocols use the TLS client of [`tls`], which reloads its
//! certificate files.
//!
//! The SDK's exporter uses the same timeout for an attempt and for a batch. Here, `OTEL_EXPORTER_OTLP_TIMEOUT` limits
//! an attempt, and the processor's timeout (`OTEL_BSP_EXPORT_TIMEOUT` for spans) limits all attempts of a batch
//! together. So when the agent restarts, a batch can be retried until the agent is ready again. The batch is lost if
//! the processor's timeout expires first.
//!
//! Source: [OpenTelemetry Protocol Exporter](https://opentelemetry.io/docs/specs/otel/protocol/exporter/).

#[cfg(feature = "otlp-grpc")]
mod grpc;
#[cfg(feature = "otlp-http")]
mod http;

#[cfg(any(feature = "otlp-grpc", feature = "tls"))]
use std::collections::HashMap;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::Meter;
use opentelemetry_otlp::{LogExporter, MetricExporter, RetryPolicy, SpanExporter};
use opentelemetry_sdk::metrics::Temporality;

use crate::delivery::export::ExportThread;
#[cfg(feature = "tls")]
use crate::delivery::tls::CertificateWatcher;
use crate::error::StartError;
#[cfg(any(feature = "otlp-grpc", feature = "tls"))]
use crate::settings::TlsFiles;
use crate::settings::{Otlp, Protocol, Signal};

/// The timeout for opening a connection. It is short: if a host has several addresses and one of them does not respond,
/// a retry soon tries another address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Builds the exporters of all signals. gRPC exporters with the same endpoint, certificate files and timeout share a
/// connection, and all exporters with the same certificate files share a [`CertificateWatcher`].
pub(crate) struct Exporters<'a> {
    thread: &'a ExportThread,
    #[cfg(feature = "tls")]
    reload_interval: Duration,
    #[cfg(feature = "tls")]
    expiry_warning: Duration,
    #[cfg(feature = "tls")]
    watchers: HashMap<TlsFiles, Arc<CertificateWatcher>>,
    #[cfg(feature = "otlp-grpc")]
    channels: HashMap<(String, TlsFiles, Duration), tonic::transport::Channel>,
}

impl<'a> Exporters<'a> {
    /// `reload_interval` is the time between two checks of the certificate files. `expiry_warning` is how long before a
    /// certificate expires the warnings in the log begin.
    pub(crate) fn new(thread: &'a ExportThread, reload_interval: Duration, expiry_warning: Duration) -> Self {
        #[cfg(not(feature = "tls"))]
        let _ = (reload_interval, expiry_warning); // there are no certificate files to reload
        Self {
            thread,
            #[cfg(feature = "tls")]
            reload_interval,
            #[cfg(feature = "tls")]
            expiry_warning,
            #[cfg(feature = "tls")]
            watchers: HashMap::new(),
            #[cfg(feature = "otlp-grpc")]
            channels: HashMap::new(),
        }
    }

    /// Builds an exporter for spans. `export_timeout` is the timeout for all attempts of a batch together.
    pub(crate) fn spans(
        &mut self,
        otlp: &Otlp,
        export_timeout: Duration,
    ) -> Result<SpanExporter, StartError> {
        let built = match otlp.protocol {
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc => {
                let channel = self.channel(otlp, Signal::Traces)?;
                grpc::configure(SpanExporter::builder().with_tonic(), otlp, channel, export_timeout).build()
            }
            #[cfg(feature = "otlp-http")]
            Protocol::HttpProtobuf => {
                let client = self.http_client(otlp, Signal::Traces)?;
                http::configure(SpanExporter::builder().with_http(), otlp, client, export_timeout).build()
            }
            #[cfg(not(all(feature = "otlp-grpc", feature = "otlp-http")))]
            other => return Err(not_compiled(Signal::Traces, other)),
        };
        built.map_err(|error| exporter_error(Signal::Traces, &error))
    }

    /// Builds an exporter for log records. `export_timeout` is the timeout for all attempts of a batch together.
    pub(crate) fn logs(&mut self, otlp: &Otlp, export_timeout: Duration) -> Result<LogExporter, StartError> {
        let built = match otlp.protocol {
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc => {
                let channel = self.channel(otlp, Signal::Logs)?;
                grpc::configure(LogExporter::builder().with_tonic(), otlp, channel, export_timeout).build()
            }
            #[cfg(feature = "otlp-http")]
            Protocol::HttpProtobuf => {
                let client = self.http_client(otlp, Signal::Logs)?;
                http::configure(LogExporter::builder().with_http(), otlp, client, export_timeout).build()
            }
            #[cfg(not(all(feature = "otlp-grpc", feature = "otlp-http")))]
            other => return Err(not_compiled(Signal::Logs, other)),
        };
        built.map_err(|error| exporter_error(Signal::Logs, &error))
    }

    /// Builds an exporter for metrics. `export_timeout` is the timeout for all attempts of an export together.
    pub(crate) fn metrics(
        &mut self,
        otlp: &Otlp,
        export_timeout: Duration,
        temporality: Temporality,
    ) -> Result<MetricExporter, StartError> {
        let builder = MetricExporter::builder().with_temporality(temporality);
        let built = match otlp.protocol {
            #[cfg(feature = "otlp-grpc")]
            Protocol::Grpc => {
                let channel = self.channel(otlp, Signal::Metrics)?;
                grpc::configure(builder.with_tonic(), otlp, channel, export_timeout).build()
            }
            #[cfg(feature = "otlp-http")]
            Protocol::HttpProtobuf => {
                let client = self.http_client(otlp, Signal::Metrics)?;
                http::configure(builder.with_http(), otlp, client, export_timeout).build()
            }
            #[cfg(not(all(feature = "otlp-grpc", feature = "otlp-http")))]
            other => return Err(not_compiled(Signal::Metrics, other)),
        };
        built.map_err(|error| exporter_error(Signal::Metrics, &error))
    }

    /// Creates the instrument about the certificates of the exporters.
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unused_self, reason = "without TLS, there are no certificates")
    )]
    pub(crate) fn register_certificates(&self, meter: &Meter) {
        #[cfg(feature = "tls")]
        super::expiry::register(meter, self.watchers.values().cloned().collect());
        #[cfg(not(feature = "tls"))]
        let _ = meter;
    }

    #[cfg(feature = "tls")]
    fn client_config(
        &mut self,
        files: &TlsFiles,
        signal: Signal,
    ) -> Result<rustls::ClientConfig, StartError> {
        let watcher = if let Some(watcher) = self.watchers.get(files) {
            Arc::clone(watcher)
        } else {
            let watcher = CertificateWatcher::open(files.clone()).map_err(StartError::Certificates)?;
            self.thread.handle().spawn(Arc::clone(&watcher).watch(self.reload_interval, self.expiry_warning));
            self.watchers.insert(files.clone(), Arc::clone(&watcher));
            watcher
        };
        watcher.client_config().map_err(|error| exporter_error(signal, &error))
    }
}

const USER_AGENT: &str = concat!("sightline-telemetry/", env!("CARGO_PKG_VERSION"));

/// Returns a policy that retries until the export timeout expires. This leaves enough time for a Collector to restart.
fn retry_policy() -> RetryPolicy {
    RetryPolicy::recommended().with_max_retries(usize::MAX).with_max_delay(Duration::from_secs(3))
}

fn exporter_error(signal: Signal, error: &dyn std::error::Error) -> StartError {
    StartError::Exporter { signal: signal.name(), reason: crate::error::chain(error) }
}

/// The error for a protocol that a program chose without the feature that it needs. A protocol from the environment was
/// already checked when the settings were read.
#[cfg(not(all(feature = "otlp-grpc", feature = "otlp-http")))]
fn not_compiled(signal: Signal, protocol: Protocol) -> StartError {
    let feature = match protocol {
        Protocol::Grpc => "otlp-grpc",
        Protocol::HttpProtobuf => "otlp-http",
    };
    super::not_compiled::error(signal, feature)
}
