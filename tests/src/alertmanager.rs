//! A receiver of alerts with the API of Alertmanager. It records what it receives.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use rustls::ServerConfig;
use serde_json::Value;
use sightline::certs::TlsFiles;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::otlp;

/// The path to which alerts are posted.
const PATH: &str = "/api/v2/alerts";

/// An alert with the header `Authorization` of its request.
#[derive(Debug, Clone)]
pub struct Received {
    /// The header, or an empty text.
    pub authorization: String,
    /// The alert, in the format of Alertmanager's API.
    pub alert: Value,
}

impl Received {
    /// The name of the alert.
    #[must_use]
    pub fn name(&self) -> &str {
        self.alert["labels"]["alertname"].as_str().unwrap_or_default()
    }
}

/// A server on a free port of the loopback interface. It stops when it is dropped.
#[derive(Debug)]
pub struct Alertmanager {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Alertmanager {
    /// Starts the server. With an `identity`, it serves TLS with this certificate.
    pub async fn start(identity: Option<&TlsFiles>) -> Result<Self> {
        let acceptor = match identity {
            None => None,
            Some(identity) => {
                let (chain, key) = otlp::read_key_pair(identity)?;
                otlp::install_cryptography_provider();
                let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
                Some(TlsAcceptor::from(Arc::new(tls)))
            }
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port")?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{}", listener.local_addr()?.port());
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let list = Arc::clone(&received);
        let server = tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { continue };
                let (acceptor, list) = (acceptor.clone(), Arc::clone(&list));
                // A connection that fails, for example because the client does not trust the certificate, is not an
                // error of the server.
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(tcp, &list).await,
                        Some(acceptor) => serve(acceptor.accept(tcp).await?, &list).await,
                    }
                });
            }
        });
        Ok(Self { url, received, server })
    }

    /// The base URL of the server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns what the server has received.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Responds to one request of a connection, and closes the connection.
async fn serve(
    connection: impl AsyncRead + AsyncWrite + Unpin,
    received: &Mutex<Vec<Received>>,
) -> Result<()> {
    let mut connection = BufReader::new(connection);
    let mut request = String::new();
    connection.read_line(&mut request).await?;
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse()?,
            "authorization" => value.trim().clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    let alerts: Vec<Value> = serde_json::from_slice(&body)?;
    let is_known = request.starts_with(&format!("POST {PATH} "));
    if is_known {
        let of_request =
            alerts.into_iter().map(|alert| Received { authorization: authorization.clone(), alert });
        received.lock().unwrap_or_else(PoisonError::into_inner).extend(of_request);
    }
    let status = if is_known { "200 OK" } else { "404 Not Found" };
    let response = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    connection.write_all(response.as_bytes()).await?;
    connection.shutdown().await?;
    Ok(())
}
