//! Stores that are not in Jaeger's pod. Jaeger and vmauth, with the configuration that the chart renders, use a real
//! `VictoriaMetrics` and a real `VictoriaLogs` that demand TLS and a login, with the flags in `deploy/stores`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, EnvVar};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::Value;
use sightline::certs::TlsFiles;
use sightline::stack::free_port;
use sightline_tests::mtls::certificate_of_a_new_ca;
use sightline_tests::otlp::{CLIENT, Credentials, OtlpEndpoint, connect_over_grpc};
use sightline_tests::poll::{DEFAULT_TIMEOUT, eventually};
use tonic::Code;

use crate::helm::{self, Install};
use crate::pipeline;
use crate::rendering::Rendering;
use crate::stores::{self, PROXY, Proxy};
use crate::{ensure_none, pods, value_set};

const USER: &str = "sightline";
const PASSWORD: &str = "p4ssword-of-the-stores";
/// `sightline:p4ssword-of-the-stores` in base64.
const AUTHORIZATION: &str = "Basic c2lnaHRsaW5lOnA0c3N3b3JkLW9mLXRoZS1zdG9yZXM=";
/// `sightline:wrong` in base64.
const WRONG_AUTHORIZATION: &str = "Basic c2lnaHRsaW5lOndyb25n";

/// The stores: the signal, the program, and the variable with its path.
const STORES: [(&str, &str, &str); 2] =
    [("metrics", "victoria-metrics", "VICTORIA_METRICS"), ("logs", "victoria-logs", "VICTORIA_LOGS")];

/// The end of the names of the variables with a header.
const HEADER: &str = "_STORE_AUTHORIZATION";

/// Data for a store elsewhere is encrypted, and the login comes from a secret. No `ConfigMap` contains a login.
pub(crate) fn need_tls_and_a_secret(rendering: &Rendering) -> Result<()> {
    let Some((_, containers)) = stores::backend(rendering)? else { return Ok(()) };
    let mut problems = Vec::new();
    for container in containers.values() {
        for variable in container.env.iter().flatten().filter(|variable| variable.name.ends_with(HEADER)) {
            let secret = variable.value_from.as_ref().is_some_and(|from| from.secret_key_ref.is_some());
            let empty = variable.value.as_deref() == Some("");
            if secret == empty {
                problems.push(format!("{}: {} is not from a secret", container.name, variable.name));
            }
        }
    }
    for map in rendering.all::<ConfigMap>()? {
        for (file, text) in map.data.iter().flatten() {
            for line in text.lines().filter(|line| line.trim_start().starts_with("Authorization:")) {
                let (_, value) = line.split_once(':').unwrap_or_default();
                if !value.trim().starts_with("${env:") {
                    problems.push(format!("{file} has a login: {line}"));
                }
            }
        }
    }
    for stage in pipeline::stages(rendering)?.iter().filter(|stage| stage.role() == "jaeger") {
        let exporters = stage.configuration()?["exporters"].clone();
        for (signal, ..) in STORES {
            let variable = format!("SIGHTLINE_{}_STORE", signal.to_uppercase());
            let url = pods::env(&stage.container, &variable).unwrap_or_default();
            let exporter = &exporters[format!("otlphttp/{signal}")];
            let local = url.starts_with("http://127.0.0.1:");
            let without_tls = stage.file_names().contains(&"jaeger-insecure.yaml");
            if !local && !without_tls && !url.starts_with("https://") {
                problems.push(format!("{signal} go unencrypted to {url}"));
            }
            if exporter["tls"]["insecure_skip_verify"] == true || exporter["tls"]["insecure"] == true {
                problems.push(format!("the certificate of {url} is not verified"));
            }
            let header = exporter["headers"]["Authorization"].as_str();
            let has_login = stage
                .container
                .env
                .iter()
                .flatten()
                .any(|one| one.name == format!("{variable}_AUTHORIZATION"));
            let expected = has_login.then(|| format!("${{env:{variable}_AUTHORIZATION}}"));
            if header != expected.as_deref() {
                problems.push(format!("the login for {url} is {header:?}, not {expected:?}"));
            }
        }
    }
    ensure_none(&problems)
}

