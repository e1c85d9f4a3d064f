//! OTLP over gRPC.

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use tonic::metadata::{MetadataKey, MetadataMap};
use tonic::transport::{Channel, Endpoint};

use super::{CONNECT_TIMEOUT, Exporters, USER_AGENT, exporter_error, retry_policy};
use crate::error::StartError;
use crate::settings::{Otlp, Signal};

/// TCP closes a connection if sent data stays unacknowledged for this long. This detects a peer that disappeared
/// without closing the connection.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);

impl Exporters<'_> {
    /// The connection for exports to this endpoint. It opens when the first export starts.
    pub(super) fn channel(&mut self, otlp: &Otlp, signal: Signal) -> Result<Channel, StartError> {
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
        #[cfg(feature = "tls")]
        let channel = if otlp.is_tls() {
            let config = self.client_config(&otlp.tls, signal)?;
            let tls = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config);
            endpoint.connect_with_connector_lazy(tls.https_only().enable_http2().wrap_connector(tcp))
        } else {
            endpoint.connect_with_connector_lazy(tcp)
        };
        // Without TLS, the settings contain no https endpoint, and `tcp` refuses one that a program sets.
        #[cfg(not(feature = "tls"))]
        let channel = {
            tcp.enforce_http(true);
            endpoint.connect_with_connector_lazy(tcp)
        };
        self.channels.insert(key, channel.clone());
        Ok(channel)
    }
}

/// Applies the settings to the builder of an exporter.
pub(super) fn configure<B: WithTonicConfig + WithExportConfig>(
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
    #[cfg(feature = "gzip")]
    let builder =
        if otlp.gzip { builder.with_compression(opentelemetry_otlp::Compression::Gzip) } else { builder };
    builder
}
