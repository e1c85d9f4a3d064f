//! The installation of the chart that most tests share, and helpers for all installations.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sightline::certs::TlsFiles;
use sightline::jaeger::{Jaeger, Trace, TraceId};
use sightline_tests::caller::Caller;
use sightline_tests::examples::ORDER;
use sightline_tests::outline::outline;
use sightline_tests::poll::eventually;
use sightline_tests::test_stack::root;

use crate::cluster::Cluster;
use crate::forward::Forward;
use crate::snapshot::Snapshot;
use crate::{go_service, memory, progress, routes};

/// The release name, as in `helm install sightline helm/sightline`.
pub(crate) const RELEASE: &str = "sightline";

/// The namespace of the shared installation.
pub(crate) const NAMESPACE: &str = "sightline-e2e";

/// The maximum time from a request until its telemetry is stored. Other waits use the same time. It is long enough for
/// a machine whose two processors run both nodes of the cluster. It includes the time in which a service collects spans
/// before an export, and the time in which the gateway waits for the spans of a trace.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

/// The timeout for Helm, in Helm's format. Each pod takes only seconds to start, but the pods start one after another.
pub(crate) const HELM_TIMEOUT: &str = "4m";

/// The names of the services, in telemetry and in the chart.
pub(crate) const SERVICES: [&str; 3] = ["user-service", "order-service", "inventory-service"];

/// The shared release in its namespace.
#[derive(Debug)]
pub(crate) struct Install {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: &'static str,
    pub(crate) http: reqwest::Client,
    pub(crate) orders: Forward,
    pub(crate) jaeger: Jaeger,
    _jaeger: Forward,
    /// The objects that existed before the installation.
    pub(crate) before: Snapshot,
    measurements: Mutex<Vec<String>>,
}

impl Install {
    /// Creates the cluster, installs the chart in a namespace that enforces the `restricted` Pod Security Standard, and
    /// waits for the first trace.
    pub(crate) async fn start() -> Result<Self> {
        let started = Instant::now();
        let cluster = Cluster::up().await?;
        go_service::load_image(&cluster).await?;
        // By default kind runs no workloads on the first of two nodes. The tests need pods on both nodes.
        let taints = ["get", "nodes", "--output", "jsonpath={.items[*].spec.taints[*].key}"];
        let (role, taints) = ("node-role.kubernetes.io/control-plane", cluster.kubectl(taints).await?);
        if taints.contains(role) {
            cluster.kubectl(["taint", "nodes", "--selector", role, &format!("{role}-")]).await?;
        }
        progress("creating the namespace");
        create_namespace(&cluster, NAMESPACE).await?;
        let before = Snapshot::take(&cluster, NAMESPACE).await?;
        progress("helm install");
        let chart = chart();
        helm("install", &cluster, NAMESPACE, &chart.display().to_string(), &values()).await?;
        let installed = started.elapsed();
        let orders = Forward::start(&cluster, NAMESPACE, "svc/sightline-order-service", 8081).await?;
        let jaeger = Forward::start(&cluster, NAMESPACE, "svc/sightline-jaeger", 16686).await?;
        let install = Self {
            namespace: NAMESPACE,
            // The client has no connection pool, because a pooled connection breaks when the port is forwarded to
            // another pod.
            http: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?,
            jaeger: Jaeger::local(jaeger.port())?,
            orders,
            _jaeger: jaeger,
            before,
            measurements: Mutex::default(),
            cluster,
        };
        progress("waiting for the first trace");
        install.request_order().await?;
        install.add_measurement(format!(
            "time from make kind-up to the end of the installation: {:.0} s, to the first trace: {:.0} s",
            installed.as_secs_f64(),
            started.elapsed().as_secs_f64()
        ));
        let memory = memory::measure(&install.cluster, NAMESPACE).await?;
        install.add_measurement(format!("memory without load, MiB:\n{}", memory::table(&memory)));
        Ok(install)
    }