/// The stores of `deploy/stores` name and label metrics as the stores in the pod do.
pub(crate) fn flags_are_as_in_the_pod() -> Result<()> {
    const OWN: [&str; 5] = ["tls", "tlsCertFile", "tlsKeyFile", "httpAuth.username", "httpAuth.password"];
    const OF_THE_POD: [&str; 7] = [
        "httpListenAddr",
        "storageDataPath",
        "retentionPeriod",
        "retention.maxDiskSpaceUsageBytes",
        "memory.allowedBytes",
        "promscrape.config",
        "vmui.customDashboardsPath",
    ];
    let (_, containers) = stores::backend(&*value_set::render_named("default")?)?.context("no stores")?;
    for (_, program, _) in STORES {
        let elsewhere = extra_arguments(program)?;
        let elsewhere: BTreeMap<&str, &str> = elsewhere
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| !OWN.contains(name))
            .collect();
        let mut pod = stores::flags_of(stores::container(&containers, program)?);
        pod.retain(|name, _| !OF_THE_POD.contains(name));
        for value in pod.values_mut().filter(|value| value.is_empty()) {
            *value = "true";
        }
        ensure!(elsewhere == pod, "{program} has {elsewhere:?} in deploy/stores, but {pod:?} in the pod");
    }
    Ok(())
}

/// The values in `docs/stores.md` and in `deploy/stores` are accepted, and the pods that they result in pass the checks of
/// stores.
pub(crate) fn documented_values_are_valid() -> Result<()> {
    let page = fs::read_to_string(helm::repository().join("docs/stores.md"))?;
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut values: Vec<String> =
        blocks.filter(|block| block.starts_with("jaeger:")).map(str::to_owned).collect();
    ensure!(values.len() == 3, "docs/stores.md has {} blocks with values, not 3", values.len());
    values.push(fs::read_to_string(helm::repository().join("deploy/stores/sightline.yaml"))?);
    for text in values {
        let directory = tempfile::tempdir()?;
        let rendering = render(directory.path(), &text).with_context(|| text.clone())?;
        for check in [
            need_tls_and_a_secret,
            stores::listen_on_loopback,
            stores::scrape_each_other,
            stores::are_probed,
            pipeline::environment_matches_the_files,
            pipeline::configuration_is_valid,
        ] {
            check(&rendering).with_context(|| text.clone())?;
        }
    }
    Ok(())
}

/// What Jaeger receives is in the stores. The pages and Jaeger's Monitor page can read it, without a login of their own.
pub(crate) fn data_and_queries_arrive() -> Result<()> {
    run(async {
        let backend = Backend::start(AUTHORIZATION).await?;
        backend.send().await.context("Jaeger has refused data")?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let base = format!("http://127.0.0.1:{}", backend.proxy.port);
        eventually("the pages show the metric", DEFAULT_TIMEOUT, async || {
            let url = format!("{base}/prometheus/api/v1/query?query=remote_check_ratio");
            // A login that a browser sends is not the one that the store gets.
            let response = client.get(url).basic_auth("someone", Some("else")).send().await?;
            let found: Value = serde_json::from_str(&response.error_for_status()?.text().await?)?;
            let labels = &found["data"]["result"][0]["metric"];
            ensure!(labels["service_name"] == CLIENT, "the response is {found}");
            Ok(())
        })
        .await?;
        eventually("the pages show the log record", DEFAULT_TIMEOUT, async || {
            let url = format!("{base}/select/logsql/query?query=remote");
            let text = client.get(url).send().await?.error_for_status()?.text().await?;
            ensure!(text.contains("a remote record") && text.contains(CLIENT), "the response is {text:?}");
            Ok(())
        })
        .await?;
        let url = format!("{base}/api/metrics/calls?service={CLIENT}&spanKind=server");
        let response = client.get(url).send().await?;
        let status = response.status();
        ensure!(status.is_success(), "the Monitor page: {status}: {}", response.text().await?);
        for path in ["/prometheus/vmui/", "/select/vmui/"] {
            client.get(format!("{base}{path}")).send().await?.error_for_status()?;
        }
        backend.is_closed_to_others().await
    })
}

