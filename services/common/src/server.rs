//! Serving HTTP within bounds.
//!
//! `axum::serve` sets no timer on a connection, so a client that never finishes its headers keeps its connection for
//! ever. This does what it does, with a limit to that time and to the number of connections.

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

/// What one server allows its clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the moment a connection is made, or its last answer was sent, to the end of the next request's headers.
    /// A client that keeps idle connections should give them up sooner.
    pub headers_within: Duration,
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { headers_within: Duration::from_secs(30), connections: 1024 }
    }
}

/// Serves `app` over HTTP/1.1 until `stopping` resolves, then finishes the requests in flight and returns. Handlers
/// find the client's address as `ConnectInfo<SocketAddr>`.
///
/// It does not bound how long finishing takes: whoever calls it does.
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, stopping: impl Future<Output = ()>) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    // Dropping it, when the caller has waited long enough, ends the connections that are left.
    let mut connections = JoinSet::new();
    tokio::pin!(stopping);
    loop {
        tokio::select! {
            () = &mut stopping => break,
            accepted = accept(&listener, &slots) => match accepted {
                Ok((stream, peer, slot)) => {
                    connections.spawn(connection(stream, peer, app.clone(), limits, graceful.watcher(), slot));
                }
                Err(error) => give_way(&error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

/// A connection, once there is a slot for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}

/// One client that went away is nothing. Anything else is a lack of something, file descriptors for one, that
/// accepting again at once does not end.
async fn give_way(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(error = %error, "connections cannot be accepted, trying again in a second");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    limits: Limits,
    watcher: Watcher,
    slot: OwnedSemaphorePermit,
) {
    // Answers are written whole, so waiting to fill a packet only delays them. Failing to say so is no matter.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        app.clone().oneshot(request.map(axum::body::Body::new) as Request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers_within)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        // The client's doing: bytes that are not HTTP, a connection cut short, headers that never ended.
        tracing::debug!(error = %error, client.address = %peer.ip(), "connection ended early");
    }
    drop(slot);
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;

    use super::*;

    /// A server with one page, which tells when it is asked for and answers when it may.
    struct Server {
        address: SocketAddr,
        asked: Arc<Semaphore>,
        may_answer: Arc<Semaphore>,
        stop: oneshot::Sender<()>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Server {
        async fn start(limits: Limits) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (asked, may_answer) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
            let (tell, wait) = (Arc::clone(&asked), Arc::clone(&may_answer));
            let page = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
                tell.add_permits(1);
                wait.acquire().await.unwrap().forget();
                peer.ip().to_string()
            };
            let app = Router::new().route("/", get(page));
            let (stop, stopped) = oneshot::channel::<()>();
            let task = tokio::spawn(serve(listener, app, limits, async {
                let _ = stopped.await;
            }));
            Self { address, asked, may_answer, stop, task }
        }

        async fn connect(&self, sent: &[u8]) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(sent).await.unwrap();
            stream
        }
    }

    /// All that comes until the connection ends, which has to be soon.
    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        let read = stream.read_to_string(&mut text);
        tokio::time::timeout(Duration::from_secs(5), read).await.expect("the connection stays open").unwrap();
        text
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn headers_that_never_end_end_the_connection() {
        let server =
            Server::start(Limits { headers_within: Duration::from_millis(100), connections: 2 }).await;
        for begun in [&b""[..], b"GET / HTTP/1.1\r\nhost: "] {
            let said = rest(server.connect(begun).await).await;
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
        }
    }

    #[tokio::test]
    async fn more_connections_than_are_allowed_wait_their_turn() {
        let server = Server::start(Limits { headers_within: Duration::from_secs(30), connections: 1 }).await;
        server.may_answer.add_permits(2);
        let first = server.connect(b"").await;
        let second = server.connect(REQUEST).await;
        drop(first);
        assert!(rest(second).await.ends_with("127.0.0.1"));
    }

    #[tokio::test]
    async fn a_stop_lets_requests_in_flight_finish_and_takes_no_more() {
        let server = Server::start(Limits::default()).await;
        let idle = server.connect(b"").await;
        let busy = server.connect(REQUEST).await;
        server.asked.acquire().await.unwrap().forget();
        server.stop.send(()).unwrap();
        // Once the idle connection is closed the stop has arrived.
        assert_eq!(rest(idle).await, "");
        server.may_answer.add_permits(1);
        assert!(rest(busy).await.ends_with("127.0.0.1"));
        server.task.await.unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }
}
