//! A wrapper around reqwest. The client layer cannot wrap a reqwest client, because reqwest has its own request and
//! response types.

use std::sync::Arc;

use http::Response;
use reqwest::ResponseBuilderExt as _;
use rustls::crypto::{CryptoProvider, ring};
use rustls_platform_verifier::Verifier;

use super::attributes::Target;
use super::client::{ClientCall, HttpClient};
use crate::instrument::response::ResponseFuture;
use crate::signals::scope::Scope;

/// Returns a builder that can build a [`reqwest::Client`] in any process.
///
/// `reqwest::Client::new()` and `reqwest::Client::builder().build()` panic if the process has no default cryptography
/// provider for rustls, because reqwest is compiled without a provider. This function installs `ring` as the default
/// provider, unless the process already has a default provider.
///
/// The client checks a server's certificate against the system's CA certificates. The environment variables
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` can name other CA certificates instead. The client can also be built on a system
/// without CA certificates, such as an image built `FROM scratch`. On such a system, requests to `http` URLs work. A
/// request to an `https` URL fails with an error, because the server's certificate is not trusted. To trust other
/// certificates, call [`tls_certs_only`](reqwest::ClientBuilder::tls_certs_only) on the builder.
///
/// ```
/// use std::time::Duration;
/// use sightline_telemetry::http::{Client, client_builder};
///
/// # fn client() -> Result<Client, reqwest::Error> {
/// let client = Client::new(client_builder().timeout(Duration::from_secs(5)).build()?);
/// # Ok(client)
/// # }
/// # client().unwrap();
/// ```
pub fn client_builder() -> reqwest::ClientBuilder {
    // An error means that a provider is already installed. reqwest then uses that provider.
    let _ = ring::default_provider().install_default();
    let builder = reqwest::Client::builder();
    let provider =
        CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
    match Verifier::new(provider) {
        Ok(_) => builder,
        // The verifier cannot be created without CA certificates. `ClientBuilder::build` would fail for the same
        // reason, because by default it also loads the system's CA certificates.
        Err(error) => {
            tracing::debug!(%error, "the system has no CA certificates, so no HTTPS server is trusted");
            builder.tls_certs_only([])
        }
    }
}

/// A [`reqwest::Client`] that records a span and the metric `http.client.request.duration` for every request.
///
/// It records the same telemetry as [`client_layer`](super::client_layer). One span covers a request together with the
/// redirects that reqwest follows and the retries that reqwest makes. The semantic conventions allow two ways to create
/// HTTP client spans, and this is the [second of the two ways].
///
/// ```no_run
/// use sightline_telemetry::http::{Client, client_builder};
///
/// # async fn read_user(id: i64) -> Result<String, reqwest::Error> {
/// let client = Client::new(client_builder().build()?); // once, after telemetry has started
///
/// let request = client.get_ref().get(format!("http://users.example:8080/users/{id}")).build()?;
/// let response = client.execute(request, Some("/users/{id}")).await?;
/// response.error_for_status()?.text().await
/// # }
/// ```
///
/// [second of the two ways]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-client-span
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    instrumentation: HttpClient,
}

impl Client {
    /// Wraps `client`. Build `client` with [`client_builder`], which works in any process.
    #[must_use]
    pub fn new(client: reqwest::Client) -> Self {
        Self::of(client, Scope::global())
    }

    pub(crate) fn of(client: reqwest::Client, scope: Scope) -> Self {
        Self { inner: client, instrumentation: HttpClient::new(scope) }
    }

    /// The wrapped client. Use it to build requests. A request sent directly with the wrapped client has no span and no
    /// metrics.
    #[must_use]
    pub fn get_ref(&self) -> &reqwest::Client {
        &self.inner
    }

    /// Sends `request`. `template` is the path of the request's URL with placeholders for the variable parts, such as
    /// `/users/{id}`. The template becomes part of the span's name.
    ///
    /// Fails when [`reqwest::Client::execute`] fails. The span ends when the body of the response has been read or
    /// dropped.
    pub async fn execute(
        &self,
        mut request: reqwest::Request,
        template: Option<&'static str>,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let target = Target::of_url(request.url());
        let call = ClientCall::start(&self.instrumentation, request.method(), target, template);
        call.inject(request.headers_mut());
        let sent = ResponseFuture::new(call, || {
            let response = self.inner.execute(request);
            async move {
                let response = response.await?;
                // The conversion back to a reqwest response, after this block, reads the URL from the extensions.
                let mut url = http::response::Builder::new().url(response.url().clone());
                let mut response = Response::from(response);
                if let Some(url) = url.extensions_mut() {
                    response.extensions_mut().extend(std::mem::take(url));
                }
                Ok::<_, reqwest::Error>(response)
            }
        });
        Ok(sent.await?.map(reqwest::Body::wrap).into())
    }
}

#[cfg(test)]
mod tests;
