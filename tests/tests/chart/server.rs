//! What a real API server says of each rendering, Pod Security included. It stores nothing.
//!
//! `CHART_CONTEXT=kind-sightline cargo test --package sightline-tests --test chart -- server::`

use std::collections::BTreeSet;
use std::io::{Write as _, stderr};
use std::process::{Command, Stdio};
use std::{env, process};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Completion, Failed};
use serde_json::json;

use crate::case::Case;
use crate::helm::{self, Install, Manifest};

/// Which of kubectl's contexts to ask. Never its current one: that may be a cluster that matters.
const CONTEXT: &str = "CHART_CONTEXT";

/// A namespace that enforces `restricted`, gone when this is dropped.
struct Namespace {
    context: String,
    name: String,
}

impl Namespace {
    fn create(context: String, case: &str) -> Result<Self> {
        let namespace = Self { context, name: format!("chart-{case}-{}", process::id()) };
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

/// A warning fails too: that is how an API server speaks of pods it would not admit, and of old fields.
pub(crate) fn accepts(case: &Case) -> Result<Completion, Failed> {
    let Some(context) = env::var(CONTEXT).ok().filter(|context| !context.is_empty()) else {
        return Ok(Completion::ignored_with(format!("{CONTEXT} names no cluster")));
    };
    ask(case, context).map_err(|error| Failed::from(format!("{error:#}")))
}

fn ask(case: &Case, context: String) -> Result<Completion> {
    let namespace = Namespace::create(context, &case.name)?;
    let install = Install { namespace: &namespace.name, ..case.install() };
    let manifests = helm::template(&case.chart(), install)?;
    let known = kubectl(&namespace.context, &["api-resources", "--output=name", "--no-headers"], "")?;
    let is_known = |manifest: &&Manifest| match manifest.text("/apiVersion").split_once('/') {
        // A foreign group has a dot and is not Kubernetes' own.
        Some((group, _)) if group.contains('.') && !group.ends_with(".k8s.io") => {
            known.lines().any(|line| line.ends_with(&format!(".{group}")))
        }
        _ => true,
    };
    let (asked, left): (Vec<&Manifest>, Vec<&Manifest>) = manifests.iter().partition(is_known);
    let documents: Result<Vec<String>, _> =
        asked.iter().map(|one| serde_yaml::to_string(&one.value)).collect();
    let arguments = ["apply", "--dry-run=server", "--namespace", &namespace.name, "--filename=-"];
    let said = kubectl(&namespace.context, &arguments, &documents?.join("---\n"))?;
    ensure!(!said.contains("Warning:"), "{said}");
    if left.len() == manifests.len() {
        return Ok(Completion::ignored_with("the cluster knows none of it"));
    }
    if !left.is_empty() {
        // Nothing else tells of it: a test that passes prints its name only.
        let kinds: BTreeSet<&str> = left.iter().map(|manifest| manifest.kind()).collect();
        writeln!(stderr().lock(), "{}: {kinds:?} not asked, as the cluster does not know them", case.name)?;
    }
    Ok(Completion::Completed)
}

/// What it prints, warnings too.
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
    // Small enough for kubectl to take it all before it says anything.
    child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "kubectl {}: {said}", arguments.join(" "));
    Ok(said)
}