/// With a wrong login, the stores refuse data and queries. The error makes the sender give up.
pub(crate) fn wrong_login_is_refused() -> Result<()> {
    run(async {
        let backend = Backend::start(WRONG_AUTHORIZATION).await?;
        for outcome in [backend.send_metric().await, backend.send_log().await] {
            let error = outcome.err().context("the data was accepted")?;
            let code = error.downcast_ref::<tonic::Status>().map(tonic::Status::code);
            ensure!(code == Some(Code::Unauthenticated), "the error is {error:#}");
            ensure!(
                !format!("{error:?}").contains(WRONG_AUTHORIZATION),
                "the error has the login: {error:?}"
            );
        }
        let url = format!("http://127.0.0.1:{}/prometheus/api/v1/query?query=up", backend.proxy.port);
        let status = reqwest::Client::builder().no_proxy().build()?.get(url).send().await?.status();
        ensure!(status == 401, "a query has status {status}");
        Ok(())
    })
}

fn run(test: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(test)
}

/// The flags of a store in `deploy/stores`.
fn extra_arguments(program: &str) -> Result<BTreeMap<String, String>> {
    let file = helm::repository().join("deploy/stores").join(format!("{program}.yaml"));
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let values: Value = serde_yaml::from_str(&text)?;
    let flags = values["server"]["extraArgs"].as_object().context("no extraArgs")?;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(flags.iter().map(|(name, value)| (name.clone(), text(value))).collect())
}

