//! `helm uninstall` takes away all that came with the release.

use std::time::Duration;

use anyhow::{Result, ensure};
use sightline_tests::poll::eventually;

use crate::cluster::Cluster;
use crate::install::{Install, RELEASE};
use crate::snapshot::Snapshot;

/// Pods have thirty seconds to end, and volumes go after them.
const GONE: Duration = Duration::from_secs(90);

pub(crate) async fn uninstall(install: &Install) -> Result<()> {
    nothing_is_left(&install.cluster, install.namespace, &install.before).await
}

/// Uninstalls the release, and waits until the namespace is as it was before.
pub(crate) async fn nothing_is_left(cluster: &Cluster, namespace: &str, before: &Snapshot) -> Result<()> {
    cluster.helm(["uninstall", RELEASE, "--namespace", namespace, "--wait", "--timeout", "2m"]).await?;
    let check = async || {
        let after = Snapshot::take(cluster, namespace).await?;
        let left = after.beyond(before);
        ensure!(left.is_empty(), "left are {left:?}");
        Ok(())
    };
    eventually("nothing of the release is left", GONE, check).await
}
