//! user-service, over HTTP.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{StatusCode, Url};
use serde::{Deserialize, Serialize};
use service_common::settings::USER_SERVICE_URL;
use telemetry::http::Client;

use crate::error::UpstreamError;

const SERVICE: &str = "user-service";

/// Connections are given up before user-service, which waits thirty seconds, gives them up: so none is used that is
/// just being closed.
const IDLE: Duration = Duration::from_secs(20);

/// Bytes of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// What of a user goes into an order. The e-mail address is left behind: what is not kept cannot leak.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
}

/// A client of user-service.
#[derive(Clone, Debug)]
pub(crate) struct Users {
    client: Client,
    base: Url,
}

impl Users {
    /// Makes no connection yet. Fails where the address is `https` and this machine has no authorities to check it by.
    pub(crate) fn new(base: Url, deadline: Duration) -> anyhow::Result<Self> {
        // reqwest is built without a choice of cryptography. An error says that one was made before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .timeout(deadline)
            .pool_idle_timeout(IDLE)
            .redirect(reqwest::redirect::Policy::none())
            // A proxy is for the world outside; these two are neighbours.
            .no_proxy();
        // An image from scratch has no authorities, and reqwest looks for them even where nothing is encrypted.
        let client = if base.scheme() == "https" { client } else { client.tls_certs_only([]) };
        let client = client.build().with_context(|| {
            format!("{USER_SERVICE_URL} cannot be used: name a file with its authorities in SSL_CERT_FILE")
        })?;
        Ok(Self { client: Client::new(client), base })
    }

    /// The user of this id.
    #[tracing::instrument(name = "read_user", skip_all, fields(user.id = id))]
    pub(crate) async fn read(&self, id: i64) -> Result<User, UpstreamError> {
        self.try_read(id).await.inspect_err(telemetry::span::record_error)
    }

    async fn try_read(&self, id: i64) -> Result<User, UpstreamError> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["users", &id.to_string()]);
        }
        let request = reqwest::Request::new(reqwest::Method::GET, url);
        let response = self.client.execute(request, Some("/users/{id}")).await.map_err(failure)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                return Err(UpstreamError::wrong(SERVICE, "it does not know the order's user"));
            }
            status => return Err(UpstreamError::wrong(SERVICE, format!("status {}", status.as_u16()))),
        }
        let body = read_body(response).await?;
        serde_json::from_slice(&body).map_err(|_| UpstreamError::wrong(SERVICE, "its answer is not a user"))
    }
}

async fn read_body(mut response: reqwest::Response) -> Result<Vec<u8>, UpstreamError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(UpstreamError::wrong(SERVICE, "its answer is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn failure(error: reqwest::Error) -> UpstreamError {
    let late = error.is_timeout();
    let source = Some(error.without_url().into());
    if late {
        UpstreamError::Late { service: SERVICE, source }
    } else {
        UpstreamError::Unreachable { service: SERVICE, source }
    }
}
