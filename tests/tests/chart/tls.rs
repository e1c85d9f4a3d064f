//! On each hop the connection is what the mode says: both sides with certificates that the other accepts, or neither.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Container, Secret};
use serde_json::Value;

use crate::case::{Case, Rendering, Workload, show};
use crate::certificates;
use crate::helm::Manifest;
use crate::pipeline::{self, Stage};
use crate::pods::env;

/// What a service's exporter is told of certificates, and the file of the secret that it has to be.
const EXPORTER: [(&str, &str); 3] = [
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.crt"),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "tls.crt"),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "tls.key"),
];

/// A program with a certificate: the secret it mounts, and where.
struct Holder {
    workload: Workload,
    secret: String,
    directory: String,
}

/// Checks a rendering against the mode its values ask for.
pub(crate) fn mode(case: &Case) -> Result<()> {
    let values: Value = serde_yaml::from_str(&fs::read_to_string(&case.file)?)?;
    let mode = values.pointer("/global/tls/mode").and_then(Value::as_str).unwrap_or("generated");
    let rendering = &*case.rendering()?;
    let secure = mode != "disabled";
    let stages = pipeline::stages(rendering)?;
    let mut holders = Vec::new();
    for workload in rendering.workloads()? {
        for container in workload.containers().filter(|one| env(one, "OTEL_EXPORTER_OTLP_ENDPOINT").is_some())
        {
            holders.extend(sender(&workload, container, secure)?);
        }
    }
    for stage in &stages {
        holders.extend(hop(stage, secure).with_context(|| stage.workload.to_string())?);
    }
    let names = match mode {
        "generated" => generated(rendering, &holders)?,
        "certManager" => managed(rendering, &values, &holders)?,
        _ => {
            let other = rendering.raw("Secret").find(|secret| secret.text("/type") == "kubernetes.io/tls");
            ensure!(other.is_none(), "{mode}: a certificate is made: {}", other.map_or("", Manifest::name));
            ensure!(rendering.raw("Certificate").next().is_none(), "{mode}: a Certificate is asked for");
            ensure!(secure || holders.is_empty(), "disabled, and secrets are mounted");
            return Ok(());
        }
    };
    names_match(rendering, &stages, &names)
}

