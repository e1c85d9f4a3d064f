//! The objects in a namespace and the cluster-wide objects of a release.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::install::RELEASE;

/// The kinds that a snapshot does not include. Events are created by many controllers and expire after an hour.
const EVENTS: [&str; 2] = ["events", "events.events.k8s.io"];

/// The names of objects as kubectl prints them, such as `secret/sightline-ca`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeSet<String>);

impl Snapshot {
    /// Lists all objects in the namespace, and the cluster-wide objects with the label of the release.
    pub(crate) async fn take(cluster: &Cluster, namespace: &str) -> Result<Self> {
        let inside = kinds(cluster, true).await?;
        let mut all = names(cluster, &["get", &inside, "--namespace", namespace]).await?;
        let outside = kinds(cluster, false).await?;
        let label = format!("app.kubernetes.io/instance={RELEASE}");
        all.extend(names(cluster, &["get", &outside, "--selector", &label]).await?);
        // Volumes do not have the release's label, but they contain the namespace of their claim.
        let claims = "jsonpath={range .items[?(@.status.phase=='Bound')]}{.spec.claimRef.namespace}/{.metadata.name}{'\\n'}{end}";
        let volumes = cluster.kubectl(["get", "persistentvolumes", "--output", claims]).await?;
        let ours = volumes.lines().filter_map(|line| line.strip_prefix(namespace)?.strip_prefix('/'));
        all.extend(ours.map(|name| format!("persistentvolume/{name}")));
        Ok(Self(all))
    }

    /// Returns the objects that are not in an earlier snapshot.
    pub(crate) fn added_since<'a>(&'a self, earlier: &'a Self) -> Vec<&'a str> {
        self.0.difference(&earlier.0).map(String::as_str).collect()
    }
}

async fn names(cluster: &Cluster, args: &[&str]) -> Result<BTreeSet<String>> {
    let args = args.iter().copied().chain(["--output", "name", "--ignore-not-found"]);
    Ok(cluster.kubectl(args).await?.lines().map(str::to_owned).collect())
}

/// Returns a comma-separated list of the kinds whose objects can be listed.
async fn kinds(cluster: &Cluster, namespaced: bool) -> Result<String> {
    let namespaced = format!("--namespaced={namespaced}");
    let args = ["api-resources", "--verbs", "list", "--output", "name", &namespaced];
    let kinds = cluster.kubectl(args).await?;
    Ok(kinds.lines().filter(|kind| !EVENTS.contains(kind)).collect::<Vec<_>>().join(","))
}
