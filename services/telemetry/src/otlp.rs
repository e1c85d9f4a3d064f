//! OTLP exporters: gRPC and HTTP, both over the TLS client that follows its files.

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

use crate::error::StartError;
use crate::export::ExportThread;
use crate::settings::{Otlp, Protocol, Signal, TlsFiles};
use crate::tls::{self, Watched};

/// How long a connection may take to be made: short, so that a retry meets the next address soon.
const CONNECT: Duration = Duration::from_secs(5);

/// Unanswered data is given up after this, so that a peer that vanished without a word is noticed.
const UNANSWERED: Duration = Duration::from_secs(20);

/// Makes exporters. Signals that go the same way share one connection.
pub(crate) struct Exporters<'a> {
    thread: &'a ExportThread,
    reload_interval: Duration,
    watched: HashMap<TlsFiles, Arc<Watched>>,
    channels: HashMap<(String, TlsFiles, Duration), Channel>,
}

impl<'a> Exporters<'a> {
    pub(crate) fn new(thread: &'a ExportThread, reload_interval: Duration) -> Self {
        Self { thread, reload_interval, watched: HashMap::new(), channels: HashMap::new() }
    }

    /// An exporter of spans; `budget` bounds one batch with its repeated attempts.
    pub(crate) fn spans(&mut self, otlp: &Otlp, budget: Duration) -> Result<SpanExporter, StartError> {
        let built = match otlp.protocol {
            Protocol::Grpc => {
                let channel = self.channel(otlp, Signal::Traces)?;
                grpc(SpanExporter::builder().with_tonic(), otlp, channel, budget).build()
            }
            Protocol::HttpProtobuf => {
                let client = self.http_client(otlp, Signal::Traces)?;
                http(SpanExporter::builder().with_http(), otlp, client, budget).build()
            }
        };
        built.map_err(|error| failed(Signal::Traces, &error))
    }

    /// An exporter of log records.
    pub(crate) fn logs(&mut self, otlp: &Otlp, budget: Duration) -> Result<LogExporter, StartError> {
        let built = match otlp.protocol {
            Protocol::Grpc => {
                let channel = self.channel(otlp, Signal::Logs)?;
                grpc(LogExporter::builder().with_tonic(), otlp, channel, budget).build()
            }
            Protocol::HttpProtobuf => {
                let client = self.http_client(otlp, Signal::Logs)?;
                http(LogExporter::builder().with_http(), otlp, client, budget).build()
            }
        };
        built.map_err(|error| failed(Signal::Logs, &error))
    }

    /// An exporter of measurements.
    pub(crate) fn metrics(
        &mut self,
        otlp: &Otlp,
        budget: Duration,
        temporality: Temporality,
    ) -> Result<MetricExporter, StartError> {
        let builder = MetricExporter::builder().with_temporality(temporality);
        let built = match otlp.protocol {
            Protocol::Grpc => {
                let channel = self.channel(otlp, Signal::Metrics)?;
                grpc(builder.with_tonic(), otlp, channel, budget).build()
            }
            Protocol::HttpProtobuf => {
                let client = self.http_client(otlp, Signal::Metrics)?;
                http(builder.with_http(), otlp, client, budget).build()
            }
        };
        built.map_err(|error| failed(Signal::Metrics, &error))
    }

    fn channel(&mut self, otlp: &Otlp, signal: Signal) -> Result<Channel, StartError> {
        let key = (otlp.endpoint.to_string(), otlp.tls.clone(), otlp.timeout);
        if let Some(channel) = self.channels.get(&key) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(key.0.clone())
            .map_err(|error| failed(signal, &error))?
            .timeout(otlp.timeout)
            .connect_timeout(CONNECT)
            .user_agent(USER_AGENT)
            .map_err(|error| failed(signal, &error))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_tcp_user_timeout(Some(UNANSWERED));

        // The channel spawns its worker where it is made.
        let _inside = self.thread.handle().enter();
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
            .connect_timeout(CONNECT)
            .user_agent(USER_AGENT)
            // A collector that answers elsewhere is a mistake, and a redirect would carry the headers along.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        // Plaintext asks for no authorities, and an image from scratch has none. Yet reqwest wants a configuration.
        let config = if otlp.is_tls() {
            self.client_config(&otlp.tls, signal)?
        } else {
            tls::trusting_nobody().map_err(|error| failed(signal, &error))?
        };
        builder.tls_backend_preconfigured(config).build().map_err(|error| failed(signal, &error))
    }

    fn client_config(
        &mut self,
        files: &TlsFiles,
        signal: Signal,
    ) -> Result<rustls::ClientConfig, StartError> {
        let watched = if let Some(watched) = self.watched.get(files) {
            Arc::clone(watched)
        } else {
            let watched = Watched::open(files.clone()).map_err(StartError::Certificates)?;
            self.thread.handle().spawn(Arc::clone(&watched).follow(self.reload_interval));
            self.watched.insert(files.clone(), Arc::clone(&watched));
            watched
        };
        watched.client_config().map_err(|error| failed(signal, &error))
    }
}

const USER_AGENT: &str = concat!("sightline-telemetry/", env!("CARGO_PKG_VERSION"));

/// Attempts go on until the budget is spent: a collector that restarts is back within it.
fn retries() -> RetryPolicy {
    RetryPolicy::recommended().with_max_retries(usize::MAX).with_max_delay(Duration::from_secs(3))
}

fn grpc<B: WithTonicConfig + WithExportConfig>(
    builder: B,
    otlp: &Otlp,
    channel: Channel,
    budget: Duration,
) -> B {
    let mut metadata = MetadataMap::new();
    for (name, value) in &otlp.headers.0 {
        // The settings have checked both.
        if let (Ok(name), Ok(value)) = (name.parse::<MetadataKey<_>>(), value.parse()) {
            metadata.insert(name, value);
        }
    }
    let builder = builder
        .with_channel(channel)
        .with_metadata(metadata)
        .with_timeout(budget)
        .with_retry_policy(retries());
    if otlp.gzip { builder.with_compression(Compression::Gzip) } else { builder }
}

fn http<B: WithHttpConfig + WithExportConfig>(
    builder: B,
    otlp: &Otlp,
    client: reqwest::Client,
    budget: Duration,
) -> B {
    let builder = builder
        .with_http_client(client)
        .with_endpoint(otlp.endpoint.as_str())
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_headers(otlp.headers.0.iter().cloned().collect())
        .with_timeout(budget)
        .with_retry_policy(retries());
    if otlp.gzip { builder.with_compression(Compression::Gzip) } else { builder }
}

fn failed(signal: Signal, error: &dyn std::error::Error) -> StartError {
    StartError::Exporter { signal: signal.name(), reason: crate::error::chain(error) }
}
