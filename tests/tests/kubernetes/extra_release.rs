//! Further releases of the same name, each in a namespace of its own beside the installation.

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::Jaeger;
use sightline_tests::caller::Caller;
use sightline_tests::test_stack::ORDER;
use sightline_tests::outline::outline;
use sightline_tests::poll::eventually;

use crate::cluster::Cluster;
use crate::forward::Forward;
use crate::install::{Install, DEFAULT_TIMEOUT, helm, make_namespace, settled};
use crate::snapshot::Snapshot;
use crate::{outage, progress, routes, uninstall};

/// A namespace for one.
pub(crate) struct ExtraRelease<'a> {
    cluster: &'a Cluster,
    namespace: &'static str,
    before: Snapshot,
}

impl<'a> ExtraRelease<'a> {
    pub(crate) async fn make(cluster: &'a Cluster, namespace: &'static str) -> Result<Self> {
        make_namespace(cluster, namespace).await?;
        Ok(Self { cluster, namespace, before: Snapshot::take(cluster, namespace).await? })
    }

    /// `helm install` or `helm upgrade` of a chart there, as it comes.
    pub(crate) async fn helm(&self, verb: &str, chart: &str) -> Result<()> {
        progress(format!("helm {verb} of {chart} in {}", self.namespace));
        helm(verb, self.cluster, self.namespace, chart, &[]).await
    }

    /// `make helm-install`, with these arguments of Helm.
    async fn make_helm_install(&self, args: &str) -> Result<()> {
        progress(format!("make helm-install in {} with {args}", self.namespace));
        let variables = [format!("NAMESPACE={}", self.namespace), format!("ARGS={args}")];
        let outcome = self.cluster.make("helm-install", &variables).await;
        settled(outcome, self.cluster, self.namespace).await
    }

    /// Replaces every pod at once. Where the network answers at any address (see [`routes`]), a client that asks before
    /// there is a rule for the Service, and without TLS, talks to that network for as long as it lives. Now there are
    /// rules.
    async fn start_again(&self) -> Result<()> {
        progress(format!("new pods in {}", self.namespace));
        let within = ["--namespace", self.namespace, "--selector", "app.kubernetes.io/instance=sightline"];
        self.cluster.kubectl(["delete", "pods"].into_iter().chain(within)).await?;
        let workloads = ["get", "deployments,statefulsets,daemonsets", "--output", "name"];
        let workloads = self.cluster.kubectl(workloads.into_iter().chain(within)).await?;
        for workload in workloads.lines() {
            self.cluster.rolled_out(self.namespace, workload).await?;
        }
        routes::wait_for_service_routes(self.cluster, self.namespace).await
    }

    /// An order is served there and leaves its whole trace.
    pub(crate) async fn order(&self) -> Result<()> {
        let orders =
            Forward::start(self.cluster, self.namespace, "svc/sightline-order-service", 8081).await?;
        let jaeger = Forward::start(self.cluster, self.namespace, "svc/sightline-jaeger", 16686).await?;
        let (http, jaeger) = (reqwest::Client::builder().no_proxy().build()?, Jaeger::local(jaeger.port())?);
        let url = orders.url()?;
        let response = Caller::new().get(&http, &url, "orders/7").await?;
        ensure!(response.status == 200, "{response:?}");
        let id = response.trace;
        let check = async || {
            let trace = jaeger.trace(&id).await?.context("nothing of it is stored")?;
            let seen = outline(&trace);
            ensure!(seen == ORDER, "this is stored:\n{seen}instead of:\n{ORDER}");
            Ok(())
        };
        eventually(format!("the trace of an order in {} is whole", self.namespace), DEFAULT_TIMEOUT, check).await
    }

    /// What the service says that people ask, which has every request pass it.
    async fn last_words(&self) -> String {
        let args =
            ["logs", "deployment/sightline-order-service", "--tail", "8", "--namespace", self.namespace];
        match self.cluster.kubectl(args).await {
            Ok(log) => format!("the last lines of order-service:\n{log}"),
            Err(error) => format!("order-service has no log: {error:#}"),
        }
    }

    /// Uninstalls it, and the namespace is as it was before. Also after a failure, which is then what is told.
    pub(crate) async fn remove(self, outcome: Result<()>) -> Result<()> {
        let outcome = match outcome {
            Err(error) => Err(error.context(self.last_words().await)),
            served => served,
        };
        let removed = uninstall::nothing_is_left(self.cluster, self.namespace, &self.before).await;
        self.cluster.kubectl(["delete", "namespace", self.namespace, "--wait=false"]).await?;
        outcome.and(removed)
    }
}

/// Without TLS and with nothing on Jaeger's disk: what someone tries first on a laptop. There Jaeger goes away, too.
pub(crate) async fn plaintext_in_memory(install: &Install) -> Result<()> {
    let beside = ExtraRelease::make(&install.cluster, "sightline-e2e-plaintext").await?;
    let values =
        format!("--set global.tls.mode=disabled,jaeger.storage.type=memory --values {}", outage::VALUES);
    let outcome = async {
        beside.make_helm_install(&values).await?;
        beside.start_again().await?;
        beside.order().await?;
        outage::of_jaeger(beside.cluster, beside.namespace).await.context("Jaeger is away")
    };
    let outcome = outcome.await;
    beside.remove(outcome).await
}
