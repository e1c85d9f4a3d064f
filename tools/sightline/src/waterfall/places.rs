//! Where in a Kubernetes cluster each service ran, below the picture.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::row::MAX_SERVICE;
use super::style::{Paint, Style};
use super::text::{escape, fit, width};
use crate::jaeger::{Span, Trace, Value};

/// Replicas have a place each; past these they are all alike.
const MAX_PLACES: usize = 20;

/// What made the pod, the first there is: what made that in turn is what people deployed.
const WORKLOADS: [&str; 6] = ["deployment", "statefulset", "daemonset", "cronjob", "job", "replicaset"];

/// Two lines for each service and pod, where a resource names a pod; nothing otherwise.
pub(super) fn lines(trace: &Trace, style: Style) -> Vec<String> {
    // Spans that came together share a resource.
    let mut seen = HashSet::new();
    let spans = trace.spans.iter().filter(|span| seen.insert(Arc::as_ptr(&span.resource)));
    let places: BTreeSet<_> = spans.filter_map(|span| Some((span.service.as_str(), place(span)?))).collect();
    let more = places.len().saturating_sub(MAX_PLACES);
    let column = places.iter().map(|(service, _)| width(&escape(service))).max();
    let column = column.unwrap_or(0).min(MAX_SERVICE);
    let mut lines = Vec::new();
    for (service, [pod, owner]) in places.into_iter().take(MAX_PLACES) {
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

fn place(span: &Span) -> Option<[String; 2]> {
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
