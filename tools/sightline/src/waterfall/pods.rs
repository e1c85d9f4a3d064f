//! The Kubernetes pods of the services, printed below the waterfall.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::row::MAX_SERVICE;
use super::style::{Paint, Style};
use super::text::{escape, fit, width};
use crate::jaeger::{Span, Trace, Value};

/// The maximum number of pods to print. A service with many replicas has many pods, and these pods differ little.
const MAX_PODS: usize = 20;

/// The kinds of workload, in order of preference. A `Deployment` comes before its `ReplicaSet`, and a `CronJob` before
/// its `Job`, because users create the `Deployment` and the `CronJob`, and Kubernetes creates the
/// `ReplicaSet` and the `Job` from them.
const WORKLOADS: [&str; 6] = ["deployment", "statefulset", "daemonset", "cronjob", "job", "replicaset"];

/// Returns two lines for each pair of service and pod, or no lines if no resource has the name of a pod.
pub(super) fn lines(trace: &Trace, style: Style) -> Vec<String> {
    // Spans of the same export share a resource. Read each resource only once.
    let mut seen = HashSet::new();
    let spans = trace.spans.iter().filter(|span| seen.insert(Arc::as_ptr(&span.resource)));
    let pods: BTreeSet<_> = spans.filter_map(|span| Some((span.service.as_str(), describe(span)?))).collect();
    let more = pods.len().saturating_sub(MAX_PODS);
    let column = pods.iter().map(|(service, _)| width(&escape(service))).max();
    let column = column.unwrap_or(0).min(MAX_SERVICE);
    let mut lines = Vec::new();
    for (service, [pod, owner]) in pods.into_iter().take(MAX_PODS) {
        lines.push(format!("{} {pod}", fit(&escape(service), column)));
        lines.push(style.paint(&format!("{} {owner}", " ".repeat(column)), Paint::Faint));
    }
    if more > 0 {
        lines.push(format!("… and {more} more (-v shows resources)"));
    }
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

/// Returns the pod and node of a span, and its workload, namespace and cluster.
fn describe(span: &Span) -> Option<[String; 2]> {
    let get = |key: &str| {
        let text = span.resource_attribute(key).and_then(Value::as_str).filter(|text| !text.is_empty())?;
        Some(escape(text).into_owned())
    };
    let pod = get("k8s.pod.name")?;
    let node = get("k8s.node.name").map_or_else(String::new, |node| format!(" on node {node}"));
    let workload = WORKLOADS
        .iter()
        .find_map(|kind| get(&format!("k8s.{kind}.name")).map(|name| format!("{kind} {name}")));
    let namespace = get("k8s.namespace.name").map(|name| format!("namespace {name}"));
    let cluster =
        get("k8s.cluster.name").or_else(|| get("k8s.cluster.uid")).map(|id| format!("cluster {id}"));
    let owner: Vec<_> = [workload, namespace, cluster].into_iter().flatten().collect();
    Some([format!("pod {pod}{node}"), owner.join(", ")])
}
