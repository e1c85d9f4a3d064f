//! The chart, installed once for most tests, and the ways into it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sightline::certs::TlsFiles;
use sightline::jaeger::{Jaeger, Trace, TraceId};
use sightline_tests::caller::Caller;
use sightline_tests::test_stack::{ORDER, root};
use sightline_tests::outline::outline;
use sightline_tests::poll::eventually;

use crate::cluster::Cluster;
use crate::forward::Forward;
use crate::snapshot::Snapshot;
use crate::{memory, progress, routes};

/// What a person would type in `helm install sightline helm/sightline`.
pub(crate) const RELEASE: &str = "sightline";

/// Namespace of the installation that most tests share.
pub(crate) const NAMESPACE: &str = "sightline-e2e";

/// How long telemetry may take here: the batch, the gateway's wait, and a machine with two processors for two nodes.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

/// As Helm takes a time: pods start within seconds, after each other.
pub(crate) const READY: &str = "4m";

/// The services, by the names they have in telemetry and in the chart.
pub(crate) const SERVICES: [&str; 3] = ["user-service", "order-service", "inventory-service"];

/// A release in a namespace of its own.
#[derive(Debug)]
pub(crate) struct Install {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: &'static str,
    pub(crate) http: reqwest::Client,
    pub(crate) orders: Forward,
    pub(crate) jaeger: Jaeger,
    _jaeger: Forward,
    /// What the namespace held before.
    pub(crate) before: Snapshot,
    figures: Mutex<Vec<String>>,
}

impl Install {
    /// Makes the cluster, installs the chart in a namespace that enforces `restricted`, and waits for the first trace.
    pub(crate) async fn start() -> Result<Self> {
        let began = Instant::now();
        let cluster = Cluster::up().await?;
        // kind keeps workloads off the first of two nodes, and what is to be seen here is how they spread.
        let taints = ["get", "nodes", "--output", "jsonpath={.items[*].spec.taints[*].key}"];
        let (role, taints) = ("node-role.kubernetes.io/control-plane", cluster.kubectl(taints).await?);
        if taints.contains(role) {
            cluster.kubectl(["taint", "nodes", "--selector", role, &format!("{role}-")]).await?;
        }
        progress("an empty namespace");
        make_namespace(&cluster, NAMESPACE).await?;
        let before = Snapshot::take(&cluster, NAMESPACE).await?;
        progress("helm install");
        let chart = chart();
        helm("install", &cluster, NAMESPACE, &chart.display().to_string(), &values()).await?;
        let installed = began.elapsed();
        let orders = Forward::start(&cluster, NAMESPACE, "svc/sightline-order-service", 8081).await?;
        let jaeger = Forward::start(&cluster, NAMESPACE, "svc/sightline-jaeger", 16686).await?;
        let install = Self {
            namespace: NAMESPACE,
            // Without a pool: a port that is led elsewhere leaves no connection that is already dead.
            http: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?,
            jaeger: Jaeger::local(jaeger.port())?,
            orders,
            _jaeger: jaeger,
            before,
            figures: Mutex::default(),
            cluster,
        };
        progress("the first trace");
        install.request_order().await?;
        install.figure(format!(
            "from make kind-up to installed {:.0} s, to the first trace {:.0} s",
            installed.as_secs_f64(),
            began.elapsed().as_secs_f64()
        ));
        let rest = memory::held(&install.cluster, NAMESPACE).await?;
        install.figure(format!("memory at rest, MiB:\n{}", memory::table(&rest)));
        Ok(install)
    }