    /// Adds a text to the measurements that are printed after the tests.
    pub(crate) fn add_measurement(&self, text: String) {
        self.measurements.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// Returns the measurements that were added so far.
    pub(crate) fn measurements(&self) -> Vec<String> {
        self.measurements.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Requests an order, waits until its trace is complete, and returns the trace.
    pub(crate) async fn request_order(&self) -> Result<Trace> {
        let response = Caller::new().get(&self.http, &self.orders.url()?, "orders/7").await?;
        ensure!(response.status == 200, "{response:?}");
        self.wait_for_trace(&response.trace, ORDER).await
    }

    /// Waits until a trace is stored with exactly this shape (see [`outline`]).
    pub(crate) async fn wait_for_trace(&self, id: &TraceId, shape: &str) -> Result<Trace> {
        let check = async || {
            let trace = self.jaeger.trace(id).await?.context("no span of the trace is stored")?;
            let stored = outline(&trace);
            ensure!(stored == shape, "stored:\n{stored}expected:\n{shape}");
            Ok(trace)
        };
        eventually(format!("trace {id} is stored with the expected shape"), DEFAULT_TIMEOUT, check).await
    }

    /// Sends a query to an API of the stores, through the proxy in front of the pages.
    pub(crate) async fn page(&self, path: &str, query: &str) -> Result<String> {
        let url = format!("{}{path}", self.jaeger.address());
        let url = url::Url::parse_with_params(&url, [("query", query)])?;
        let response = self.http.get(url).send().await?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(status.is_success(), "{path} responded with {status}: {text}");
        Ok(text)
    }

    /// Runs kubectl in this namespace. See [`Cluster::kubectl`].
    pub(crate) async fn kubectl<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.cluster.kubectl(["--namespace", self.namespace].into_iter().chain(args)).await
    }

    /// Returns the objects of this kind with these labels in this namespace.
    pub(crate) async fn list(&self, kind: &str, labels: &str) -> Result<Vec<Value>> {
        self.cluster.list(self.namespace, kind, labels).await
    }

    /// Returns the pods of a component that are not terminating. Components are the services, `agent`, `gateway` and
    /// `jaeger`.
    pub(crate) async fn pods(&self, component: &str) -> Result<Vec<Value>> {
        let pods = self.list("pods", &selector(component)).await?;
        Ok(pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect())
    }

    /// Returns the restart count of each pod of the release, by pod name.
    pub(crate) async fn restart_counts(&self) -> Result<BTreeMap<String, u64>> {
        self.cluster.restart_counts(self.namespace, &format!("app.kubernetes.io/instance={RELEASE}")).await
    }

    /// Waits until the rollout of a workload, such as `deployment/NAME`, is complete.
    pub(crate) async fn wait_for_rollout(&self, workload: &str) -> Result<()> {
        self.cluster.wait_for_rollout(self.namespace, workload).await
    }

    /// Writes the certificate, key and CA of a component to files in `dir`.
    pub(crate) async fn tls_files(&self, component: &str, dir: &std::path::Path) -> Result<TlsFiles> {
        let dir = dir.join(component);
        std::fs::create_dir_all(&dir)?;
        for file in ["ca.crt", "tls.crt", "tls.key"] {
            let template = format!("go-template={{{{index .data {file:?} | base64decode}}}}");
            let secret = format!("secret/{RELEASE}-{component}-tls");
            std::fs::write(dir.join(file), self.kubectl(["get", &secret, "--output", &template]).await?)?;
        }
        Ok(TlsFiles::in_dir(&dir))
    }
}

/// Runs `helm install` or `helm upgrade`, and waits until all pods are ready and all Services are reachable. An error
/// lists the pods and warning events.
pub(crate) async fn helm(
    verb: &str,
    cluster: &Cluster,
    namespace: &str,
    chart: &str,
    values: &[String],
) -> Result<()> {
    let args = [verb, RELEASE, chart, "--namespace", namespace, "--wait", "--timeout", HELM_TIMEOUT];
    let outcome = cluster.helm(args.into_iter().chain(values.iter().map(String::as_str))).await.map(drop);
    wait_until_reachable(outcome, cluster, namespace).await
}

/// If `outcome` is a success, waits until the Services in the namespace are reachable. If `outcome` is an error, adds
/// the namespace's pods and warning events to the error.
pub(crate) async fn wait_until_reachable(
    outcome: Result<()>,
    cluster: &Cluster,
    namespace: &str,
) -> Result<()> {
    let Err(error) = outcome else {
        return routes::wait_for_service_routes(cluster, namespace).await;
    };
    let pods = cluster.kubectl(["get", "pods", "--namespace", namespace, "--output", "wide"]).await?;
    let events = ["get", "events", "--namespace", namespace, "--field-selector", "type!=Normal"];
    let events = cluster.kubectl(events).await?;
    Err(error.context(format!("installing or upgrading the chart failed\n{pods}\n{events}")))
}

/// Creates an empty namespace that enforces the `restricted` Pod Security Standard. An existing namespace with this
/// name is deleted first.
pub(crate) async fn create_namespace(cluster: &Cluster, name: &str) -> Result<()> {
    cluster.kubectl(["delete", "namespace", name, "--ignore-not-found", "--wait", "--timeout", "3m"]).await?;
    cluster.kubectl(["create", "namespace", name]).await?;
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(["label", "namespace", name, enforce]).await?;
    // Pods need these objects. Controllers create them shortly after the namespace.
    let check = async || {
        cluster
            .kubectl(["get", "--namespace", name, "serviceaccount/default", "configmap/kube-root-ca.crt"])
            .await
    };
    eventually(format!("namespace {name} is ready"), DEFAULT_TIMEOUT, check).await.map(drop)
}

/// The directory of the chart in this checkout.
pub(crate) fn chart() -> PathBuf {
    root().join("helm/sightline")
}

/// The Helm arguments for the values file of these tests.
pub(crate) fn values() -> Vec<String> {
    let file = root().join("tests/tests/kubernetes/values.yaml");
    vec!["--values".to_owned(), file.display().to_string()]
}

/// Returns the label selector for the pods of a component. The agent and the gateway are in one subchart, and only the
/// label `component` distinguishes them.
pub(crate) fn selector(component: &str) -> String {
    let key = if matches!(component, "agent" | "gateway") { "component" } else { "name" };
    format!("app.kubernetes.io/instance={RELEASE},app.kubernetes.io/{key}={component}")
}

/// Returns the string at a JSON pointer (RFC 6901) in an object.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> Result<&'a str> {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("{pointer} is not a string in {object}"))
}
