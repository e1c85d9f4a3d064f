//! Sends requests to the API server. All requests share one timeout.
//!
//! The requests run on a separate thread with its own runtime, because the caller may already be running inside a
//! runtime. There, tokio does not allow `block_on`. The requests are neither traced nor logged. A failed request is
//! reported as a [`Gap`].

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
use crate::delivery::tls::CertificateWatcher;
use crate::error::chain;
use crate::settings::{Kubernetes, TlsFiles, names};

/// The maximum time for all requests together: name resolution, connections, handshakes and responses.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// The requests must end this much earlier than the timeout. Without this margin, their results could reach the waiting
/// thread after the timeout, because the system can schedule a thread late.
const MARGIN: Duration = Duration::from_millis(100);

/// All attributes that come from the API server.
pub(super) const ALL_ATTRIBUTES: &str = "k8s.cluster.uid, k8s.node.*, k8s.pod.*, the pod's owners, \
    k8s.container.restart_count, container.image.*";

/// A kind of request to the API server.
pub(super) struct Lookup {
    /// The Kubernetes resource with its group, as in an RBAC role.
    pub(super) resource: &'static str,
    /// The attributes that are missing if the request fails.
    pub(super) attributes: &'static str,
    /// What the operator can do if the object does not exist.
    pub(super) remedy_if_absent: Option<&'static str>,
}

/// The client that one detection uses for its requests. It also passes the results to the thread that waits for them.
pub(super) struct Api {
    client: kube::Client,
    address: String,
    timeout: Duration,
    deadline: Instant,
    findings: Sender<Finding>,
}

enum Finding {
    Attribute(KeyValue),
    Gap(Gap),
}

/// Runs `lookups`, and returns the attributes and gaps that they report before `timeout` has passed.
pub(super) fn run<F>(
    kubernetes: &Kubernetes,
    files: &Files,
    timeout: Duration,
    lookups: impl FnOnce(Api) -> F + Send + 'static,
) -> (Vec<KeyValue>, Vec<Gap>)
where
    F: Future<Output = ()>,
{
    let started_at = Instant::now();
    let (deadline, end) = (started_at + timeout.saturating_sub(MARGIN), started_at + timeout);
    let (findings, found) = mpsc::channel();
    let (kubernetes, files) = (kubernetes.clone(), files.clone());
    let started = thread::Builder::new().name("telemetry-kubernetes".into()).spawn(move || {
        // If kube cannot parse a response, it logs the response, which can include the environment variables of the
        // pod. So this thread logs nothing.
        let _no_logs = tracing::subscriber::set_default(NoSubscriber::new());
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return send_gap(&findings, thread_gap(&error)),
        };
        runtime.block_on(async {
            match build_client(&kubernetes, &files) {
                Ok(client) => {
                    let address = format!("{}:{}", kubernetes.host, kubernetes.port);
                    lookups(Api { client, address, timeout, deadline, findings }).await;
                }
                Err(gap) => send_gap(&findings, gap),
            }
        });
        // A name resolution may still be running on a thread of its own. It can take longer than the timeout, so the
        // shutdown does not wait for that thread. The thread exits when the name resolution ends.
        runtime.shutdown_background();
    });

    let mut attributes = Vec::new();
    let mut gaps = Vec::new();
    if let Err(error) = started {
        gaps.push(thread_gap(&error));
    }
    loop {
        match found.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(Finding::Attribute(attribute)) => attributes.push(attribute),
            Ok(Finding::Gap(gap)) => gaps.push(gap),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let reason =
                    format!("the requests to the API server did not finish within {} s", timeout.as_secs());
                gaps.push(Gap { attributes: ALL_ATTRIBUTES, reason, remedy: None });
                break;
            }
        }
    }
    (attributes, gaps)
}

fn send_gap(findings: &Sender<Finding>, gap: Gap) {
    // After the timeout, there is no receiver, so sending fails.
    let _ = findings.send(Finding::Gap(gap));
}