/// A program that ends with the test.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Result<Self> {
        let child = command.stdout(Stdio::null()).stderr(fs::File::create(&log)?).spawn()?;
        Ok(Self { child, log })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a URL has a status that is a success.
    pub(crate) async fn wait(&mut self, client: &reqwest::Client, url: &str) -> Result<()> {
        let ready = eventually("the program is healthy", DEFAULT_TIMEOUT, async || {
            if let Some(status) = self.child.try_wait()? {
                bail!("the program exited: {status}");
            }
            let status = client.get(url).send().await?.status();
            ensure!(status.is_success(), "{url} has status {status}");
            Ok(())
        });
        let outcome = ready.await;
        outcome.with_context(|| fs::read_to_string(&self.log).unwrap_or_default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The program may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Jaeger and vmauth of one pod, and the two stores.
struct Backend {
    proxy: Proxy,
    /// The port of Jaeger's receiver.
    otlp: u16,
    identity: TlsFiles,
    store_urls: Vec<String>,
    client: reqwest::Client,
    _programs: Vec<Running>,
    _directory: tempfile::TempDir,
}

impl Backend {
    /// Starts all programs. `authorization` is the value in the secret.
    async fn start(authorization: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let root = directory.path();
        let certificate = certificate_of_a_new_ca(&root.join("stores"), "stores")?;
        let ca = reqwest::Certificate::from_pem(&fs::read(&certificate.ca)?)?;
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build()?;
        let mut programs = Vec::new();
        let mut store_urls = Vec::new();
        for (_, program, variable) in STORES {
            let port = free_port()?;
            let mut store = start_store(root, program, variable, &certificate, port)?;
            let url = format!("https://localhost:{port}");
            store.wait(&client, &format!("{url}/health")).await?;
            store_urls.push(url);
            programs.push(store);
        }
        let rendering = render_at(root, &store_urls)?;
        let ui = free_port()?;
        let replaced = |variable: &EnvVar| match variable.name.as_str() {
            "SIGHTLINE_JAEGER_UI" => format!("http://127.0.0.1:{ui}"),
            name if name.ends_with(HEADER) => authorization.to_owned(),
            _ => variable.value.clone().unwrap_or_default(),
        };
        let proxy = Proxy::start(&rendering, replaced, Some(&certificate.ca)).await?;
        let identity = certificate_of_a_new_ca(&root.join("pipeline"), "jaeger")?;
        let (otlp, health) = (free_port()?, free_port()?);
        let environment = |variable: &EnvVar| match variable.name.as_str() {
            "SIGHTLINE_BIND" => "127.0.0.1".to_owned(),
            "SIGHTLINE_UI_PORT" => ui.to_string(),
            "SIGHTLINE_UI_CONFIG" => root.join("etc/jaeger/jaeger-ui.js").display().to_string(),
            "SIGHTLINE_TLS_DIR" => root.join("pipeline/jaeger").display().to_string(),
            "SIGHTLINE_STORES_CA_FILE" => certificate.ca.display().to_string(),
            _ => replaced(variable),
        };
        let ports = [
            ("SIGHTLINE_OTLP_GRPC_PORT", otlp),
            ("SIGHTLINE_HEALTH_PORT", health),
            ("SIGHTLINE_METRICS_PORT", free_port()?),
        ];
        let mut jaeger = start_jaeger(root, &rendering, environment, &ports, proxy.port)?;
        jaeger.wait(&client, &format!("http://127.0.0.1:{health}/")).await?;
        programs.push(jaeger);
        Ok(Self { proxy, otlp, identity, store_urls, client, _programs: programs, _directory: directory })
    }

    async fn send(&self) -> Result<()> {
        self.send_metric().await?;
        self.send_log().await
    }

    fn credentials(&self) -> Credentials {
        Credentials::Certificate { trust: self.identity.clone(), identity: self.identity.clone() }
    }

    async fn send_metric(&self) -> Result<()> {
        let channel = connect_over_grpc(&OtlpEndpoint::local(self.otlp), &self.credentials()).await?;
        let point = NumberDataPoint {
            time_unix_nano: now(),
            value: Some(number_data_point::Value::AsDouble(1.0)),
            ..NumberDataPoint::default()
        };
        let metric = Metric {
            name: "remote.check".to_owned(),
            unit: "1".to_owned(),
            data: Some(metric::Data::Gauge(Gauge { data_points: vec![point] })),
            ..Metric::default()
        };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(resource()),
                scope_metrics: vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }],
                ..ResourceMetrics::default()
            }],
        };
        MetricsServiceClient::new(channel).export(request).await?;
        Ok(())
    }

    async fn send_log(&self) -> Result<()> {
        let channel = connect_over_grpc(&OtlpEndpoint::local(self.otlp), &self.credentials()).await?;
        let record =
            LogRecord { time_unix_nano: now(), body: Some(text("a remote record")), ..LogRecord::default() };
        let request = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(resource()),
                scope_logs: vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }],
                ..ResourceLogs::default()
            }],
        };
        LogsServiceClient::new(channel).export(request).await?;
        Ok(())
    }

    /// The stores refuse a client without a login.
    async fn is_closed_to_others(&self) -> Result<()> {
        for (url, path) in self.store_urls.iter().zip(["/prometheus/api/v1/query?query=up", "/select/vmui/"])
        {
            let status = self.client.get(format!("{url}{path}")).send().await?.status();
            ensure!(status == 401, "{url}{path} has status {status} without a login");
        }
        Ok(())
    }
}

