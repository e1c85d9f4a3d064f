//! Everything there is in a namespace, and what bears a release's label outside of it.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::install::RELEASE;

/// Written by many, kept for an hour, and no part of anything.
const EVENTS: [&str; 2] = ["events", "events.events.k8s.io"];

/// Names of objects, as kubectl prints them: `secret/sightline-ca`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot(BTreeSet<String>);

impl Snapshot {
    /// Of every kind that can be listed: all in the namespace, and cluster-wide those of releases of our name.
    pub(crate) async fn take(cluster: &Cluster, namespace: &str) -> Result<Self> {
        let inside = kinds(cluster, true).await?;
        let mut all = names(cluster, &["get", &inside, "--namespace", namespace]).await?;
        let outside = kinds(cluster, false).await?;
        let label = format!("app.kubernetes.io/instance={RELEASE}");
        all.extend(names(cluster, &["get", &outside, "--selector", &label]).await?);
        // Volumes have no label of ours: their claim says whose they are.
        let claims = "jsonpath={range .items[?(@.status.phase=='Bound')]}{.spec.claimRef.namespace}/{.metadata.name}{'\\n'}{end}";
        let volumes = cluster.kubectl(["get", "persistentvolumes", "--output", claims]).await?;
        let ours = volumes.lines().filter_map(|line| line.strip_prefix(namespace)?.strip_prefix('/'));
        all.extend(ours.map(|name| format!("persistentvolume/{name}")));
        Ok(Self(all))
    }

    /// What is here and not in the other.
    pub(crate) fn beyond<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        self.0.difference(&other.0).map(String::as_str).collect()
    }
}

async fn names(cluster: &Cluster, args: &[&str]) -> Result<BTreeSet<String>> {
    let args = args.iter().copied().chain(["--output", "name", "--ignore-not-found"]);
    Ok(cluster.kubectl(args).await?.lines().map(str::to_owned).collect())
}

/// The kinds that can be listed, comma-separated.
async fn kinds(cluster: &Cluster, namespaced: bool) -> Result<String> {
    let namespaced = format!("--namespaced={namespaced}");
    let args = ["api-resources", "--verbs", "list", "--output", "name", &namespaced];
    let kinds = cluster.kubectl(args).await?;
    Ok(kinds.lines().filter(|kind| !EVENTS.contains(kind)).collect::<Vec<_>>().join(","))
}
