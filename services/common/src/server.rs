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

    const SHORT: Limits = Limits { headers_within: Duration::from_millis(200), connections: 2 };

    /// A server whose one page answers when it is told to; its address, a way to let it answer, a way to stop it.
    async fn start(
        limits: Limits,
    ) -> (SocketAddr, Arc<Semaphore>, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::new(Semaphore::new(0));
        let opened = Arc::clone(&gate);
        let page = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
            opened.acquire().await.unwrap().forget();
            peer.ip().to_string()
        };
        let app = Router::new().route("/", get(page));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, app, limits, async {
            let _ = stopped.await;
        }));
        (address, gate, stop, server)
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn headers_that_never_end_end_the_connection() {
        let (address, ..) = start(SHORT).await;
        for begun in [&b""[..], b"GET / HTTP/1.1\r\nhost: "] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begun).await.unwrap();
            let read = tokio::time::timeout(Duration::from_secs(5), answer(&mut stream)).await.unwrap();
            assert!(read.is_empty() || read.starts_with("HTTP/1.1 408"), "{read}");
        }
    }

    #[tokio::test]
    async fn a_request_in_flight_is_answered_after_the_stop_and_no_new_one_is_taken() {
        let (address, gate, stop, server) = start(Limits::default()).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut busy = TcpStream::connect(address).await.unwrap();
        busy.write_all(REQUEST).await.unwrap();
        // The page waits on the gate only once the request has arrived.
        gate.add_permits(1);
        while gate.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(answer(&mut busy).await.ends_with("127.0.0.1"));

        let mut busy = TcpStream::connect(address).await.unwrap();
        busy.write_all(REQUEST).await.unwrap();
        stop.send(()).unwrap();
        gate.add_permits(1);
        let answer = answer(&mut busy).await;
        assert!(answer.is_empty() || answer.ends_with("127.0.0.1"), "{answer}");
        server.await.unwrap();
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
        assert!(TcpStream::connect(address).await.is_err());
    }
}
