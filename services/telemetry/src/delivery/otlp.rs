//! OTLP exporters over gRPC and HTTP. With TLS, both protocols use the TLS client of [`tls`], which reloads its
//! certificate files.
//!
//! The SDK's exporter uses the same timeout for an attempt and for a batch. Here, `OTEL_EXPORTER_OTLP_TIMEOUT` limits
//! an attempt, and the processor's timeout (`OTEL_BSP_EXPORT_TIMEOUT` for spans) limits all attempts of a batch
//! together. So when the agent restarts, a batch can be retried until the agent is ready again. The batch is lost if
//! the processor's timeout expires first.
//!
//! Source: [OpenTelemetry Protocol Exporter](https://opentelemetry.io/docs/specs/otel/protocol/exporter/).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_otlp::{
    Compression, LogExporter, MetricExporter, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use opentelemetry_sdk::metrics::Temporality;
use tonic::metadata::{MetadataKey, MetadataMap};
use tonic::transport::{Channel, Endpoint};

use crate::delivery::export::ExportThread;
use crate::delivery::tls::{self, CertificateWatcher};
use crate::error::StartError;
use crate::settings::{Otlp, Protocol, Signal, TlsFiles};

/// The timeout for opening a connection. It is short: if a host has several addresses and one of them does not respond,
/// a retry soon tries another address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// TCP closes a connection if sent data stays unacknowledged for this long. This detects a peer that disappeared
/// without closing the connection.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);

/// Builds the exporters of all signals. gRPC exporters with the same endpoint, certificate files and timeout share a
/// connection, and all exporters with the same certificate files share a [`CertificateWatcher`].
pub(crate) struct Exporters<'a> {
    thread: &'a ExportThread,
    reload_interval: Duration,
    watchers: HashMap<TlsFiles, Arc<CertificateWatcher>>,
    channels: HashMap<(String, TlsFiles, Duration), Channel>,
}

impl<'a> Exporters<'a> {
    pub(crate) fn new(thread: &'a ExportThread, reload_interval: Duration) -> Self {
        Self { thread, reload_interval, watchers: HashMap::new(), channels: HashMap::new() }
    }

    /// Builds an exporter for spans. `export_timeout` is the timeout for all attempts of a batch together.
    pub(crate) fn spans(
        &mut self,
        otlp: &Otlp,
        export_timeout: Duration,
    ) -> Result<SpanExporter, StartError> {
        let built = match otlp.protocol {
            Protocol::Grpc => {
                let channel = self.channel(otlp, Signal::Traces)?;
                grpc(SpanExporter::builder().with_tonic(), otlp, channel, export_timeout).build()
            }
            Protocol::HttpProtobuf => {
                let client = self.http_client(otlp, Signal::Traces)?;
                http(SpanExporter::builder().with_http(), otlp, client, export_timeout).build()
            }
        };
        built.map_err(|error| exporter_error(Signal::Traces, &error))
    }

    /// Builds an exporter for log records. `export_timeout` is the timeout for all attempts of a batch together.
    pub(crate) fn logs(&mut self, otlp: &Otlp, export_timeout: Duration) -> Result<LogExporter, StartError> {
        let built = match otlp.protocol {
            Protocol::Grpc => {
                let channel = self.channel(otlp, Signal::Logs)?;
                grpc(LogExporter::builder().with_tonic(), otlp, channel, export_timeout).build()
            }
            Protocol::HttpProtobuf => {
                let client = self.http_client(otlp, Signal::Logs)?;
                http(LogExporter::builder().with_http(), otlp, client, export_timeout).build()
            }
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
            Protocol::Grpc => {
                let channel = self.channel(otlp, Signal::Metrics)?;
                grpc(builder.with_tonic(), otlp, channel, export_timeout).build()
            }
            Protocol::HttpProtobuf => {
                let client = self.http_client(otlp, Signal::Metrics)?;
                http(builder.with_http(), otlp, client, export_timeout).build()
            }
        };
        built.map_err(|error| exporter_error(Signal::Metrics, &error))
    }

    fn channel(&mut self, otlp: &Otlp, signal: Signal) -> Result<Channel, StartError> {
        let key = (otlp.endpoint.to_string(), otlp.tls.clone(), otlp.timeout);
        if let Some(channel) = self.channels.get(&key) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(key.0.clone())
            .map_err(|error| exporter_error(signal, &error))?
            .timeout(otlp.timeout)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(USER_AGENT)
            .map_err(|error| exporter_error(signal, &error))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));

        // The channel spawns its worker task on the current runtime, so the export thread's runtime must be current.
        let _runtime = self.thread.handle().enter();
        let channel = if otlp.is_tls() {
            let config = self.client_config(&otlp.tls, signal)?;
            let tls = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config);
            endpoint.connect_with_connector_lazy(tls.https_only().enable_http2().wrap_connector(tcp))
        } else {
            endpoint.connect_with_connector_lazy(tcp)
        };
        self.channels.insert(key, channel.clone());
        Ok(channel)
    }

    fn http_client(&mut self, otlp: &Otlp, signal: Signal) -> Result<reqwest::Client, StartError> {
        let builder = reqwest::Client::builder()
            .timeout(otlp.timeout)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(USER_AGENT)
            // A Collector does not redirect requests. Following a redirect could send credentials in headers to another
            // host.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        // reqwest needs a TLS configuration even for connections without TLS. A configuration with the system's CAs
        // would fail in an image built `FROM scratch`, which contains no CAs.
        let config = if otlp.is_tls() {
            self.client_config(&otlp.tls, signal)?
        } else {
            tls::config_without_cas().map_err(|error| exporter_error(signal, &error))?
        };
        builder.tls_backend_preconfigured(config).build().map_err(|error| exporter_error(signal, &error))
    }

    fn client_config(
        &mut self,
        files: &TlsFiles,
        signal: Signal,
    ) -> Result<rustls::ClientConfig, StartError> {
        let watcher = if let Some(watcher) = self.watchers.get(files) {
            Arc::clone(watcher)
        } else {
            let watcher = CertificateWatcher::open(files.clone()).map_err(StartError::Certificates)?;
            self.thread.handle().spawn(Arc::clone(&watcher).watch(self.reload_interval));
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

fn grpc<B: WithTonicConfig + WithExportConfig>(
    builder: B,
    otlp: &Otlp,
    channel: Channel,
    export_timeout: Duration,
) -> B {
    let mut metadata = MetadataMap::new();
    for (name, value) in &otlp.headers.0 {
        // The settings contain only valid names and values, so both conversions succeed.
        if let (Ok(name), Ok(value)) = (name.parse::<MetadataKey<_>>(), value.parse()) {
            metadata.insert(name, value);
        }
    }
    let builder = builder
        .with_channel(channel)
        .with_metadata(metadata)
        .with_timeout(export_timeout)
        .with_retry_policy(retry_policy());
    if otlp.gzip { builder.with_compression(Compression::Gzip) } else { builder }
}

fn http<B: WithHttpConfig + WithExportConfig>(
    builder: B,
    otlp: &Otlp,
    client: reqwest::Client,
    export_timeout: Duration,
) -> B {
    let builder = builder
        .with_http_client(client)
        .with_endpoint(otlp.endpoint.as_str())
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_headers(otlp.headers.0.iter().cloned().collect())
        .with_timeout(export_timeout)
        .with_retry_policy(retry_policy());
    if otlp.gzip { builder.with_compression(Compression::Gzip) } else { builder }
}

fn exporter_error(signal: Signal, error: &dyn std::error::Error) -> StartError {
    StartError::Exporter { signal: signal.name(), reason: crate::error::chain(error) }
}
