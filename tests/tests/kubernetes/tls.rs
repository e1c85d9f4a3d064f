//! Every OTLP endpoint requires a certificate from the installation's CA. All pods reload their certificates after a
//! rotation.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use sightline::certs::TlsFiles;
use sightline_tests::mtls::{Transport, check_mutual_tls, untrusted_certificate};
use sightline_tests::otlp::{CLIENT, Credentials, OtlpEndpoint, read_certificate, served_certificate};
use sightline_tests::outline::outline;
use sightline_tests::poll::eventually;
use sightline_tests::prometheus::Samples;

use crate::forward::Forward;
use crate::install::{Install, RELEASE, SERVICES, chart, helm, text, values};
use crate::{progress, rollouts};

/// The components that serve OTLP.
const SERVERS: [&str; 3] = ["agent", "gateway", "jaeger"];

const OTLP_GRPC_PORT: u16 = 4317;
const OTLP_HTTP_PORT: u16 = 4318;

/// The maximum time until a pod uses a new certificate from its volume. A Collector checks its certificate files once a
/// minute.
const RELOAD_TIMEOUT: Duration = Duration::from_mins(2);

pub(crate) async fn endpoints(install: &Install) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let trusted = install.tls_files("user-service", dir.path()).await?;
    let untrusted = untrusted_certificate(&dir.path().join("untrusted"))?;
    let mut rejected = Vec::new();
    for (component, port, transport) in [
        ("agent", OTLP_GRPC_PORT, Transport::Grpc),
        ("agent", OTLP_HTTP_PORT, Transport::Http),
        ("gateway", OTLP_GRPC_PORT, Transport::Grpc),
        ("jaeger", OTLP_GRPC_PORT, Transport::Grpc),
    ] {
        let name = format!("{component}'s port {port}");
        let server_name = format!("{RELEASE}-{component}");
        let target = format!("svc/{server_name}");
        let forward = Forward::start(&install.cluster, install.namespace, &target, port).await?;
        let endpoint = OtlpEndpoint::forwarded(forward.port(), &server_name);
        let sent = check_mutual_tls(&endpoint, transport, &name, &trusted, &untrusted).await;
        let sent = sent.with_context(|| name.clone())?;
        install.wait_for_trace(&sent.accepted, &format!("{CLIENT} unspecified {name}\n")).await?;
        let descriptions = sent.rejected.into_iter();
        rejected.extend(descriptions.map(|(credentials, id)| (format!("{name}, {credentials}"), id)));
    }
    // When the trace of this order is stored, all spans that were sent before the order have been stored or rejected.
    install.request_order().await?;
    for (description, id) in rejected {
        if let Some(trace) = install.jaeger.trace(&id).await? {
            anyhow::bail!("{description}: the rejected trace is stored:\n{}", outline(&trace));
        }
    }
    Ok(())
}

pub(crate) async fn rotation(install: &Install) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut before = Vec::new();
    let mut renewed = Vec::new();
    for component in SERVERS.into_iter().chain(SERVICES) {
        let old = install.tls_files(component, &dir.path().join("old")).await?;
        before.push((component, read_certificate(&old.cert)?));
    }
    let restarts_before = install.restart_counts().await?;
    let failed_before = failed_spans(install).await?;
    let mut traffic = rollouts::start_traffic(install).await?;

    traffic.begin_phase("certificates are replaced");
    let started = Instant::now();
    // The chart issues a new certificate if the annotation with the issue date is missing, so the test removes this
    // annotation.
    let selector = format!("app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=tls");
    install.kubectl(["annotate", "secrets", "--selector", &selector, "sightline/issued-"]).await?;
    helm("upgrade", &install.cluster, install.namespace, &chart().display().to_string(), &values()).await?;
    for (component, old) in before {
        let new = install.tls_files(component, dir.path()).await?;
        let new = read_certificate(&new.cert)?;
        ensure!(new != old, "the certificate of {component} was not replaced");
        renewed.push((component, new));
    }
    refresh_secret_volumes(install).await?;
    for component in SERVERS {
        let files = install.tls_files(component, dir.path()).await?;
        for pod in install.pods(component).await? {
            wait_for_served_certificate(install, &pod, component, &files).await?;
        }
    }
    for service in SERVICES {
        wait_for_reload(install, service).await?;
    }
    progress(format!("all pods use the new certificates after {:.0} s", started.elapsed().as_secs_f64()));
    rollouts::finish_traffic(install, traffic).await?;

    let restarts = install.restart_counts().await?;
    ensure!(restarts == restarts_before, "pods have restarted: {restarts_before:?}, then {restarts:?}");
    let failed = failed_spans(install).await? - failed_before;
    ensure!(failed == 0.0, "agents and gateways failed to export {failed} spans");
    for service in SERVICES {
        let since = format!("--since={}s", started.elapsed().as_secs() + 1);
        let log = install.kubectl(["logs", &format!("deployment/{RELEASE}-{service}"), &since]).await?;
        let warnings: Vec<_> =
            log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
        ensure!(warnings.is_empty(), "{service} logged:\n{}", warnings.join("\n"));
    }
    survive_a_rollback(install, &renewed, dir.path()).await
}

