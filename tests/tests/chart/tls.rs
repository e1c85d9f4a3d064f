//! Each hop follows `global.tls.mode`: each side has a certificate that the other side accepts, or neither side uses
//! TLS.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{Container, Secret};
use serde_json::Value;

use crate::helm::{self, Install, Manifest};
use crate::pipeline::{self, Stage};
use crate::pods::env;
use crate::rendering::{Rendering, Workload, decode, show};
use crate::value_set::ValueSet;
use crate::{certificates, ensure_none};

/// The variables that contain the paths of a service's certificate files, and the name of each file in the secret.
const EXPORTER_FILES: [(&str, &str); 3] = [
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.crt"),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "tls.crt"),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "tls.key"),
];

/// The certificate of a workload: the secret that contains the certificate, and the directory at which the secret is
/// mounted.
struct CertificateMount {
    workload: Workload,
    secret: String,
    directory: String,
}

/// Checks each hop of a rendering against the mode in the values.
pub(crate) fn mode_applies_to_every_hop(set: &ValueSet) -> Result<()> {
    let values: Value = serde_yaml::from_str(&fs::read_to_string(&set.file)?)?;
    let mode = values.pointer("/global/tls/mode").and_then(Value::as_str).unwrap_or("generated");
    let rendering = &*set.rendering()?;
    let tls = mode != "disabled";
    let stages = pipeline::stages(rendering)?;
    let mut mounts = Vec::new();
    for workload in rendering.workloads()? {
        for container in workload.containers().filter(|one| env(one, "OTEL_EXPORTER_OTLP_ENDPOINT").is_some())
        {
            mounts.extend(check_service(&workload, container, tls)?);
        }
    }
    for stage in &stages {
        mounts.extend(check_stage(stage, tls).with_context(|| stage.workload.to_string())?);
    }
    let names = match mode {
        "generated" => check_generated(rendering, &mounts)?,
        "certManager" => check_cert_manager(rendering, &values, &mounts)?,
        _ => {
            let secret =
                rendering.of_kind("Secret").find(|secret| secret.text("/type") == "kubernetes.io/tls");
            ensure!(
                secret.is_none(),
                "{mode}: the chart generates a certificate: {}",
                secret.map_or("", Manifest::name)
            );
            ensure!(
                rendering.of_kind("Certificate").next().is_none(),
                "{mode}: the chart requests a certificate from cert-manager"
            );
            ensure!(tls || mounts.is_empty(), "{mode}: a pod mounts a certificate");
            return Ok(());
        }
    };
    check_server_names(rendering, &stages, &names)
}

/// Without a cluster, the chart rejects the mode `generated`, because each rendering would contain a new CA. In the other
/// modes, it renders everything but the pod of `helm test`, which `kubectl apply` would run once.
pub(crate) fn nothing_is_generated_without_a_cluster() -> Result<()> {
    let render = |values: &str| {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("values.yaml");
        fs::write(&file, values)?;
        let install = Install { release: "sightline", namespace: "default", values: &file, apis: &[] };
        helm::template_without_cluster(&helm::test_chart(), install)
    };
    let rejection = format!("{:#}", render("{}").err().context("Helm accepted the mode generated")?);
    for word in ["global.tls.mode", "certManager", "existingSecret", "renderOnly", "--dry-run=server"] {
        ensure!(rejection.contains(word), "the message does not contain {word}: {rejection}");
    }
    let manifests = render("global: {tls: {mode: certManager}}")?;
    let tests: Vec<&Manifest> = manifests.iter().filter(|one| one.name().ends_with("-test")).collect();
    ensure!(tests.is_empty(), "these objects are only for helm test: {tests:?}");
    ensure!(manifests.iter().any(|one| one.kind() == "DaemonSet"), "there is no agent");
    Ok(())
}

