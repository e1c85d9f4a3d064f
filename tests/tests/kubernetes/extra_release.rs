//! Releases of the chart in addition to the shared installation. They all have the same name, and each one has its own
//! namespace.

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::Jaeger;
use sightline_tests::caller::Caller;
use sightline_tests::examples::ORDER;
use sightline_tests::outline::outline;
use sightline_tests::poll::eventually;
use tokio::sync::OnceCell;

use crate::cluster::{Cluster, stdout};
use crate::forward::Forward;
use crate::install::{DEFAULT_TIMEOUT, Install, create_namespace, helm, wait_until_reachable};
use crate::snapshot::Snapshot;
use crate::{outage, progress, routes, uninstall};

/// A release of the chart in its own namespace.
pub(crate) struct ExtraRelease {
    cluster: Cluster,
    namespace: &'static str,
    before: Snapshot,
}

impl ExtraRelease {
    /// Creates the namespace. Nothing is installed yet.
    pub(crate) async fn create(cluster: &Cluster, namespace: &'static str) -> Result<Self> {
        create_namespace(cluster, namespace).await?;
        Ok(Self { cluster: cluster.clone(), namespace, before: Snapshot::take(cluster, namespace).await? })
    }

    /// Runs `helm install` or `helm upgrade` with the default values of a chart.
    pub(crate) async fn helm(&self, verb: &str, chart: &str) -> Result<()> {
        progress(format!("helm {verb} {chart} in {}", self.namespace));
        helm(verb, &self.cluster, self.namespace, chart, &[]).await
    }

    /// Runs `make helm-install` with these Helm arguments.
    async fn make_helm_install(&self, args: &str) -> Result<()> {
        progress(format!("make helm-install in {} with {args}", self.namespace));
        let variables = [format!("NAMESPACE={}", self.namespace), format!("ARGS={args}")];
        let output = self.cluster.make_command("helm-install", &variables).output().await;
        let outcome = stdout("make helm-install", output.context("running make failed")?).map(drop);
        wait_until_reachable(outcome, &self.cluster, self.namespace).await
    }

    /// Deletes every pod and waits for the new ones.
    ///
    /// Without TLS, a client can be connected to the wrong server if it connected before its node had a route for the
    /// Service (see [`routes`]). The client keeps that connection. When the new pods start, the routes exist, so the
    /// new pods connect to the Service.
    async fn replace_pods(&self) -> Result<()> {
        progress(format!("replacing the pods in {}", self.namespace));
        let selection = ["--namespace", self.namespace, "--selector", "app.kubernetes.io/instance=sightline"];
        self.cluster.kubectl(["delete", "pods"].into_iter().chain(selection)).await?;
        let workloads = ["get", "deployments,statefulsets,daemonsets", "--output", "name"];
        let workloads = self.cluster.kubectl(workloads.into_iter().chain(selection)).await?;
        for workload in workloads.lines() {
            self.cluster.wait_for_rollout(self.namespace, workload).await?;
        }
        routes::wait_for_service_routes(&self.cluster, self.namespace).await
    }

    /// Requests an order and waits until its trace is complete.
    pub(crate) async fn request_order(&self) -> Result<()> {
        let orders =
            Forward::start(&self.cluster, self.namespace, "svc/sightline-order-service", 8081).await?;
        let jaeger = Forward::start(&self.cluster, self.namespace, "svc/sightline-jaeger", 16686).await?;
        let (http, jaeger) = (reqwest::Client::builder().no_proxy().build()?, Jaeger::local(jaeger.port())?);
        let url = orders.url()?;
        let response = Caller::new().get(&http, &url, "orders/7").await?;
        ensure!(response.status == 200, "{response:?}");
        let id = response.trace;
        let check = async || {
            let trace = jaeger.trace(&id).await?.context("no span of the trace is stored")?;
            let stored = outline(&trace);
            ensure!(stored == ORDER, "stored:\n{stored}expected:\n{ORDER}");
            Ok(())
        };
        eventually(format!("the trace of an order in {} is complete", self.namespace), DEFAULT_TIMEOUT, check)
            .await
    }

    /// Returns the end of order-service's log. Every request passes through this service.
    async fn log_tail(&self) -> String {
        let args =
            ["logs", "deployment/sightline-order-service", "--tail", "8", "--namespace", self.namespace];
        match self.cluster.kubectl(args).await {
            Ok(log) => format!("last log lines of order-service:\n{log}"),
            Err(error) => format!("reading the log of order-service failed: {error:#}"),
        }
    }

    /// Adds the end of order-service's log to an error.
    async fn explain(&self, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(error) => Err(error.context(self.log_tail().await)),
            success => success,
        }
    }

    /// Uninstalls the release, checks that nothing is left, and deletes the namespace. If `outcome` is an error,
    /// returns the error together with the end of order-service's log.
    pub(crate) async fn remove(&self, outcome: Result<()>) -> Result<()> {
        let outcome = self.explain(outcome).await;
        let removed = uninstall::uninstall_release(&self.cluster, self.namespace, &self.before).await;
        self.cluster.kubectl(["delete", "namespace", self.namespace, "--wait=false"]).await?;
        outcome.and(removed)
    }
}

/// A release without TLS and with Jaeger's storage in memory, as for a first trial on a laptop. Several cases use it.
/// The first of these cases installs it.
#[derive(Default)]
pub(crate) struct Plaintext(OnceCell<ExtraRelease>);

impl Plaintext {
    async fn release(&self, install: &Install) -> Result<&ExtraRelease> {
        let create = async || ExtraRelease::create(&install.cluster, "sightline-e2e-plaintext").await;
        let is_new = !self.0.initialized();
        let release = self.0.get_or_try_init(create).await?;
        if is_new {
            // Without claims, because a cluster for tests may have only a few volumes.
            let values = format!(
                "--set global.tls.mode=disabled,jaeger.storage.type=memory,jaeger.persistence.enabled=false \
                 --values {}",
                outage::VALUES
            );
            release.explain(release.make_helm_install(&values).await).await?;
            release.replace_pods().await?;
        }
        Ok(release)
    }
}

pub(crate) async fn serves_an_order(install: &Install, plaintext: &Plaintext) -> Result<()> {
    let release = plaintext.release(install).await?;
    release.explain(release.request_order().await).await
}

pub(crate) async fn survives_jaeger_outage(install: &Install, plaintext: &Plaintext) -> Result<()> {
    let release = plaintext.release(install).await?;
    release.explain(outage::survives_jaeger_outage(&release.cluster, release.namespace).await).await
}

/// Uninstalls the release, if a case has installed it.
pub(crate) async fn uninstall(_: &Install, plaintext: &Plaintext) -> Result<()> {
    match plaintext.0.get() {
        Some(release) => release.remove(Ok(())).await,
        None => Ok(()),
    }
}