fn thread_gap(error: &std::io::Error) -> Gap {
    let reason = format!("the thread for requests to the API server cannot be started: {error}");
    Gap { attributes: ALL_ATTRIBUTES, reason, remedy: None }
}

/// Builds a client that authenticates with the pod's service account.
///
/// The client does not use kube's default layers, because they trace requests and install a TLS provider for the whole
/// process. If a service installed its own provider later, that installation would then fail.
fn build_client(kubernetes: &Kubernetes, files: &Files) -> Result<kube::Client, Gap> {
    let gap = |reason, remedy: &str| Gap { attributes: ALL_ATTRIBUTES, reason, remedy: Some(remedy.into()) };

    let path = files.service_account.join("token");
    let no_token = |reason: &dyn std::fmt::Display| {
        gap(
            format!("{} cannot be used as a service account token: {reason}", path.display()),
            &format!("set automountServiceAccountToken to true, or set {}=false", names::KUBERNETES_API),
        )
    };
    let token = fs::read_to_string(&path).map_err(|error| no_token(&error))?;
    let mut authorization =
        HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|error| no_token(&error))?;
    authorization.set_sensitive(true);

    let ca_bundle = files.service_account.join("ca.crt");
    let ca_gap = |error: &dyn std::error::Error| {
        gap(chain(error), "mount the service account's files as Kubernetes does")
    };
    let tls = CertificateWatcher::open(TlsFiles { ca_bundle: Some(ca_bundle), identity: None })
        .map_err(|error| ca_gap(&error))?
        .client_config()
        .map_err(|error| ca_gap(&error))?;

    let Kubernetes { host, port, .. } = kubernetes;
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let uri = Uri::builder().scheme("https").authority(authority).path_and_query("/").build();
    let uri = uri.map_err(|error| {
        let (host_name, port_name) = (names::KUBERNETES_HOST, names::KUBERNETES_PORT);
        gap(
            format!("{host_name}={host} and {port_name}={port} are not an address: {error}"),
            "rename the Service that overrides these environment variables",
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

    /// The maximum time for all requests together.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The time that is left for requests.
    pub(super) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Reports attributes. If a key is reported twice, the later value replaces the earlier one.
    pub(super) fn report(&self, attributes: impl IntoIterator<Item = KeyValue>) {
        for attribute in attributes {
            // After the timeout, there is no receiver, so sending fails.
            let _ = self.findings.send(Finding::Attribute(attribute));
        }
    }

    /// Reports attributes that could not be looked up.
    pub(super) fn report_gap(&self, gap: Gap) {
        send_gap(&self.findings, gap);
    }

    /// Waits for the response to a request for the object `name`. Reports a gap and returns `None` if the request fails
    /// or the time for requests is over.
    pub(super) async fn fetch<T>(
        &self,
        lookup: &Lookup,
        name: &str,
        response: impl Future<Output = kube::Result<T>>,
    ) -> Option<T> {
        let (reason, remedy) = match tokio::time::timeout(self.remaining(), response).await {
            Ok(Ok(object)) => return Some(object),
            Ok(Err(kube::Error::Api(status))) => {
                let remedy = match status.code {
                    403 => {
                        Some(format!("grant the pod's service account the verb get on {}", lookup.resource))
                    }
                    404 => lookup.remedy_if_absent.map(str::to_owned),
                    _ => None,
                };
                (format!("{} {name}: {} {}", lookup.resource, status.code, status.message), remedy)
            }
            Ok(Err(error)) => (chain(&error), Some(self.connection_remedy())),
            Err(_) => {
                let reason = format!("no response within {} s", self.timeout.as_secs());
                (reason, Some(self.connection_remedy()))
            }
        };
        self.report_gap(Gap { attributes: lookup.attributes, reason, remedy });
        None
    }

    fn connection_remedy(&self) -> String {
        format!(
            "allow the pod to connect to the API server at {}, or set {}=false",
            self.address,
            names::KUBERNETES_API
        )
    }
}
