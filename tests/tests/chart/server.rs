//! Checks that the API server of a real cluster accepts each rendering. The check includes Pod Security admission. It
//! stores nothing in the cluster except a namespace, which is deleted after the check.
//!
//! This command runs the checks on a kind cluster:
//! `CHART_CONTEXT=kind-sightline make chart ARGS=server::`

use std::collections::BTreeSet;
use std::io::{Write as _, stderr};
use std::process::{Command, Stdio};
use std::{env, process};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Completion, Failed};
use serde_json::json;

use crate::helm::{self, Install, Manifest};
use crate::value_set::ValueSet;

/// The environment variable with the kubectl context of the cluster to use. The current context of kubectl is never
/// used, because it may belong to an important cluster.
const CONTEXT: &str = "CHART_CONTEXT";

/// A namespace that enforces the Pod Security Standard `restricted`. It is deleted when this value is dropped.
struct Namespace {
    context: String,
    name: String,
}

impl Namespace {
    fn create(context: String, set: &str) -> Result<Self> {
        let namespace = Self { context, name: format!("chart-{set}-{}", process::id()) };
        let labels = json!({
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
        });
        let metadata = json!({"name": namespace.name, "labels": labels});
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        kubectl(&namespace.context, &["create", "--filename=-"], &manifest.to_string())?;
        Ok(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = kubectl(&self.context, &["delete", "namespace", &self.name, "--wait=false"], "");
    }
}

/// The API server accepts each manifest without a warning. The server returns only a warning, not an error, if it would
/// not admit the pods of a workload or if a field is deprecated. The test is ignored if [`CONTEXT`] is not set.
pub(crate) fn accepts(set: &ValueSet) -> Result<Completion, Failed> {
    let Some(context) = env::var(CONTEXT).ok().filter(|context| !context.is_empty()) else {
        return Ok(Completion::ignored_with(format!("{CONTEXT} is not set")));
    };
    dry_run(set, context).map_err(|error| Failed::from(format!("{error:#}")))
}

fn dry_run(set: &ValueSet, context: String) -> Result<Completion> {
    let namespace = Namespace::create(context, &set.name)?;
    let install = Install { namespace: &namespace.name, ..set.install() };
    let manifests = helm::template(&set.chart(), install)?;
    let resources = kubectl(&namespace.context, &["api-resources", "--output=name", "--no-headers"], "")?;
    let is_known = |manifest: &&Manifest| match manifest.text("/apiVersion").split_once('/') {
        // An API group of Kubernetes contains no dot or ends with `.k8s.io`. Every other group belongs to custom
        // resources.
        Some((group, _)) if group.contains('.') && !group.ends_with(".k8s.io") => {
            resources.lines().any(|line| line.ends_with(&format!(".{group}")))
        }
        _ => true,
    };
    let (known, unknown): (Vec<&Manifest>, Vec<&Manifest>) = manifests.iter().partition(is_known);
    let documents: Result<Vec<String>, _> =
        known.iter().map(|manifest| serde_yaml::to_string(&manifest.value)).collect();
    let mut documents = documents?.join("---\n");
    if let Some(overridden) = set.namespace_override() {
        // The namespace in the values may exist in the cluster, so it is replaced with the namespace of this test.
        let line = |namespace: &str| format!("namespace: {namespace}\n");
        documents = documents.replace(&line(overridden), &line(&namespace.name));
    }
    let arguments = ["apply", "--dry-run=server", "--namespace", &namespace.name, "--filename=-"];
    let output = kubectl(&namespace.context, &arguments, &documents)?;
    ensure!(!output.contains("Warning:"), "{output}");
    if unknown.len() == manifests.len() {
        return Ok(Completion::ignored_with("the cluster does not know any of these kinds"));
    }
    if !unknown.is_empty() {
        // A passing test cannot report more than its name, so this message goes to stderr.
        let kinds: BTreeSet<&str> = unknown.iter().map(|manifest| manifest.kind()).collect();
        writeln!(stderr().lock(), "{}: skipped {kinds:?}, which the cluster does not know", set.name)?;
    }
    Ok(Completion::Completed)
}

/// Runs kubectl with `input` on its standard input. Returns kubectl's standard output, followed by its standard error,
/// which contains warnings. Fails if kubectl fails.
fn kubectl(context: &str, arguments: &[&str], input: &str) -> Result<String> {
    let program = env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    let mut child = Command::new(&program)
        .args(["--context", context])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} cannot be run"))?;
    // The input is small, and kubectl reads all of it before writing any output, so neither process blocks the other.
    child.stdin.take().context("kubectl has no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "kubectl {}: {text}", arguments.join(" "));
    Ok(text)
}
