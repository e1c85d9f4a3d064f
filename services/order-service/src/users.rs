//! A client for user-service, over HTTP.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};
use telemetry::http::Client;

use crate::error::UpstreamError;
use crate::settings::USER_SERVICE_URL;

const SERVICE: &str = "user-service";

/// The time after which an idle connection is closed. It is shorter than user-service's own timeout for idle
/// connections, thirty seconds, so the client never uses a connection that the server is closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The maximum size of a response body, in bytes.
const MAX_RESPONSE_SIZE: usize = 64 * 1024;

/// The fields of a user that an order includes. The e-mail address is left out, so that this service cannot leak it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
}

/// A client for user-service.
#[derive(Clone, Debug)]
pub(crate) struct UserServiceClient {
    client: Client,
    base_url: Url,
}

impl UserServiceClient {
    /// Creates a client that connects on its first call.
    ///
    /// `timeout` is the timeout of a call, including its response body. Fails if the URL is `https` and the system has
    /// no CA certificates.
    pub(crate) fn new(base_url: Url, timeout: Duration) -> anyhow::Result<Self> {
        // reqwest is built without a TLS provider. Installing a provider fails if the process already has one. That
        // failure is harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            // Proxies are for external hosts, but user-service is in the same network.
            .no_proxy();
        // reqwest loads CA certificates even if it only uses plain HTTP. A `FROM scratch` image has none, so creating
        // the client would fail.
        let client = if base_url.scheme() == "https" { client } else { client.tls_certs_only([]) };
        let client = client.build().with_context(|| {
            format!("cannot create an HTTP client for {USER_SERVICE_URL}; set SSL_CERT_FILE to a CA bundle")
        })?;
        Ok(Self { client: Client::new(client), base_url })
    }

    /// Reads a user.
    #[tracing::instrument(name = "read_user", skip_all, fields(user.id = id))]
    pub(crate) async fn read(&self, id: i64) -> Result<User, UpstreamError> {
        self.try_read(id).await.inspect_err(telemetry::span::record_error)
    }

    async fn try_read(&self, id: i64) -> Result<User, UpstreamError> {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["users", &id.to_string()]);
        }
        let request = reqwest::Request::new(reqwest::Method::GET, url);
        let response = self.client.execute(request, Some("/users/{id}")).await.map_err(upstream_error)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                return Err(UpstreamError::unexpected(SERVICE, "the user of the order does not exist"));
            }
            status => {
                return Err(UpstreamError::unexpected(SERVICE, format!("status {}", status.as_u16())));
            }
        }
        let body = read_body(response).await?;
        serde_json::from_slice(&body)
            .map_err(|_| UpstreamError::unexpected(SERVICE, "the body is not a user"))
    }
}

async fn read_body(mut response: reqwest::Response) -> Result<Vec<u8>, UpstreamError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(upstream_error)? {
        if body.len() + chunk.len() > MAX_RESPONSE_SIZE {
            return Err(UpstreamError::unexpected(SERVICE, "the body is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn upstream_error(error: reqwest::Error) -> UpstreamError {
    let is_timeout = error.is_timeout();
    let source = Some(error.without_url().into());
    if is_timeout {
        UpstreamError::Timeout { service: SERVICE, source }
    } else {
        UpstreamError::Unreachable { service: SERVICE, source }
    }
}