    /// Keeps a line for the end.
    pub(crate) fn figure(&self, line: String) {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// What was kept.
    pub(crate) fn figures(&self) -> Vec<String> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A new order, and its trace when it is whole.
    pub(crate) async fn order(&self) -> Result<Trace> {
        let response = Caller::new().get(&self.http, &self.orders.url()?, "orders/7").await?;
        ensure!(response.status == 200, "{response:?}");
        self.trace(&response.trace, ORDER).await
    }

    /// Waits until this trace is stored with exactly this shape.
    pub(crate) async fn trace(&self, id: &TraceId, shape: &str) -> Result<Trace> {
        let check = async || {
            let trace = self.jaeger.trace(id).await?.context("nothing of it is stored")?;
            let seen = outline(&trace);
            ensure!(seen == shape, "this is stored:\n{seen}instead of:\n{shape}");
            Ok(trace)
        };
        eventually(format!("trace {id} is stored as it should be"), DEFAULT_TIMEOUT, check).await
    }

    /// `kubectl … --namespace` this one.
    pub(crate) async fn kubectl<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<String> {
        self.cluster.kubectl(["--namespace", self.namespace].into_iter().chain(args)).await
    }

    /// The objects of this kind and with these labels, in this namespace.
    pub(crate) async fn list(&self, kind: &str, labels: &str) -> Result<Vec<Value>> {
        self.cluster.list(self.namespace, kind, labels).await
    }

    /// The running pods of a part of the release: `user-service`, `agent`, `gateway`, `jaeger`.
    pub(crate) async fn pods(&self, part: &str) -> Result<Vec<Value>> {
        let pods = self.list("pods", &selector(part)).await?;
        Ok(pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect())
    }

    /// How often the containers of each pod were started again: equal while nothing restarts.
    pub(crate) async fn starts(&self) -> Result<BTreeMap<String, u64>> {
        self.cluster.restart_counts(self.namespace, &format!("app.kubernetes.io/instance={RELEASE}")).await
    }

    /// Waits until a workload is as it was asked for: `deployment/NAME`.
    pub(crate) async fn rolled_out(&self, workload: &str) -> Result<()> {
        self.cluster.rolled_out(self.namespace, workload).await
    }

    /// The certificate of a part, as three files in `dir`.
    pub(crate) async fn tls_files(&self, part: &str, dir: &std::path::Path) -> Result<TlsFiles> {
        let dir = dir.join(part);
        std::fs::create_dir_all(&dir)?;
        for file in ["ca.crt", "tls.crt", "tls.key"] {
            let template = format!("go-template={{{{index .data {file:?} | base64decode}}}}");
            let secret = format!("secret/{RELEASE}-{part}-tls");
            std::fs::write(dir.join(file), self.kubectl(["get", &secret, "--output", &template]).await?)?;
        }
        Ok(TlsFiles::of(&dir))
    }
}

/// `helm VERB`, which is `install` or `upgrade`, waiting until everything is ready. Says what is not when it fails.
pub(crate) async fn helm(
    verb: &str,
    cluster: &Cluster,
    namespace: &str,
    chart: &str,
    values: &[String],
) -> Result<()> {
    let args = [verb, RELEASE, chart, "--namespace", namespace, "--wait", "--timeout", READY];
    let outcome = cluster.helm(args.into_iter().chain(values.iter().map(String::as_str))).await.map(drop);
    settled(outcome, cluster, namespace).await
}

/// Waits until what was installed is reached by its names; of a failure to install it tells what the cluster says.
pub(crate) async fn settled(outcome: Result<()>, cluster: &Cluster, namespace: &str) -> Result<()> {
    let Err(error) = outcome else {
        return routes::wait_for_service_routes(cluster, namespace).await;
    };
    let pods = cluster.kubectl(["get", "pods", "--namespace", namespace, "--output", "wide"]).await?;
    let events = ["get", "events", "--namespace", namespace, "--field-selector", "type!=Normal"];
    let events = cluster.kubectl(events).await?;
    Err(error.context(format!("the chart does not install\n{pods}\n{events}")))
}

/// A namespace that enforces the `restricted` Pod Security Standard, and has nothing in it.
pub(crate) async fn make_namespace(cluster: &Cluster, name: &str) -> Result<()> {
    cluster.kubectl(["delete", "namespace", name, "--ignore-not-found", "--wait", "--timeout", "3m"]).await?;
    cluster.kubectl(["create", "namespace", name]).await?;
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(["label", "namespace", name, enforce]).await?;
    // The controller that makes these is not faster than us.
    let check = async || {
        cluster
            .kubectl(["get", "--namespace", name, "serviceaccount/default", "configmap/kube-root-ca.crt"])
            .await
    };
    eventually(format!("namespace {name} is ready"), DEFAULT_TIMEOUT, check).await.map(drop)
}

/// The chart of this checkout.
pub(crate) fn chart() -> PathBuf {
    root().join("helm/sightline")
}

/// What these tests change of the chart's defaults, as arguments of Helm.
pub(crate) fn values() -> Vec<String> {
    let file = root().join("tests/tests/kubernetes/values.yaml");
    vec!["--values".to_owned(), file.display().to_string()]
}

/// The labels that select the pods of a part. Agent and gateway are two components of one part of the chart.
pub(crate) fn selector(part: &str) -> String {
    let key = if matches!(part, "agent" | "gateway") { "component" } else { "name" };
    format!("app.kubernetes.io/instance={RELEASE},app.kubernetes.io/{key}={part}")
}

/// Text at this place (RFC 6901) of an object.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> Result<&'a str> {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .with_context(|| format!("{pointer} is no text in {object}"))
}