/// Checks a service. With TLS, the service has an `https` endpoint and three certificate files from one secret. Without
/// TLS, the service has an `http` endpoint and no certificate files.
fn check_service(workload: &Workload, container: &Container, tls: bool) -> Result<Option<CertificateMount>> {
    let endpoint = env(container, "OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_default();
    let scheme = if tls { "https://" } else { "http://" };
    ensure!(
        endpoint.starts_with(scheme),
        "{workload}: OTEL_EXPORTER_OTLP_ENDPOINT is {endpoint}, not {scheme}…"
    );
    let mount = certificate_mount(workload, container);
    for (name, file) in EXPORTER_FILES {
        let expected = mount.as_ref().map(|mount| format!("{}/{file}", mount.directory));
        let actual = env(container, name);
        ensure!(actual == expected.as_deref(), "{workload}: {name} is {actual:?}, not {expected:?}");
    }
    ensure!(
        mount.is_some() == tls,
        "{workload}: expected TLS: {tls}; mounts a certificate: {}",
        mount.is_some()
    );
    Ok(mount)
}

/// Checks a stage of the pipeline. With TLS, the stage has a certificate, and its merged configuration uses TLS on each
/// hop. Without TLS, the stage has the overlay that removes TLS, and its merged configuration does not use TLS on any
/// hop.
fn check_stage(stage: &Stage, tls: bool) -> Result<Option<CertificateMount>> {
    let overlay = format!("{}-insecure.yaml", stage.role());
    let insecure = stage.file_names().contains(&overlay.as_str());
    ensure!(insecure != tls, "expected TLS: {tls}; configuration files: {:?}", stage.file_names());
    let mount = certificate_mount(&stage.workload, &stage.container);
    let (variable, directory) =
        (env(&stage.container, "SIGHTLINE_TLS_DIR"), mount.as_ref().map(|mount| mount.directory.as_str()));
    ensure!(
        !tls || variable == directory,
        "SIGHTLINE_TLS_DIR is {variable:?}, but the certificate is at {directory:?}"
    );
    ensure!(mount.is_some() == tls, "expected TLS: {tls}; mounts a certificate: {}", mount.is_some());
    let configuration = stage.configuration()?;
    let protocols = configuration.pointer("/receivers/otlp/protocols").and_then(Value::as_object);
    for (protocol, settings) in protocols.context("it has no OTLP receiver")? {
        let requires = settings.pointer("/tls/client_ca_file").is_some_and(Value::is_string);
        ensure!(requires == tls, "OTLP over {protocol} requires a client certificate: {requires}");
        let serves = settings.get("tls").is_some_and(|tls| !tls.is_null());
        ensure!(serves == tls, "OTLP over {protocol} has TLS settings: {}", show(settings.get("tls")));
    }
    for (name, exporter) in configuration["exporters"].as_object().into_iter().flatten() {
        let Some(settings) = exporter.get("tls").or_else(|| exporter.pointer("/protocol/otlp/tls")) else {
            continue;
        };
        if name.starts_with("otlphttp/") {
            // A store that is elsewhere has a certificate of its own: see remote_stores.rs.
            continue;
        }
        let insecure = settings.get("insecure") == Some(&Value::Bool(true));
        let has_files = ["ca_file", "cert_file", "key_file"]
            .iter()
            .all(|key| settings.get(key).is_some_and(Value::is_string));
        ensure!(insecure != tls, "exporter {name}: insecure is {insecure}");
        ensure!(has_files || !tls, "exporter {name} lacks a CA, a certificate or a key: {settings}");
        ensure!(
            settings.get("insecure_skip_verify").is_none(),
            "exporter {name} does not verify the server's certificate"
        );
    }
    Ok(mount)
}

/// Returns the secret that a container mounts at the directory from which the container reads its certificate.
fn certificate_mount(workload: &Workload, container: &Container) -> Option<CertificateMount> {
    container.volume_mounts.iter().flatten().find_map(|mount| {
        let volume = workload.spec.volumes.iter().flatten().find(|volume| volume.name == mount.name)?;
        let secret = volume.secret.as_ref()?;
        let is_read = env(container, "SIGHTLINE_TLS_DIR") == Some(&mount.mount_path)
            || env(container, EXPORTER_FILES[0].0)
                .is_some_and(|file| file.starts_with(&format!("{}/", mount.mount_path)));
        is_read.then(|| CertificateMount {
            workload: workload.clone(),
            secret: secret.secret_name.clone().unwrap_or_default(),
            directory: mount.mount_path.clone(),
        })
    })
}

/// The DNS names in the certificate of each workload.
type Names = BTreeMap<String, Vec<String>>;

/// The events of Helm for which each secret of the mode `generated` is a hook. A hook is not part of the release's
/// manifest. With these events, `helm rollback` leaves the secrets as they are, and `helm uninstall` deletes them.
const SECRET_HOOKS: [&str; 2] = ["pre-install,pre-upgrade", "post-delete"];

/// Checks the mode `generated`: the chart signs all certificates with one CA, and each certificate is valid for clients
/// and servers. A rollback cannot replace a secret.
fn check_generated(rendering: &Rendering, mounts: &[CertificateMount]) -> Result<Names> {
    let hook = |secret: &Manifest| secret.text("/metadata/annotations/helm.sh~1hook").to_owned();
    let tls = |secret: &&Manifest| {
        secret.text("/metadata/labels/app.kubernetes.io~1component") == "tls"
            || secret.text("/type") == "kubernetes.io/tls"
    };
    let mut hooks: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for secret in rendering.of_kind("Secret").filter(tls) {
        hooks.entry(secret.name()).or_default().push(hook(secret));
    }
    for (name, mut hooks) in hooks {
        hooks.sort_by_key(|hook| SECRET_HOOKS.iter().position(|one| one == hook));
        ensure!(hooks == SECRET_HOOKS, "{name} is a hook of the events {hooks:?}, not {SECRET_HOOKS:?}");
    }
    let secrets = rendering.of_kind("Secret").filter(|secret| hook(secret) == SECRET_HOOKS[0]);
    let secrets = secrets.map(decode::<Secret>).collect::<Result<Vec<_>>>()?;
    let mut names = Names::new();
    let mut first_ca: Option<Vec<u8>> = None;
    for mount in mounts {
        let CertificateMount { workload, secret: name, .. } = mount;
        let secret = secrets.iter().find(|secret| secret.metadata.name.as_ref() == Some(name));
        let secret = secret.with_context(|| format!("{workload}: secret {name} is not rendered"))?;
        ensure!(secret.type_.as_deref() == Some("kubernetes.io/tls"), "{name}: type is {:?}", secret.type_);
        let file = |key: &str| {
            let data = secret.data.as_ref().and_then(|data| data.get(key));
            data.map(|data| data.0.clone()).with_context(|| format!("{name} has no {key}"))
        };
        let (ca, certificate, key) = (file("ca.crt")?, file("tls.crt")?, file("tls.key")?);
        let first_ca = first_ca.get_or_insert_with(|| ca.clone());
        ensure!(*first_ca == ca, "{name} and the first secret have different CAs");
        let dns_names = certificates::check(&ca, &certificate, &key).with_context(|| name.clone())?;
        names.insert(workload.name.clone(), dns_names);
    }
    Ok(names)
}

/// Checks the mode `certManager`: the chart requests each certificate from cert-manager, and each certificate is for
/// both clients and servers. The issuer is either rendered or named in the values.
fn check_cert_manager(rendering: &Rendering, values: &Value, mounts: &[CertificateMount]) -> Result<Names> {
    let generated = rendering.of_kind("Secret").find(|secret| secret.text("/type") == "kubernetes.io/tls");
    ensure!(generated.is_none(), "certManager: the chart generates a certificate itself");
    let external_issuer = values.pointer("/global/tls/certManager/issuerRef/name").and_then(Value::as_str);
    let mut names = Names::new();
    for certificate in rendering.of_kind("Certificate") {
        let issuer = certificate.text("/spec/issuerRef/name");
        let rendered = rendering.find("Issuer", issuer).is_some();
        ensure!(
            rendered != (external_issuer == Some(issuer)),
            "{}: the issuer {issuer} must be either rendered or named in the values; rendered: {rendered}",
            certificate.name()
        );
    }
    for mount in mounts {
        let mut certificates = rendering.of_kind("Certificate");
        let Some(certificate) =
            certificates.find(|certificate| certificate.text("/spec/secretName") == mount.secret)
        else {
            bail!("{}: no Certificate names the secret {}", mount.workload, mount.secret)
        };
        let list = |field: &str| {
            let items = certificate.value["spec"][field].as_array().into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<String>>()
        };
        for usage in ["server auth", "client auth"] {
            ensure!(
                list("usages").iter().any(|one| one == usage),
                "{}: usages do not contain {usage}",
                certificate.name()
            );
        }
        names.insert(mount.workload.name.clone(), list("dnsNames"));
    }
    Ok(names)
}

/// Checks that the certificate of each agent, gateway and Jaeger contains the name that its clients expect.
fn check_server_names(rendering: &Rendering, stages: &[Stage], names: &Names) -> Result<()> {
    let mut problems = Vec::new();
    let mut check = |client: &Workload, name: &str, role: &str| {
        for server in stages.iter().filter(|stage| stage.role() == role) {
            let actual = names.get(&server.workload.name).cloned().unwrap_or_default();
            if !actual.iter().any(|one| one == name) {
                problems.push(format!(
                    "{client} expects the name {name:?}, but the certificate of {} has {actual:?}",
                    server.workload
                ));
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
        for (role, variable, server) in [
            ("agent", "SIGHTLINE_GATEWAY_NAME", "gateway"),
            ("gateway", "SIGHTLINE_TRACES_SERVER_NAME", "jaeger"),
        ] {
            if stage.role() == role {
                check(&stage.workload, env(&stage.container, variable).unwrap_or(server), server);
            }
        }
    }
    ensure_none(&problems)
}