/// Starts a store with the flags in `deploy/stores`. Only paths and the port differ.
fn start_store(
    root: &Path,
    program: &str,
    variable: &str,
    certificate: &TlsFiles,
    port: u16,
) -> Result<Running> {
    let password = root.join("password");
    fs::write(&password, PASSWORD)?;
    let mut command = Command::new(helm::program(variable, program)?);
    command.arg(format!("-httpListenAddr=127.0.0.1:{port}"));
    command.arg(format!("-storageDataPath={}", root.join(program).display()));
    for (name, value) in extra_arguments(program)? {
        let value = match name.as_str() {
            "tlsCertFile" => certificate.cert.display().to_string(),
            "tlsKeyFile" => certificate.key.display().to_string(),
            "httpAuth.password" => format!("file://{}", password.display()),
            "httpAuth.username" => {
                ensure!(value == USER, "the user in deploy/stores is {value}");
                value
            }
            _ => value,
        };
        command.arg(format!("-{name}={value}"));
    }
    Running::start(&mut command, root.join(format!("{program}.log")))
}

/// Renders the chart with both stores at these URLs.
fn render_at(root: &Path, store_urls: &[String]) -> Result<Rendering> {
    let mut stores = serde_json::json!({"caSecret": "stores-ca"});
    for ((signal, ..), url) in STORES.iter().zip(store_urls) {
        stores[*signal] = serde_json::json!({"endpoint": url, "existingSecret": "stores-login"});
    }
    let values = serde_json::json!({"jaeger": {"storage": {"type": "memory"}, "stores": stores}});
    let rendering = render(root, &serde_yaml::to_string(&values)?)?;
    let (_, containers) = stores::backend(&rendering)?.context("there is no proxy")?;
    let names: Vec<&str> = containers.keys().map(String::as_str).collect();
    ensure!(names == ["jaeger", PROXY], "the pod has the containers {names:?}");
    Ok(rendering)
}

pub(crate) fn render(root: &Path, values: &str) -> Result<Rendering> {
    let file = root.join("values.yaml");
    fs::write(&file, values)?;
    let install = Install { release: "sightline", namespace: "default", values: &file, apis: &[] };
    Ok(Rendering {
        name: "remote-stores".to_owned(),
        release: "sightline".to_owned(),
        namespace: "default".to_owned(),
        manifests: helm::template(&helm::test_chart(), install)?,
        existing: Vec::new(),
    })
}

/// Starts Jaeger with the files, arguments and environment of the chart. Only ports and paths differ.
fn start_jaeger(
    root: &Path,
    rendering: &Rendering,
    environment: impl Fn(&EnvVar) -> String,
    ports: &[(&str, u16)],
    pages: u16,
) -> Result<Running> {
    let stages = pipeline::stages(rendering)?;
    let stage = stages.iter().find(|stage| stage.role() == "jaeger").context("there is no Jaeger")?;
    for (path, text) in pipeline::mounted_files(rendering, &stage.workload, &stage.container)? {
        let file = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap_or(root))?;
        // The port of the pages is fixed in a pod.
        fs::write(&file, text.replace("127.0.0.1:16686", &format!("127.0.0.1:{pages}")))?;
    }
    let mut command = Command::new(helm::program("JAEGER", "jaeger")?);
    for (path, _) in &stage.files {
        command.arg("--config").arg(root.join(path.trim_start_matches('/')));
    }
    command.env_clear();
    for variable in stage.container.env.iter().flatten() {
        command.env(&variable.name, environment(variable));
    }
    for (variable, port) in ports {
        command.env(variable, port.to_string());
    }
    Running::start(&mut command, root.join("jaeger.log"))
}

fn now() -> u64 {
    u64::try_from(time::OffsetDateTime::now_utc().unix_timestamp_nanos()).unwrap_or_default()
}

fn text(value: &str) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }
}

fn resource() -> Resource {
    Resource {
        attributes: vec![KeyValue {
            key: "service.name".to_owned(),
            value: Some(text(CLIENT)),
            ..KeyValue::default()
        }],
        ..Resource::default()
    }
}
