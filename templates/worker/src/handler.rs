//! What the service does with a message.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, Request, Url};
use telemetry::http::{Client, client_builder};

use crate::queue::Job;

/// The timeout of a call, including the whole response.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The reason why a job failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error("the quantity must be at least 1")]
    InvalidQuantity,
    #[error("the call failed")]
    Call(#[from] reqwest::Error),
}

/// Handles jobs.
#[derive(Clone, Debug)]
pub struct Handler {
    /// The client and the URL that it calls.
    upstream: Option<(Client, Url)>,
}

impl Handler {
    /// Creates a handler that calls `upstream_url` for each job. Fails if the HTTP client cannot be created.
    pub fn new(upstream_url: Option<Url>) -> anyhow::Result<Self> {
        let Some(url) = upstream_url else { return Ok(Self { upstream: None }) };
        // Proxies are for external hosts, but the services are in the same network.
        let client = client_builder().timeout(TIMEOUT).no_proxy().build();
        let client = client.context("cannot create an HTTP client")?;
        Ok(Self { upstream: Some((Client::new(client), url)) })
    }

    #[tracing::instrument(name = "handle_job", skip_all, fields(job.id = job.id, job.quantity = job.quantity))]
    pub(crate) async fn handle(&self, job: Job) -> Result<(), JobError> {
        if job.quantity < 1 {
            return Err(JobError::InvalidQuantity);
        }
        if let Some((client, url)) = &self.upstream {
            // The second argument is the path with placeholders for its variable parts, for the name of the span.
            client.execute(Request::new(Method::GET, url.clone()), None).await?.error_for_status()?;
        }
        Ok(())
    }
}
