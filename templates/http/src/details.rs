//! A client for the service that has the details of items.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, Request, StatusCode, Url};
use serde::{Deserialize, Serialize};
use telemetry::http::{Client, client_builder};

/// The timeout of a call, including the whole response.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The time after which an idle connection is closed. The server closes idle connections after thirty seconds, so the
/// client never uses a connection that the server is closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The details of an item.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Details {
    pub(crate) text: String,
}

/// The reason why there are no details.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DetailsError {
    #[error("there is no item {0}")]
    NotFound(i64),
    #[error("the details could not be read")]
    Call(#[from] reqwest::Error),
}

/// A client for the details of items.
///
/// It calls this service itself, so that the first trace has two requests. Replace it with a client for a service in
/// the list `calls` of sightline.toml.
#[derive(Clone, Debug)]
pub struct DetailsClient {
    client: Client,
    base_url: Url,
}

impl DetailsClient {
    /// Creates a client that connects on its first call. Fails if the HTTP client cannot be created.
    pub fn new(base_url: Url) -> anyhow::Result<Self> {
        // Proxies are for external hosts, but the services are in the same network.
        let client = client_builder().timeout(TIMEOUT).pool_idle_timeout(IDLE_TIMEOUT).no_proxy();
        let client = client.build().context("cannot create an HTTP client")?;
        Ok(Self { client: Client::new(client), base_url })
    }

    /// Reads the details of an item.
    #[tracing::instrument(name = "read_details", skip_all, fields(item.id = id))]
    pub(crate) async fn read(&self, id: i64) -> Result<Details, DetailsError> {
        let details = self.try_read(id).await;
        // An item that does not exist is a valid response, so the span has not failed.
        if let Err(error @ DetailsError::Call(_)) = &details {
            telemetry::span::record_error(error);
        }
        details
    }

    async fn try_read(&self, id: i64) -> Result<Details, DetailsError> {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["template-http", &id.to_string(), "details"]);
        }
        // The template becomes the name of the span, so it has a placeholder instead of the ID.
        let template = "/template-http/{id}/details";
        let response = self.client.execute(Request::new(Method::GET, url), Some(template)).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Err(DetailsError::NotFound(id));
        }
        Ok(response.error_for_status()?.json().await?)
    }
}
