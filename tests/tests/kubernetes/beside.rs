//! Further releases of the same name, each in a namespace of its own beside the installation.

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::Jaeger;
use sightline_tests::caller::Caller;
use sightline_tests::lab::ORDER;
use sightline_tests::outline::outline;
use sightline_tests::poll::eventually;

use crate::cluster::Cluster;
use crate::forward::Forward;
use crate::install::{Install, SOON, chart, helm_install, make_namespace};
use crate::inventory::Inventory;
use crate::{progress, uninstall};

/// A namespace for one.
pub(crate) struct Beside<'a> {
    cluster: &'a Cluster,
    namespace: &'static str,
    before: Inventory,
}

impl<'a> Beside<'a> {
    pub(crate) async fn make(cluster: &'a Cluster, namespace: &'static str) -> Result<Self> {
        make_namespace(cluster, namespace).await?;
        Ok(Self { cluster, namespace, before: Inventory::take(cluster, namespace).await? })
    }

    /// Installs a chart there, or upgrades to it.
    pub(crate) async fn install(&self, chart: &str, values: &[&str]) -> Result<()> {
        progress(format!("installs {chart} in {} {}", self.namespace, values.join(" ")));
        let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
        helm_install(self.cluster, self.namespace, chart, &values).await
    }

    /// An order is served there and leaves its whole trace.
    pub(crate) async fn order(&self) -> Result<()> {
        let orders =
            Forward::start(self.cluster, self.namespace, "svc/sightline-order-service", 8081).await?;
        let jaeger = Forward::start(self.cluster, self.namespace, "svc/sightline-jaeger", 16686).await?;
        let (http, jaeger) = (reqwest::Client::builder().no_proxy().build()?, Jaeger::local(jaeger.port())?);
        let url = orders.url()?;
        // A service is ready before every node has its address.
        let ask = async || {
            let answer = Caller::new().get(&http, &url, "orders/7").await?;
            ensure!(answer.status == 200, "{answer:?}");
            Ok(answer.trace)
        };
        let id = eventually(format!("an order is served in {}", self.namespace), SOON, ask).await?;
        let look = async || {
            let trace = jaeger.trace(&id).await?.context("nothing of it is stored")?;
            let seen = outline(&trace);
            ensure!(seen == ORDER, "this is stored:\n{seen}instead of:\n{ORDER}");
            Ok(())
        };
        eventually(format!("the trace of an order in {} is whole", self.namespace), SOON, look).await
    }

    /// Uninstalls it, and the namespace is as it was before. Also after a failure, which is then what is told.
    pub(crate) async fn remove(self, outcome: Result<()>) -> Result<()> {
        let removed = uninstall::nothing_is_left(self.cluster, self.namespace, &self.before).await;
        self.cluster.kubectl(["delete", "namespace", self.namespace, "--wait=false"]).await?;
        outcome.and(removed)
    }
}

/// Without TLS and with nothing on disk: what someone tries first on a laptop.
pub(crate) async fn plaintext_in_memory(install: &Install) -> Result<()> {
    let beside = Beside::make(&install.cluster, "sightline-e2e-plaintext").await?;
    let values = ["--set", "global.tls.mode=disabled,jaeger.storage.type=memory"];
    let outcome = async {
        beside.install(&chart().display().to_string(), &values).await?;
        beside.order().await
    };
    let outcome = outcome.await;
    beside.remove(outcome).await
}
