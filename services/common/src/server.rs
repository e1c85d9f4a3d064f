//! An HTTP server with limits.
//!
//! `axum::serve` has no timeout for request headers, so a client that never finishes its headers keeps its connection
//! forever. This server replaces `axum::serve` for HTTP/1.1. It adds a header timeout and a maximum number of
//! connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum time from the start of a connection, or from its last response, to the end of the headers of the
    /// next request.
    ///
    /// A client should close its idle connections before this time is over.
    pub header_timeout: Duration,
    /// The maximum number of open connections. Further connections wait to be accepted.
    pub max_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { header_timeout: Duration::from_secs(30), max_connections: 1024 }
    }
}

/// Serves `app` over HTTP/1.1 until `stopping` completes, then finishes the requests in flight and returns.
///
/// Handlers can extract the client's address as `ConnectInfo<SocketAddr>`.
///
/// There is no timeout for the requests in flight. To end them, drop the future that this function returns.
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, stopping: impl Future<Output = ()>) {
    let semaphore = Arc::new(Semaphore::new(limits.max_connections));
    let graceful = GracefulShutdown::new();
    // If the caller drops this future, the set is dropped too, which closes the remaining connections.
    let mut connections = JoinSet::new();
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            () = &mut stopping => break,
            accepted = accept(&listener, &semaphore) => match accepted {
                Ok((stream, peer, permit)) => {
                    let watcher = graceful.watcher();
                    connections.spawn(serve_connection(stream, peer, app.clone(), limits, watcher, permit));
                }
                Err(error) => handle_accept_error(&error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Waits for a permit and then for a connection.
async fn accept(
    listener: &TcpListener,
    semaphore: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(semaphore).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

/// Ignores an error that concerns a single client. Logs any other error and waits a second: the process lacks a
/// resource, such as file descriptors, so accepting again at once would also fail.
async fn handle_accept_error(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(error = %error, "cannot accept connections, retrying in one second");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    limits: Limits,
    watcher: Watcher,
    permit: OwnedSemaphorePermit,
) {
    // A response is written in one piece, so waiting for more data to fill a packet would only delay the response.
    // The connection also works if the option `TCP_NODELAY` cannot be set.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        app.clone().oneshot(request.map(axum::body::Body::new) as Request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        // The client is the cause. It sent bytes that are not HTTP, closed the connection, or took too long to send
        // headers.
        tracing::debug!(error = %error, client.address = %peer.ip(), "connection ended early");
    }
    drop(permit);
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;

    /// A server with one route. Its handler adds a permit to `received` for each request, and waits for a permit from
    /// `may_respond` before it responds.
    struct Server {
        address: SocketAddr,
        received: Arc<Semaphore>,
        may_respond: Arc<Semaphore>,
        stop: oneshot::Sender<()>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Server {
        async fn start(limits: Limits) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (received, may_respond) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
            let (notify, wait) = (Arc::clone(&received), Arc::clone(&may_respond));
            let handler = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
                notify.add_permits(1);
                wait.acquire().await.unwrap().forget();
                peer.ip().to_string()
            };
            let app = Router::new().route("/", get(handler));
            let (stop, stopped) = oneshot::channel::<()>();
            let task = tokio::spawn(serve(listener, app, limits, async {
                let _ = stopped.await;
            }));
            Self { address, received, may_respond, stop, task }
        }

        /// Connects and sends `bytes`.
        async fn connect(&self, bytes: &[u8]) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            stream
        }
    }

    /// Reads until the server closes the connection. Panics if that takes longer than five seconds.
    async fn read_to_end(mut stream: TcpStream) -> String {
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        tokio::time::timeout(Duration::from_secs(5), read)
            .await
            .expect("the server did not close the connection")
            .unwrap();
        text
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn closes_a_connection_whose_headers_take_too_long() {
        let server =
            Server::start(Limits { header_timeout: Duration::from_millis(100), max_connections: 2 }).await;
        for incomplete in [&b""[..], b"GET / HTTP/1.1\r\nhost: "] {
            let response = read_to_end(server.connect(incomplete).await).await;
            assert!(response.is_empty() || response.starts_with("HTTP/1.1 408"), "{response}");
        }
    }

    #[tokio::test]
    async fn accepts_no_more_connections_than_the_limit() {
        let server =
            Server::start(Limits { header_timeout: Duration::from_secs(30), max_connections: 1 }).await;
        server.may_respond.add_permits(2);
        let first = server.connect(b"").await;
        let second = server.connect(REQUEST).await;
        drop(first);
        assert!(read_to_end(second).await.ends_with("127.0.0.1"));
    }

    #[tokio::test]
    async fn finishes_requests_in_flight_when_stopped() {
        let server = Server::start(Limits::default()).await;
        let idle = server.connect(b"").await;
        let busy = server.connect(REQUEST).await;
        server.received.acquire().await.unwrap().forget();
        server.stop.send(()).unwrap();
        // The server closes idle connections when it stops.
        assert_eq!(read_to_end(idle).await, "");
        server.may_respond.add_permits(1);
        assert!(read_to_end(busy).await.ends_with("127.0.0.1"));
        server.task.await.unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }
}
