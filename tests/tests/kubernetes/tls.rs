//! Every hop asks for a certificate of the installation's authority, and follows the one it has when it is replaced.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sightline::certs::TlsFiles;
use sightline_tests::doors::{Transport, stranger, try_door};
use sightline_tests::otlp::{Door, Knock, certificate, served_certificate};
use sightline_tests::outline::outline;
use sightline_tests::poll::eventually;
use sightline_tests::prometheus::Samples;

use crate::forward::Forward;
use crate::install::{Install, RELEASE, SERVICES, chart, helm, text, values};
use crate::{progress, rollouts};

/// The parts that serve OTLP, with the number of its port.
const SERVERS: [&str; 3] = ["agent", "gateway", "jaeger"];
const OTLP: u16 = 4317;
const OTLP_OVER_HTTP: u16 = 4318;

/// A collector looks at its files once a minute.
const FOLLOWED: Duration = Duration::from_mins(2);

pub(crate) async fn doors(install: &Install) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let ours = install.tls_files("user-service", dir.path()).await?;
    let stranger = stranger(&dir.path().join("elsewhere"))?;
    let mut refusals = Vec::new();
    for (part, port, transport) in [
        ("agent", OTLP, Transport::Grpc),
        ("agent", OTLP_OVER_HTTP, Transport::Http),
        ("gateway", OTLP, Transport::Grpc),
        ("jaeger", OTLP, Transport::Grpc),
    ] {
        let what = format!("{part}'s port {port}");
        let name = format!("{RELEASE}-{part}");
        let forward =
            Forward::start(&install.cluster, install.namespace, &format!("svc/{name}"), port).await?;
        let door = Door::named(forward.port(), &name);
        let tried = try_door(&door, transport, &what, &ours, &stranger).await;
        let tried = tried.with_context(|| what.clone())?;
        install.wait_for_trace(&tried.accepted, &format!("knocker unspecified {what}\n")).await?;
        refusals.extend(tried.refused.into_iter().map(|(how, id)| (format!("{what}, {how}"), id)));
    }
    // Whatever was sent before this is stored by then, or never will be.
    install.request_order().await?;
    for (what, id) in refusals {
        if let Some(trace) = install.jaeger.trace(&id).await? {
            anyhow::bail!("{what}: this is stored:\n{}", outline(&trace));
        }
    }
    Ok(())
}

pub(crate) async fn replaced(install: &Install) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut before = Vec::new();
    for part in SERVERS.into_iter().chain(SERVICES) {
        let old = install.tls_files(part, &dir.path().join("old")).await?;
        before.push((part, certificate(&old.cert)?));
    }
    let starts = install.restart_counts().await?;
    let failed = failed_exports(install).await?;
    let mut traffic = rollouts::begin(install).await?;

    traffic.begin_phase("certificates are replaced");
    let began = Instant::now();
    // The chart makes one anew that does not say when it was made.
    let ours = format!("app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=tls");
    install.kubectl(["annotate", "secrets", "--selector", &ours, "sightline/issued-"]).await?;
    helm("upgrade", &install.cluster, install.namespace, &chart().display().to_string(), &values()).await?;
    for (part, old) in before {
        let new = install.tls_files(part, dir.path()).await?;
        ensure!(certificate(&new.cert)? != old, "{part} has the certificate it had");
    }
    hurry(install).await?;
    for part in SERVERS {
        let files = install.tls_files(part, dir.path()).await?;
        for pod in install.pods(part).await? {
            serves(install, &pod, part, &files).await?;
        }
    }
    for service in SERVICES {
        has_followed(install, service).await?;
    }
    progress(format!("all have the new ones after {:.0} s", began.elapsed().as_secs_f64()));
    rollouts::end(install, traffic).await?;

    let after = install.restart_counts().await?;
    ensure!(after == starts, "pods were started again: {starts:?}, then {after:?}");
    let failed = failed_exports(install).await? - failed;
    ensure!(failed == 0.0, "{failed} spans could not be sent on");
    for service in SERVICES {
        let since = format!("--since={}s", began.elapsed().as_secs() + 1);
        let log = install.kubectl(["logs", &format!("deployment/{RELEASE}-{service}"), &since]).await?;
        let complaints: Vec<_> =
            log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
        ensure!(complaints.is_empty(), "{service} says:\n{}", complaints.join("\n"));
    }
    Ok(())
}

/// A kubelet looks at a pod's secrets again when the pod changes, and else within two minutes.
async fn hurry(install: &Install) -> Result<()> {
    let label = format!("app.kubernetes.io/instance={RELEASE}");
    let note = format!("sightline.test/hurry={}", uuid::Uuid::new_v4());
    install.kubectl(["annotate", "pods", "--overwrite", "--selector", &label, &note]).await.map(drop)
}

/// Waits until this pod shows whoever connects the certificate in `files`.
async fn serves(install: &Install, pod: &Value, part: &str, files: &TlsFiles) -> Result<()> {
    let name = text(pod, "/metadata/name")?;
    let forward = Forward::start(&install.cluster, install.namespace, &format!("pod/{name}"), OTLP).await?;
    let door = Door::named(forward.port(), &format!("{RELEASE}-{part}"));
    let knock = Knock::As(files.clone(), files.clone());
    let wanted = certificate(&files.cert)?;
    let check = async || {
        ensure!(served_certificate(&door, &knock).await? == wanted, "it is another");
        Ok(())
    };
    eventually(format!("{name} shows its new certificate"), FOLLOWED, check).await
}

/// Waits until this service says that it has read its certificate again.
async fn has_followed(install: &Install, service: &str) -> Result<()> {
    let check = async || {
        let log = install.kubectl(["logs", &format!("deployment/{RELEASE}-{service}")]).await?;
        ensure!(log.contains("certificates changed"), "its log does not say so");
        Ok(())
    };
    eventually(format!("{service} has its new certificate"), FOLLOWED, check).await
}

/// Spans that agents and gateways could not send on, so far. A try that is repeated with success is not among them.
async fn failed_exports(install: &Install) -> Result<f64> {
    let mut failed = 0.0;
    for part in ["agent", "gateway"] {
        for pod in install.pods(part).await? {
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
