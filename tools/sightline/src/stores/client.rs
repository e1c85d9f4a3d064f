//! The client of the stores' HTTP APIs.

use std::time::Duration;

use reqwest::{Response, StatusCode};
use thiserror::Error;
use url::Url;

use crate::http::{self, BodyError};

/// The maximum size of a response in bytes. A larger response is rejected before it fills the memory.
const MAX_RESPONSE: usize = 256 << 20;
/// The maximum number of characters of an error response that an error message contains.
const MAX_MESSAGE: usize = 300;

/// A client for the stores behind one address.
#[derive(Debug, Clone)]
pub struct Stores {
    base: Url,
    http: reqwest::Client,
}

/// The error of a query to a store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The HTTP client could not be set up.
    #[error(
        "cannot set up the HTTP client; for https, set SSL_CERT_FILE to a file with the root certificates to trust"
    )]
    Client(#[source] reqwest::Error),
    /// The connection failed, there was no response in time, or the response ended early.
    #[error("no response from {url}")]
    Unreachable {
        /// The requested URL without the query.
        url: Url,
        /// The cause.
        source: reqwest::Error,
    },
    /// The response has an error status.
    #[error("{url} responded with {status}: {message}")]
    ErrorStatus {
        /// The requested URL without the query.
        url: Url,
        /// The status of the response.
        status: StatusCode,
        /// The first characters of the response.
        message: String,
    },
    /// The response is not a store's. Jaeger, for example, responds to all unknown paths with the page of its UI.
    #[error(
        "the response from {url} is not that of a store (is this the address of the pages, and in a cluster, is \
         `global.stores.enabled` true?)"
    )]
    NotAStore {
        /// The requested URL without the query.
        url: Url,
        /// The cause.
        source: serde_json::Error,
    },
    /// The response is too large.
    #[error("the response from {url} is larger than {} MiB", MAX_RESPONSE >> 20)]
    TooLarge {
        /// The requested URL without the query.
        url: Url,
    },
}

impl StoreError {
    /// Whether the store has understood the request and rejects it, so the same request would fail again.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        matches!(self, Self::ErrorStatus { status, .. } if status.is_client_error())
    }
}

impl Stores {
    /// Creates a client for the pages at this address. Only Jaeger's UI can have a base path: the stores are at the root,
    /// so the path of the address is ignored. Fails if the HTTP client cannot be set up.
    pub fn new(mut base: Url) -> Result<Self, StoreError> {
        base.set_path("");
        let http = http::client(&base).map_err(StoreError::Client)?;
        Ok(Self { base, http })
    }

    /// Returns the address without a trailing slash.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Returns the URL of a path, without a query.
    pub(super) fn url(&self, path: &[&str]) -> Url {
        http::url_below(&self.base, path.iter().copied())
    }

    /// Returns the body of a response. Fails if there is no response in time, or if it has an error status.
    pub(super) async fn get(&self, url: &Url, query: &[(&str, &str)]) -> Result<String, StoreError> {
        let response = self.send(url, query, None).await?;
        http::text(response, MAX_RESPONSE).await.map_err(|error| match error {
            BodyError::Connection(source) => unreachable(url, source),
            BodyError::TooLarge => StoreError::TooLarge { url: url.clone() },
        })
    }

    /// Starts a request whose response may end after `timeout` instead of the client's timeout. Fails if there is no
    /// response, or if it has an error status.
    pub(super) async fn send(
        &self,
        url: &Url,
        query: &[(&str, &str)],
        timeout: Option<Duration>,
    ) -> Result<Response, StoreError> {
        let mut full = url.clone();
        full.query_pairs_mut().extend_pairs(query);
        let mut request = self.http.get(full);
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        let response = request.send().await.map_err(|source| unreachable(url, source))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await.unwrap_or_default();
        let message = text.trim().chars().take(MAX_MESSAGE).collect();
        Err(StoreError::ErrorStatus { url: url.clone(), status, message })
    }
}

pub(super) fn unreachable(url: &Url, source: reqwest::Error) -> StoreError {
    // The message of `StoreError` already contains the URL.
    StoreError::Unreachable { url: url.clone(), source: source.without_url() }
}
