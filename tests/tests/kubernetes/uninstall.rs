//! `helm uninstall` removes every object of the release.

use std::time::Duration;

use anyhow::{Result, ensure};
use sightline_tests::poll::eventually;

use crate::cluster::Cluster;
use crate::install::{Install, RELEASE};
use crate::snapshot::Snapshot;

/// The maximum time from the end of `helm uninstall` until all objects are gone. The grace period of pods is at most a
/// minute, and volumes are deleted after the pods.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(90);

pub(crate) async fn uninstall(install: &Install) -> Result<()> {
    uninstall_release(&install.cluster, install.namespace, &install.before).await
}

/// Uninstalls the release and waits until only objects are left that existed before the installation.
pub(crate) async fn uninstall_release(cluster: &Cluster, namespace: &str, before: &Snapshot) -> Result<()> {
    cluster.helm(["uninstall", RELEASE, "--namespace", namespace, "--wait", "--timeout", "2m"]).await?;
    let check = async || {
        let after = Snapshot::take(cluster, namespace).await?;
        let remaining = after.added_since(before);
        ensure!(remaining.is_empty(), "these objects remain: {remaining:?}");
        Ok(())
    };
    eventually("every object of the release is removed", REMOVE_TIMEOUT, check).await
}
