//! The API server, asked once at the start and for a bounded time.
//!
//! It is asked on a thread and a runtime of their own: whoever starts telemetry may stand inside a runtime, which must not
//! be blocked on itself. Nothing of it is traced or logged; what went wrong comes back as a [`Gap`].

use std::fs;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Uri};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::client::Body;
use kube::client::middleware::BaseUriLayer;
use opentelemetry::{Context, KeyValue};
use tower::ServiceBuilder;
use tracing::subscriber::NoSubscriber;

use super::files::Files;
use super::missing::Gap;
use crate::error::chain;
use crate::settings::{Kubernetes, TlsFiles, names};
use crate::tls::Watched;

/// For all of it: names, connections, handshakes, answers.
pub(super) const BUDGET: Duration = Duration::from_secs(2);

/// What is kept of the budget for a thread that is not scheduled at once.
const RESERVE: Duration = Duration::from_millis(100);

/// All that the API server is asked for.
pub(super) const EVERYTHING: &str = "k8s.cluster.uid, k8s.node.*, k8s.pod.*, the pod's owners, \
                                     k8s.container.restart_count, container.image.*";

/// A kind of request.
pub(super) struct Question {
    /// As a role names it, with its group.
    pub(super) resource: &'static str,
    /// What cannot be known without an answer.
    pub(super) attributes: &'static str,
    /// What a person can do when there is no such object.
    pub(super) if_absent: Option<&'static str>,
}

/// The API server of one detection.
pub(super) struct Api {
    client: kube::Client,
    address: String,
    budget: Duration,
    deadline: Instant,
    findings: Sender<Finding>,
}

enum Finding {
    Attribute(KeyValue),
    Gap(Gap),
}

/// Runs `questions` and waits for what they tell, for `budget` at most.
pub(super) fn consult<F>(
    kubernetes: &Kubernetes,
    files: &Files,
    budget: Duration,
    questions: impl FnOnce(Api) -> F + Send + 'static,
) -> (Vec<KeyValue>, Vec<Gap>)
where
    F: Future<Output = ()>,
{
    let begun = Instant::now();
    let (deadline, end) = (begun + budget.saturating_sub(RESERVE), begun + budget);
    let (findings, found) = mpsc::channel();
    let (kubernetes, files) = (kubernetes.clone(), files.clone());
    let started = thread::Builder::new().name("telemetry-kubernetes".into()).spawn(move || {
        // Kube writes what it cannot read into the log, a pod's whole environment included.
        let _unlogged = tracing::subscriber::set_default(NoSubscriber::new());
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return say(&findings, unstarted(&error)),
        };
        runtime.block_on(async {
            match client(&kubernetes, &files) {
                Ok(client) => {
                    let address = format!("{}:{}", kubernetes.host, kubernetes.port);
                    questions(Api { client, address, budget, deadline, findings }).await;
                }
                Err(gap) => say(&findings, gap),
            }
        });
        // A name that is still being looked up holds a thread, which ends by itself.
        runtime.shutdown_background();
    });

    let mut attributes = Vec::new();
    let mut gaps = Vec::new();
    if let Err(error) = started {
        gaps.push(unstarted(&error));
    }
    loop {
        match found.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Finding::Attribute(attribute)) => attributes.push(attribute),
            Ok(Finding::Gap(gap)) => gaps.push(gap),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let why = format!("the API server was not asked to the end within {} s", budget.as_secs());
                gaps.push(Gap { attributes: EVERYTHING, why, remedy: None });
                break;
            }
        }
    }
    (attributes, gaps)
}

fn say(findings: &Sender<Finding>, gap: Gap) {
    // The receiver is gone when the time is over.
    let _ = findings.send(Finding::Gap(gap));
}

fn unstarted(error: &std::io::Error) -> Gap {
    let why = format!("the thread that asks the API server cannot be started: {error}");
    Gap { attributes: EVERYTHING, why, remedy: None }
}

/// A client with the pod's own identity. Its layers are chosen here: kube's ready-made ones install a TLS provider for the
/// whole process and trace what they do.
fn client(kubernetes: &Kubernetes, files: &Files) -> Result<kube::Client, Gap> {
    let unable = |why, remedy: &str| Gap { attributes: EVERYTHING, why, remedy: Some(remedy.into()) };

    let path = files.service_account.join("token");
    let no_token = |reason: &dyn std::fmt::Display| {
        let why = format!("{} holds no service account's token: {reason}", path.display());
        unable(
            why,
            &format!("mount it (automountServiceAccountToken), or set {}=false", names::KUBERNETES_API),
        )
    };
    let token = fs::read_to_string(&path).map_err(|error| no_token(&error))?;
    let mut authorization =
        HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|error| no_token(&error))?;
    authorization.set_sensitive(true);

    let authorities = files.service_account.join("ca.crt");
    let untrusted = |error: &dyn std::error::Error| {
        unable(chain(error), "mount the service account's files as Kubernetes does")
    };
    let tls = Watched::open(TlsFiles { authorities: Some(authorities), identity: None })
        .map_err(|error| untrusted(&error))?
        .client_config()
        .map_err(|error| untrusted(&error))?;

    let Kubernetes { host, port, .. } = kubernetes;
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let uri = Uri::builder().scheme("https").authority(authority).path_and_query("/").build();
    let uri = uri.map_err(|error| {
        let (host_name, port_name) = (names::KUBERNETES_HOST, names::KUBERNETES_PORT);
        unable(
            format!("{host_name}={host} and {port_name}={port} are no address: {error}"),
            "rename the Service whose variables take their place",
        )
    })?;

    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
    let service = ServiceBuilder::new()
        .layer(BaseUriLayer::new(uri))
        .map_request(move |mut request: Request<Body>| {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
            request
        })
        .service(legacy::Client::builder(TokioExecutor::new()).build(https));
    Ok(kube::Client::new(service, "default"))
}

impl Api {
    pub(super) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The time there was for answers.
    pub(super) fn budget(&self) -> Duration {
        self.budget
    }

    /// The time left for them.
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Hands over what is known. Of two values for a key the later counts.
    pub(super) fn tell(&self, attributes: impl IntoIterator<Item = KeyValue>) {
        for attribute in attributes {
            // The receiver is gone when the time is over.
            let _ = self.findings.send(Finding::Attribute(attribute));
        }
    }

    /// Hands over what is not.
    pub(super) fn miss(&self, gap: Gap) {
        say(&self.findings, gap);
    }

    /// The answer to a request for the object called `name`; without one, says so.
    pub(super) async fn ask<T>(
        &self,
        question: &Question,
        name: &str,
        answer: impl Future<Output = kube::Result<T>>,
    ) -> Option<T> {
        let (why, remedy) = match tokio::time::timeout(self.left(), answer).await {
            Ok(Ok(object)) => return Some(object),
            Ok(Err(kube::Error::Api(status))) => {
                let remedy = match status.code {
                    403 => Some(format!("let the pod's service account get {}", question.resource)),
                    404 => question.if_absent.map(str::to_owned),
                    _ => None,
                };
                (format!("{} {name}: {} {}", question.resource, status.code, status.message), remedy)
            }
            Ok(Err(error)) => (chain(&error), Some(self.unreachable())),
            Err(_) => (format!("no answer within {} s", self.budget.as_secs()), Some(self.unreachable())),
        };
        self.miss(Gap { attributes: question.attributes, why, remedy });
        None
    }

    fn unreachable(&self) -> String {
        format!(
            "let the pod reach the API server at {}, or set {}=false",
            self.address,
            names::KUBERNETES_API
        )
    }
}