/// `helm rollback` to the revision before the rotation does not bring back the certificates of that revision, which may
/// have expired.
async fn survive_a_rollback(
    install: &Install,
    renewed: &[(&str, CertificateDer<'static>)],
    dir: &Path,
) -> Result<()> {
    let rollback = ["rollback", RELEASE, "--namespace", install.namespace, "--wait", "--timeout", "5m"];
    install.cluster.helm(rollback).await?;
    for (component, expected) in renewed {
        let found = read_certificate(&install.tls_files(component, dir).await?.cert)?;
        ensure!(found == *expected, "the rollback has replaced the certificate of {component}");
    }
    Ok(())
}

/// Changes an annotation of all pods. When a pod changes, the kubelet updates the pod's Secret volumes immediately.
/// Without a change to the pod, the update of its volumes can take two minutes.
async fn refresh_secret_volumes(install: &Install) -> Result<()> {
    let label = format!("app.kubernetes.io/instance={RELEASE}");
    let annotation = format!("sightline.test/refresh={}", uuid::Uuid::new_v4());
    install.kubectl(["annotate", "pods", "--overwrite", "--selector", &label, &annotation]).await.map(drop)
}

/// Waits until a pod presents the certificate in `files` to clients.
async fn wait_for_served_certificate(
    install: &Install,
    pod: &Value,
    component: &str,
    files: &TlsFiles,
) -> Result<()> {
    let name = text(pod, "/metadata/name")?;
    let target = format!("pod/{name}");
    let forward = Forward::start(&install.cluster, install.namespace, &target, OTLP_GRPC_PORT).await?;
    let endpoint = OtlpEndpoint::forwarded(forward.port(), &format!("{RELEASE}-{component}"));
    let credentials = Credentials::Certificate { trust: files.clone(), identity: files.clone() };
    let expected = read_certificate(&files.cert)?;
    let check = async || {
        let served = served_certificate(&endpoint, &credentials).await?;
        ensure!(served == expected, "the pod still presents another certificate");
        Ok(())
    };
    eventually(format!("{name} presents its new certificate"), RELOAD_TIMEOUT, check).await
}

/// Waits until a service has logged that its certificate changed.
async fn wait_for_reload(install: &Install, service: &str) -> Result<()> {
    let check = async || {
        let log = install.kubectl(["logs", &format!("deployment/{RELEASE}-{service}")]).await?;
        ensure!(log.contains("certificates changed"), "the log does not contain the message");
        Ok(())
    };
    eventually(format!("{service} has reloaded its certificate"), RELOAD_TIMEOUT, check).await
}

/// Returns the number of spans that agents and gateways failed to export. A span is not counted if a later attempt to
/// export it succeeds.
async fn failed_spans(install: &Install) -> Result<f64> {
    let mut failed = 0.0;
    for component in ["agent", "gateway"] {
        for pod in install.pods(component).await? {
            let target = format!("pod/{}", text(&pod, "/metadata/name")?);
            let forward = Forward::start(&install.cluster, install.namespace, &target, 8888).await?;
            let response = install.http.get(forward.url()?.join("metrics")?).send().await?;
            let samples = Samples::parse(&response.error_for_status()?.text().await?)?;
            failed += samples.sum("otelcol_exporter_send_failed_spans", &[]).unwrap_or(0.0);
            failed += samples.sum("otelcol_exporter_send_failed_spans_total", &[]).unwrap_or(0.0);
        }
    }
    Ok(failed)
}
