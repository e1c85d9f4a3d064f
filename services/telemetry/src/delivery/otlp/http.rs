//! OTLP over HTTP.

use std::time::Duration;

use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};

use super::{CONNECT_TIMEOUT, Exporters, USER_AGENT, exporter_error, retry_policy};
use crate::delivery::tls;
use crate::error::StartError;
use crate::settings::{Otlp, Signal};

impl Exporters<'_> {
    /// The client for exports of this signal.
    pub(super) fn http_client(&mut self, otlp: &Otlp, signal: Signal) -> Result<reqwest::Client, StartError> {
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
}

/// Applies the settings to the builder of an exporter.
pub(super) fn configure<B: WithHttpConfig + WithExportConfig>(
    builder: B,
    otlp: &Otlp,
    client: reqwest::Client,
    export_timeout: Duration,
) -> B {
    let builder = builder
        .with_http_client(client)
        .with_endpoint(otlp.endpoint.to_string())
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_headers(otlp.headers.0.iter().cloned().collect())
        .with_timeout(export_timeout)
        .with_retry_policy(retry_policy());
    #[cfg(feature = "gzip")]
    let builder =
        if otlp.gzip { builder.with_compression(opentelemetry_otlp::Compression::Gzip) } else { builder };
    builder
}