/// A service: https with three files of one secret, or http with none.
fn sender(workload: &Workload, container: &Container, secure: bool) -> Result<Option<Holder>> {
    let endpoint = env(container, "OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_default();
    let scheme = if secure { "https://" } else { "http://" };
    ensure!(
        endpoint.starts_with(scheme),
        "{workload}: OTEL_EXPORTER_OTLP_ENDPOINT is {endpoint}, not {scheme}…"
    );
    let holder = holder(workload, container);
    for (name, file) in EXPORTER {
        let expected = holder.as_ref().map(|holder| format!("{}/{file}", holder.directory));
        let said = env(container, name);
        ensure!(
            said == expected.as_deref(),
            "{workload}: {name} is {said:?}, and the secret's is {expected:?}"
        );
    }
    ensure!(
        holder.is_some() == secure,
        "{workload}: it mounts a secret of certificates: {}",
        holder.is_some()
    );
    Ok(holder)
}

/// A stage of the pipeline: with the layer that takes TLS away, or without it; and what comes of that when all layers are
/// laid over each other.
fn hop(stage: &Stage, secure: bool) -> Result<Option<Holder>> {
    let layer = format!("{}-insecure.yaml", stage.role());
    let insecure = stage.files().contains(&layer.as_str());
    ensure!(insecure != secure, "its layers are {:?}", stage.files());
    let holder = holder(&stage.workload, &stage.container);
    let (said, held) =
        (env(&stage.container, "SIGHTLINE_TLS_DIR"), holder.as_ref().map(|one| one.directory.as_str()));
    ensure!(!secure || said == held, "SIGHTLINE_TLS_DIR is {said:?}, and the secret is at {held:?}");
    ensure!(held.is_some() == secure, "it mounts a secret of certificates: {}", held.is_some());
    let configuration = stage.configuration()?;
    let protocols = configuration.pointer("/receivers/otlp/protocols").and_then(Value::as_object);
    for (protocol, settings) in protocols.context("no OTLP is received")? {
        let asks = settings.pointer("/tls/client_ca_file").is_some_and(Value::is_string);
        ensure!(asks == secure, "OTLP over {protocol} asks for a certificate: {asks}");
        let serves = settings.get("tls").is_some_and(|tls| !tls.is_null());
        ensure!(serves == secure, "OTLP over {protocol} has TLS: {}", show(settings.get("tls")));
    }
    for (name, exporter) in configuration["exporters"].as_object().into_iter().flatten() {
        let Some(tls) = exporter.get("tls").or_else(|| exporter.pointer("/protocol/otlp/tls")) else {
            continue;
        };
        let plain = tls.get("insecure") == Some(&Value::Bool(true));
        let shows =
            ["ca_file", "cert_file", "key_file"].iter().all(|key| tls.get(key).is_some_and(Value::is_string));
        ensure!(plain != secure, "exporter {name}: insecure is {plain}");
        ensure!(shows || !secure, "exporter {name} shows no certificate: {tls}");
        ensure!(
            tls.get("insecure_skip_verify").is_none(),
            "exporter {name} does not check whom it speaks to"
        );
    }
    Ok(holder)
}

/// The secret a container mounts whole at the directory where it looks for certificates.
fn holder(workload: &Workload, container: &Container) -> Option<Holder> {
    container.volume_mounts.iter().flatten().find_map(|mount| {
        let volume = workload.spec.volumes.iter().flatten().find(|volume| volume.name == mount.name)?;
        let secret = volume.secret.as_ref()?;
        let looked = env(container, "SIGHTLINE_TLS_DIR") == Some(&mount.mount_path)
            || env(container, EXPORTER[0].0)
                .is_some_and(|file| file.starts_with(&format!("{}/", mount.mount_path)));
        looked.then(|| Holder {
            workload: workload.clone(),
            secret: secret.secret_name.clone().unwrap_or_default(),
            directory: mount.mount_path.clone(),
        })
    })
}

/// The names that each workload's certificate is for.
type Names = BTreeMap<String, Vec<String>>;

/// The chart made each certificate, by one authority, and each side accepts the other's.
fn generated(rendering: &Rendering, holders: &[Holder]) -> Result<Names> {
    let secrets = rendering.all::<Secret>()?;
    let mut names = Names::new();
    let mut authority: Option<Vec<u8>> = None;
    for holder in holders {
        let Holder { workload, secret: name, .. } = holder;
        let secret = secrets.iter().find(|secret| secret.metadata.name.as_ref() == Some(name));
        let secret = secret.with_context(|| format!("{workload}: secret {name} is not rendered"))?;
        ensure!(secret.type_.as_deref() == Some("kubernetes.io/tls"), "{name}: type is {:?}", secret.type_);
        let file = |key: &str| {
            let data = secret.data.as_ref().and_then(|data| data.get(key));
            data.map(|data| data.0.clone()).with_context(|| format!("{name} has no {key}"))
        };
        let (ca, certificate, key) = (file("ca.crt")?, file("tls.crt")?, file("tls.key")?);
        let same = authority.get_or_insert_with(|| ca.clone());
        ensure!(*same == ca, "{name} has another authority than the first");
        let valid_for = certificates::check(&ca, &certificate, &key).with_context(|| name.clone())?;
        names.insert(workload.name.clone(), valid_for);
    }
    Ok(names)
}

/// cert-manager is asked for each certificate, and an issuer is rendered or named by the values.
fn managed(rendering: &Rendering, values: &Value, holders: &[Holder]) -> Result<Names> {
    let made = rendering.raw("Secret").find(|secret| secret.text("/type") == "kubernetes.io/tls");
    ensure!(made.is_none(), "certManager: the chart makes a certificate itself");
    let issuer_given = values.pointer("/global/tls/certManager/issuerRef/name").and_then(Value::as_str);
    let mut names = Names::new();
    for certificate in rendering.raw("Certificate") {
        let issuer = certificate.text("/spec/issuerRef/name");
        let here = rendering.find("Issuer", issuer).is_some();
        ensure!(
            here != (issuer_given == Some(issuer)),
            "{}: issuer {issuer} rendered: {here}",
            certificate.name()
        );
    }
    for holder in holders {
        let mut asked = rendering.raw("Certificate");
        let asked = asked.find(|certificate| certificate.text("/spec/secretName") == holder.secret);
        let Some(asked) = asked else { bail!("{}: nobody makes secret {}", holder.workload, holder.secret) };
        let list = |field: &str| {
            let items = asked.value["spec"][field].as_array().into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<String>>()
        };
        for usage in ["server auth", "client auth"] {
            ensure!(list("usages").iter().any(|one| one == usage), "{}: not for {usage}", asked.name());
        }
        names.insert(holder.workload.name.clone(), list("dnsNames"));
    }
    Ok(names)
}

/// Each server's certificate is for the name by which its clients know it.
fn names_match(rendering: &Rendering, stages: &[Stage], names: &Names) -> Result<()> {
    let mut wrong = Vec::new();
    let mut check = |who: &Workload, name: &str, role: &str| {
        for server in stages.iter().filter(|stage| stage.role() == role) {
            let held = names.get(&server.workload.name).cloned().unwrap_or_default();
            if !held.iter().any(|one| one == name) {
                wrong.push(format!("{who} expects {name:?}, and {} has {held:?}", server.workload));
            }
        }
    };
    for workload in rendering.workloads()? {
        for container in workload.containers() {
            let endpoint =
                env(container, "OTEL_EXPORTER_OTLP_ENDPOINT").and_then(|url| url.strip_prefix("https://"));
            if let Some((host, _)) = endpoint.and_then(|host| host.rsplit_once(':')) {
                check(&workload, host, "agent");
            }
        }
    }
    for stage in stages {
        for (role, variable, server) in
            [("agent", "SIGHTLINE_GATEWAY_NAME", "gateway"), ("gateway", "SIGHTLINE_JAEGER_NAME", "jaeger")]
        {
            if stage.role() == role {
                check(&stage.workload, env(&stage.container, variable).unwrap_or(server), server);
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
