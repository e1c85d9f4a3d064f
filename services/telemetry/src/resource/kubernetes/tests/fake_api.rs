//! An API server for tests: TLS by an authority of its own, a bearer token, JSON, and metadata alone where that is asked.

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

/// What a path is answered with. The last answer is repeated.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Object(Value),
    Status(StatusCode),
    /// Headers, half an object, and then nothing more.
    Half,
    /// Nothing at all.
    Silence,
}

/// The server, and what a pod's kubelet would have mounted.
pub(super) struct FakeApi {
    pub(super) kubernetes: Kubernetes,
    pub(super) folder: TempDir,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<BTreeMap<String, Vec<Answer>>>,
    requests: Mutex<Vec<String>>,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What the kubelet mounts for a pod of namespace `shop`.
pub(super) fn mount(folder: &Path, authority_pem: &str) {
    for (name, content) in [("ca.crt", authority_pem), ("token", TOKEN), ("namespace", "shop")] {
        fs::write(folder.join(name), content).unwrap();
    }
}

/// An authority that has signed nothing.
pub(super) fn strange_authority() -> String {
    authority().pem()
}

impl FakeApi {
    /// It runs on a thread of its own, as another machine would.
    pub(super) fn start() -> Self {
        Self::listen("127.0.0.1")
    }

    pub(super) fn listen(host: &str) -> Self {
        let authority = authority();
        let folder = TempDir::new().unwrap();
        mount(folder.path(), &authority.pem());
        let listener = std::net::TcpListener::bind((host, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let tls = TlsAcceptor::from(Arc::new(server_config(&authority, host)));
        let shared = Arc::new(Shared::default());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
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

    /// From now on `path` is answered with `answers`, one after the other.
    pub(super) fn answers(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers = answers.into_iter().collect();
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answers);
    }

    /// From now on `objects` are there.
    pub(super) fn holds<'a>(&self, objects: impl IntoIterator<Item = (&'a str, Value)>) {
        for (path, object) in objects {
            self.answers(path, [Answer::Object(object)]);
        }
    }

    /// The paths that were asked for, in order.
    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

fn server_config(authority: &Authority, host: &str) -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
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
            // A client that trusts another authority ends here.
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    shared.requests.lock().unwrap().push(path.clone());
    if request.method() != Method::GET {
        return status(StatusCode::FORBIDDEN, &format!("{} of {path}", request.method()));
    }
    if request.headers().get(header::AUTHORIZATION).is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
        return status(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    let next = {
        let mut answers = shared.answers.lock().unwrap();
        match answers.get_mut(&path) {
            None => Answer::Status(StatusCode::NOT_FOUND),
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
        }
    };
    match next {
        Answer::Object(object) => Json(shown(object, request.headers())).into_response(),
        Answer::Status(code) => status(code, &format!("{path} is refused by the test")),
        Answer::Half => {
            let half = futures_util::StreamExt::chain(
                futures_util::stream::iter([Ok::<_, io::Error>("{\"metadata\":")]),
                futures_util::stream::pending(),
            );
            ([(header::CONTENT_TYPE, "application/json")], axum::body::Body::from_stream(half))
                .into_response()
        }
        Answer::Silence => crate::testing::never_completes().await,
    }
}

/// The object, or its metadata if that is what was asked for.
fn shown(object: Value, headers: &HeaderMap) -> Value {
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
