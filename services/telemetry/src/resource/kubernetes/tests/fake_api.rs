//! A fake API server. Its certificate is signed by its own CA, and it requires a bearer token. It responds with an
//! object as JSON, or with only the object's metadata if the request asks for metadata only.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::super::Files;
use crate::settings::Kubernetes;

pub(super) const TOKEN: &str = "a.service.account";

/// The response to a request.
#[derive(Clone, Debug)]
pub(super) enum FakeResponse {
    Object(Value),
    Status(StatusCode),
    /// Headers and the first half of an object; the rest never follows.
    Incomplete,
    /// No response.
    Never,
}

/// The server, and a directory with the files that a kubelet mounts into a pod.
pub(super) struct FakeApi {
    pub(super) kubernetes: Kubernetes,
    pub(super) folder: TempDir,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    responses: Mutex<BTreeMap<String, Vec<FakeResponse>>>,
    requests: Mutex<Vec<String>>,
}

type Ca = CertifiedIssuer<'static, KeyPair>;

fn new_ca() -> Ca {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes the service account files of a pod.
pub(super) fn write_service_account(folder: &Path, ca_pem: &str) {
    for (name, content) in [("ca.crt", ca_pem), ("token", TOKEN)] {
        fs::write(folder.join(name), content).unwrap();
    }
}

/// Returns the PEM of a CA that has not signed any server certificate.
pub(super) fn other_ca_pem() -> String {
    new_ca().pem()
}

impl FakeApi {
    /// Starts a server on a separate thread.
    pub(super) fn start() -> Self {
        Self::listen("127.0.0.1")
    }

    /// Like [`FakeApi::start`], but on a free port of the IP address `host`.
    pub(super) fn listen(host: &str) -> Self {
        let ca = new_ca();
        let folder = TempDir::new().unwrap();
        write_service_account(folder.path(), &ca.pem());
        let listener = std::net::TcpListener::bind((host, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let tls = TlsAcceptor::from(Arc::new(server_config(&ca, host)));
        let shared = Arc::new(Shared::default());
        let app = Router::new().fallback(respond).with_state(Arc::clone(&shared));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = Listener { tcp: TcpListener::from_std(listener).unwrap(), tls };
                axum::serve(listener, app).await.unwrap();
            });
        });
        Self { kubernetes: Kubernetes { host: host.into(), port, api: true }, folder, shared }
    }

    pub(super) fn files(&self) -> Files {
        Files { mounts: self.folder.path().join("mountinfo"), service_account: self.folder.path().into() }
    }

    /// Sets the responses to the next requests for `path`. The last response repeats.
    pub(super) fn set_responses(&self, path: &str, responses: impl IntoIterator<Item = FakeResponse>) {
        let responses = responses.into_iter().collect();
        self.shared.responses.lock().unwrap().insert(path.to_owned(), responses);
    }

    /// Adds or replaces objects.
    pub(super) fn set_objects<'a>(&self, objects: impl IntoIterator<Item = (&'a str, Value)>) {
        for (path, object) in objects {
            self.set_responses(path, [FakeResponse::Object(object)]);
        }
    }

    /// The paths of all requests, in the order in which they arrived.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

fn server_config(ca: &Ca, host: &str) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, ca).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap()
}

struct Listener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.unwrap();
            // The handshake with a client that trusts another CA fails.
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

async fn respond(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    shared.requests.lock().unwrap().push(path.clone());
    if request.method() != Method::GET {
        return status(StatusCode::FORBIDDEN, &format!("{} of {path}", request.method()));
    }
    if request.headers().get(header::AUTHORIZATION).is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
        return status(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    let next = {
        let mut responses = shared.responses.lock().unwrap();
        match responses.get_mut(&path) {
            None => FakeResponse::Status(StatusCode::NOT_FOUND),
            Some(responses) if responses.len() > 1 => responses.remove(0),
            Some(responses) => responses[0].clone(),
        }
    };
    match next {
        FakeResponse::Object(object) => Json(requested_form(object, request.headers())).into_response(),
        FakeResponse::Status(code) => status(code, &format!("the test rejects {path}")),
        FakeResponse::Incomplete => {
            let half = futures_util::StreamExt::chain(
                futures_util::stream::iter([Ok::<_, io::Error>("{\"metadata\":")]),
                futures_util::stream::pending(),
            );
            ([(header::CONTENT_TYPE, "application/json")], axum::body::Body::from_stream(half))
                .into_response()
        }
        FakeResponse::Never => crate::testing::never_completes().await,
    }
}

/// Returns the object, or only its metadata if the request asks for metadata only.
fn requested_form(object: Value, headers: &HeaderMap) -> Value {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepted.contains("as=PartialObjectMetadata") {
        return json!({
            "apiVersion": "meta.k8s.io/v1",
            "kind": "PartialObjectMetadata",
            "metadata": object["metadata"],
        });
    }
    object
}

fn status(code: StatusCode, message: &str) -> Response {
    let body = json!({
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "message": message,
        "reason": code.canonical_reason(),
        "code": code.as_u16(),
    });
    (code, Json(body)).into_response()
}
