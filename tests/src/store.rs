//! A receiver of OTLP over gRPC that demands a header, as a backend on the public internet does.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};

use anyhow::{Context as _, Result};
use futures_util::stream;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use rustls::ServerConfig;
use sightline::certs::TlsFiles;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status};

use crate::otlp;

/// A store for spans that refuses a request without its header. It serves TLS, and asks for no client certificate. It
/// stops when it is dropped.
#[derive(Debug)]
pub struct OtlpStore {
    port: u16,
    state: Arc<Mutex<State>>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    spans: Vec<Span>,
    refused: usize,
}

impl OtlpStore {
    /// Starts a store on a free port of the loopback interface. `identity` is the certificate of the server. Each
    /// request has to contain the header `name` with this `value`.
    pub async fn start(identity: &TlsFiles, name: &'static str, value: &str) -> Result<Self> {
        let (chain, key) = otlp::read_key_pair(identity)?;
        otlp::install_cryptography_provider();
        let mut tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port")?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(Mutex::new(State::default()));
        let service = Service { state: Arc::clone(&state), name, value: value.to_owned() };
        let service = TraceServiceServer::new(service).accept_compressed(CompressionEncoding::Gzip);
        let incoming = stream::unfold((listener, acceptor), async |(listener, acceptor)| {
            // A connection that fails, for example because the client does not trust the certificate, is not an error
            // of the server.
            loop {
                let Ok((tcp, _)) = listener.accept().await else { continue };
                if let Ok(connection) = acceptor.accept(tcp).await {
                    return Some((Ok::<_, Infallible>(Connection(connection)), (listener, acceptor)));
                }
            }
        });
        let server = Server::builder().add_service(service).serve_with_incoming(incoming);
        let server = tokio::spawn(async move {
            // The task ends when the store is dropped, so the result of the server is never read.
            let _ = server.await;
        });
        Ok(Self { port, state, server })
    }

    /// The port of the store.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the stored spans of a trace.
    #[must_use]
    pub fn spans_of(&self, trace_id: u128) -> Vec<Span> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.spans.iter().filter(|span| span.trace_id == trace_id.to_be_bytes()).cloned().collect()
    }

    /// The number of requests that were refused because they did not have the header.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).refused
    }
}

impl Drop for OtlpStore {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Service {
    state: Arc<Mutex<State>>,
    name: &'static str,
    value: String,
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let header = request.metadata().get(self.name).and_then(|value| value.to_str().ok());
        let allowed = header == Some(self.value.as_str());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !allowed {
            state.refused += 1;
            return Err(Status::unauthenticated(format!("the header {} is missing or wrong", self.name)));
        }
        for resource in request.into_inner().resource_spans {
            state.spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A TLS connection. tonic implements [`Connected`] for one only together with its own TLS.
struct Connection(TlsStream<TcpStream>);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
