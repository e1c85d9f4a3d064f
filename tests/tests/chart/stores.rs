//! Checks of the stores and of vmalert in Jaeger's pod, of the proxy in front of the pages, and of what reaches the stores.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Container, EnvVar};
use regex::Regex;
use reqwest::header::HOST;
use serde_json::{Value, json};
use sightline::stack::free_port;
use sightline_tests::poll::{DEFAULT_TIMEOUT, eventually};

use crate::pipeline::{self, Stage};
use crate::rendering::{Rendering, Workload};
use crate::{ensure_none, helm, pods, value_set};

const STORES: [&str; 2] = ["victoria-metrics", "victoria-logs"];
pub(crate) const PROXY: &str = "vmauth";
/// Evaluates alerts, if they are enabled.
pub(crate) const ALERTS: &str = "vmalert";

/// The value set with alerts.
pub(crate) const ALERTS_SET: &str = "alerts";

/// The variables with the base URLs of [`STORES`].
const VARIABLES: [&str; 2] = ["SIGHTLINE_METRICS_STORE", "SIGHTLINE_LOGS_STORE"];

/// The gateways' exporter of metrics and log records.
const EXPORTER: &str = "otlp_grpc/stores";

/// Flags whose values are addresses and paths, which differ between a pod and a local stack.
const PLACES: [&str; 12] = [
    "rule",
    "datasource.url",
    "remoteWrite.url",
    "remoteRead.url",
    "external.url",
    "vmalert.proxyURL",
    "httpListenAddr",
    "httpInternalListenAddr",
    "storageDataPath",
    "auth.config",
    "promscrape.config",
    "vmui.customDashboardsPath",
];

/// How many bytes of memory a byte in a queue can take. A queue counts the size of the data on the wire.
const MEMORY_OF_A_QUEUED_BYTE: f64 = 3.0;

/// The gateways' own metrics, as Prometheus names them, and metrics that services send.
const OF_GATEWAYS: [&str; 3] = [
    "traces_span_metrics_calls_total",
    "traces_span_metrics_duration_seconds_bucket",
    "traces_service_graph_request_total",
];
const OF_SERVICES: [&str; 3] =
    ["http_server_request_duration_seconds_count", "target_info", "db_client_operation_duration_seconds_sum"];

/// Returns the workload with the proxy, and its containers by name. A store that is elsewhere is none of its containers.
pub(crate) fn backend(rendering: &Rendering) -> Result<Option<(Workload, BTreeMap<String, Container>)>> {
    let found = rendering
        .workloads()?
        .into_iter()
        .find(|workload| workload.spec.containers.iter().any(|container| container.name == PROXY));
    Ok(found.map(|workload| {
        let containers = workload.spec.containers.iter();
        let by_name = containers.map(|container| (container.name.clone(), container.clone())).collect();
        (workload, by_name)
    }))
}

pub(crate) fn container<'a>(
    containers: &'a BTreeMap<String, Container>,
    name: &str,
) -> Result<&'a Container> {
    containers.get(name).with_context(|| format!("there is no container {name}"))
}

/// Splits `-name=value` arguments. The value of a flag without a value is empty.
pub(crate) fn flags<'a>(arguments: impl IntoIterator<Item = &'a str>) -> BTreeMap<&'a str, &'a str> {
    let split = |argument: &'a str| {
        argument.trim_start_matches('-').split_once('=').unwrap_or((argument.trim_start_matches('-'), ""))
    };
    arguments.into_iter().map(split).collect()
}

pub(crate) fn flags_of(container: &Container) -> BTreeMap<&str, &str> {
    flags(container.args.iter().flatten().map(String::as_str))
}

/// The names of metrics, the labels, the retention and the limits are the same in a cluster and in a local stack. The
/// notifier is not compared.
pub(crate) fn flags_are_as_in_a_local_stack() -> Result<()> {
    let path = helm::repository().join("tools/sightline/src/stack/spec/pipeline.toml");
    let local: toml::Table = std::fs::read_to_string(path)?.parse()?;
    let (_, containers) = backend(&*value_set::render_named(ALERTS_SET)?)?.context("there are no stores")?;
    let mut problems = Vec::new();
    for name in STORES.into_iter().chain([PROXY, ALERTS]) {
        let arguments = local["services"][name]["arguments"].as_array().context("no arguments")?;
        let expected = flags(arguments.iter().filter_map(toml::Value::as_str));
        let rendered = flags_of(container(&containers, name)?);
        let names: BTreeSet<&str> = expected.keys().chain(rendered.keys()).copied().collect();
        for flag in names {
            if flag.starts_with("notifier.") || flag == "${notifier}" {
                continue;
            }
            let (one, other) = (expected.get(flag), rendered.get(flag));
            let size = |value: Option<&&str>| value.and_then(|text| pods::bytes(text));
            let same_size = size(one).zip(size(other)).is_some_and(|(one, other)| (one - other).abs() < 0.5);
            let same_place = PLACES.contains(&flag) && one.is_some() && other.is_some();
            if one != other && !same_size && !same_place {
                problems
                    .push(format!("{name}: -{flag} is {other:?} in the chart, and {one:?} in pipeline.toml"));
            }
        }
    }
    ensure_none(&problems)
}

/// The official images have the versions of the programs that `make` builds.
pub(crate) fn images_have_the_pinned_versions() -> Result<()> {
    let (_, containers) = backend(&*value_set::render_named(ALERTS_SET)?)?.context("there are no stores")?;
    for (name, directory, module) in [
        ("victoria-metrics", "victoria-metrics", "VictoriaMetrics"),
        ("vmauth", "victoria-metrics", "VictoriaMetrics"),
        ("vmalert", "victoria-metrics", "VictoriaMetrics"),
        ("victoria-logs", "victoria-logs", "VictoriaLogs"),
    ] {
        let file = helm::repository().join("tools").join(directory).join("go.mod");
        let text = std::fs::read_to_string(file)?;
        let path = format!("github.com/VictoriaMetrics/{module}");
        let version = text.lines().find_map(|line| {
            let mut words = line.split_whitespace().skip_while(|word| *word == "require");
            (words.next() == Some(&path)).then(|| words.next())?
        });
        let expected = format!("docker.io/victoriametrics/{name}:{}", version.context(path)?);
        let image = container(&containers, name)?.image.clone().unwrap_or_default();
        ensure!(image == expected, "the image of {name} is {image}, but go.mod says {expected}");
    }
    Ok(())
}

/// The metrics store reads the metrics of the containers of its pod at the addresses on which they listen.
pub(crate) fn scrape_each_other(rendering: &Rendering) -> Result<()> {
    let Some((_, containers)) = backend(rendering)? else { return Ok(()) };
    let Some(store) = containers.get("victoria-metrics") else { return Ok(()) };
    let port = |name: &str, port: &str| -> Result<String> {
        let declared = container(&containers, name)?.ports.iter().flatten();
        let found = declared.clone().find(|one| one.name.as_deref() == Some(port));
        Ok(format!(
            "127.0.0.1:{}",
            found.with_context(|| format!("{name} has no port {port}"))?.container_port
        ))
    };
    let listen = |name: &str| -> Result<String> {
        Ok(flags_of(container(&containers, name)?)
            .get("httpListenAddr")
            .copied()
            .unwrap_or_default()
            .to_owned())
    };
    for (variable, expected) in [
        ("SIGHTLINE_METRICS_STORE_ADDRESS", listen("victoria-metrics")?),
        (
            "SIGHTLINE_LOGS_STORE_ADDRESS",
            if containers.contains_key("victoria-logs") { listen("victoria-logs")? } else { String::new() },
        ),
        ("SIGHTLINE_JAEGER_METRICS_ADDRESS", port("jaeger", "metrics")?),
        ("SIGHTLINE_PAGES_HEALTH_ADDRESS", port(PROXY, "pages-health")?),
        (
            "SIGHTLINE_VMALERT_ADDRESS",
            if containers.contains_key(ALERTS) { listen(ALERTS)? } else { String::new() },
        ),
    ] {
        let found = pods::env(store, variable);
        ensure!(found == Some(&expected), "{variable} is {found:?}, not {expected}");
    }
    Ok(())
}

/// The stores check neither certificates nor passwords, so they and Jaeger's UI listen on loopback and declare no port.
/// The proxy gets their addresses.
pub(crate) fn listen_on_loopback(rendering: &Rendering) -> Result<()> {
    let Some((_, containers)) = backend(rendering)? else { return Ok(()) };
    let (jaeger, proxy) = (container(&containers, "jaeger")?, container(&containers, PROXY)?);
    let mut expected = vec![(
        "SIGHTLINE_JAEGER_UI",
        format!(
            "{}:{}",
            pods::env(jaeger, "SIGHTLINE_UI_BIND").unwrap_or_default(),
            pods::env(jaeger, "SIGHTLINE_UI_PORT").unwrap_or_default()
        ),
    )];
    for (name, variable) in STORES.into_iter().zip(VARIABLES) {
        let Some(store) = containers.get(name) else { continue };
        let address = flags_of(store).get("httpListenAddr").copied().unwrap_or_default().to_owned();
        expected.push((variable, address));
        ensure!(store.ports.is_none(), "{name} declares ports");
    }
    if let Some(alerts) = containers.get(ALERTS) {
        let address = flags_of(alerts).get("httpListenAddr").copied().unwrap_or_default().to_owned();
        ensure!(alerts.ports.is_none(), "{ALERTS} declares ports");
        let forwarded = flags_of(container(&containers, "victoria-metrics")?)
            .get("vmalert.proxyURL")
            .copied()
            .unwrap_or_default()
            .to_owned();
        ensure!(
            forwarded == format!("http://{address}"),
            "the pages read alerts at {forwarded}, not {address}"
        );
        expected.push(("SIGHTLINE_VMALERT", address));
    }
    for (variable, address) in expected {
        ensure!(address.starts_with("127.0.0.1:"), "a store or the UI listens on {address}");
        let url = pods::env(proxy, variable).unwrap_or_default();
        ensure!(url == format!("http://{address}"), "{variable} of {PROXY} is {url}, not {address}");
    }
    for variable in VARIABLES {
        let [one, other] = [jaeger, proxy].map(|container| pods::env(container, variable));
        ensure!(one == other, "{variable} is {one:?} for Jaeger, and {other:?} for {PROXY}");
    }
    let ui = jaeger.ports.iter().flatten().find(|port| port.name.as_deref() == Some("ui"));
    ensure!(ui.is_none(), "Jaeger declares a port for its UI, but {PROXY} serves the pages");
    let public = flags_of(proxy).get("httpListenAddr").copied().unwrap_or_default().to_owned();
    ensure!(public.ends_with(":16686") && !public.starts_with("127."), "{PROXY} listens on {public}");
    let tcp6 = flags_of(proxy).contains_key("enableTCP6");
    ensure!(tcp6 == public.starts_with('['), "-enableTCP6 is {tcp6}, and {PROXY} listens on {public}");
    Ok(())
}

/// Each store has probes of its own, which vmauth forwards to it: the path is in vmauth.yaml, and the Host header is
/// accepted. Only a store that hangs is restarted. Traces are still accepted if a store in the pod is not ready.
pub(crate) fn are_probed(rendering: &Rendering) -> Result<()> {
    let Some((workload, containers)) = backend(rendering)? else { return Ok(()) };
    let routes = std::fs::read_to_string(helm::repository().join("collector-config/vmauth.yaml"))?;
    let own: Vec<&str> = STORES.into_iter().filter(|name| containers.contains_key(*name)).collect();
    for name in own.iter().chain(containers.contains_key(ALERTS).then_some(&ALERTS)) {
        let store = container(&containers, name)?;
        let kinds: Vec<&str> = pods::probes(store).map(|(kind, _)| kind).collect();
        ensure!(kinds == ["startupProbe", "readinessProbe", "livenessProbe"], "{name} has only {kinds:?}");
        for (kind, probe) in pods::probes(store) {
            let get =
                probe.http_get.clone().with_context(|| format!("{kind} of {name} sends no GET request"))?;
            let path = get.path.unwrap_or_default();
            ensure!(
                routes.contains(&format!("src_paths: [{path}]")),
                "{kind} of {name}: no route for {path}"
            );
            let headers = get.http_headers.unwrap_or_default();
            let host =
                headers.iter().find(|header| header.name == "Host").map(|header| header.value.as_str());
            ensure!(host == Some("localhost"), "{kind} of {name} has the Host header {host:?}");
        }
    }
    let service = rendering.find("Service", &workload.name).context("the backend has no Service")?;
    let published = service.value["spec"]["publishNotReadyAddresses"].as_bool();
    ensure!(published == (!own.is_empty()).then_some(true), "publishNotReadyAddresses is {published:?}");
    Ok(())
}

/// A gateway sends metrics and log records to Jaeger if and only if Jaeger has stores for them. Its name is the name of its
/// pod. It retries while a store is full, but not if it sends to a backend that is not part of the pipeline.
pub(crate) fn get_what_gateways_send(rendering: &Rendering) -> Result<()> {
    let stages = pipeline::stages(rendering)?;
    let stage = |role: &str| stages.iter().find(|stage| stage.role() == role);
    let Some(gateway) = stage("gateway") else { return Ok(()) };
    let sends = gateway.file_names().contains(&"gateway-stores.yaml");
    if let Some(jaeger) = stage("jaeger") {
        let stores = jaeger.file_names().contains(&"jaeger-stores.yaml");
        ensure!(stores == backend(rendering)?.is_some(), "jaeger-stores.yaml is loaded: {stores}");
        ensure!(
            sends == stores,
            "gateway-stores.yaml is loaded: {sends}, jaeger-stores.yaml is loaded: {stores}"
        );
    }
    ensure!(
        gateway.workload.kind == "StatefulSet",
        "the names of gateways change, so each restart would create new series"
    );
    let name =
        gateway.container.env.iter().flatten().find(|variable| variable.name == "SIGHTLINE_GATEWAY_NAME");
    let field = name.and_then(|name| name.value_from.clone()?.field_ref).map(|field| field.field_path);
    ensure!(field.as_deref() == sends.then_some("metadata.name"), "SIGHTLINE_GATEWAY_NAME is {field:?}");
    let is_foreign = gateway.file_names().contains(&"gateway-backend.yaml");
    let expected = if is_foreign { json!([]) } else { json!([{"id": "sightline_retry_exhausted"}]) };
    let middlewares = &gateway.configuration()?["exporters"][EXPORTER]["middlewares"];
    ensure!(*middlewares == expected, "the middlewares of {EXPORTER} are {middlewares}");
    Ok(())
}

/// While both stores are away and their queues are full, at least three quarters of the memory that a gateway can use
/// before it refuses data are left for traces.
pub(crate) fn queues_leave_memory_for_traces(rendering: &Rendering) -> Result<()> {
    for stage in pipeline::stages(rendering)?.iter().filter(|stage| stage.role() == "gateway") {
        let queued = queued_bytes(stage)?;
        let limits = stage.container.resources.clone().and_then(|resources| resources.limits);
        let limits = limits.unwrap_or_default();
        let limit = limits.get("memory").and_then(|quantity| pods::bytes(&quantity.0));
        let limiter = &stage.configuration()?["processors"]["memory_limiter"];
        let percent = |key: &str| limiter[key].as_f64().with_context(|| format!("{key} is not a number"));
        let share = (percent("limit_percentage")? - percent("spike_limit_percentage")?) / 100.0;
        let usable = limit.context("no memory limit")? * share;
        ensure!(
            queued * MEMORY_OF_A_QUEUED_BYTE <= usable / 4.0,
            "{}: the queues of metrics and log records hold {queued} bytes, and the gateway refuses data above \
             {usable} bytes",
            stage.workload
        );
    }
    Ok(())
}

/// Returns the size of the queues of [`EXPORTER`]. An exporter has a queue for each signal.
fn queued_bytes(stage: &Stage) -> Result<f64> {
    let configuration = stage.configuration()?;
    let pipelines = configuration["service"]["pipelines"].as_object().context("no pipelines")?;
    let exports = |pipeline: &Value| {
        pipeline["exporters"]
            .as_array()
            .is_some_and(|exporters| exporters.iter().any(|each| each == EXPORTER))
    };
    let signals: BTreeSet<&str> = pipelines
        .iter()
        .filter(|(_, pipeline)| exports(pipeline))
        .filter_map(|(name, _)| name.split('/').next())
        .collect();
    ensure!(!signals.contains("traces"), "traces have the queues of {EXPORTER}");
    let queue = &configuration["exporters"][EXPORTER]["sending_queue"];
    ensure!(queue["sizer"] == "bytes", "the queue does not count bytes");
    // YAML 1.2 has no `_` in numbers, so the parser of this test returns text.
    let size = queue["queue_size"].to_string().replace(['_', '"'], "");
    let size: f64 = size.parse().with_context(|| format!("queue_size is {size}"))?;
    Ok(signals.iter().map(|_| size).sum())
}

/// The gateways also have the metrics that services send. If Prometheus scrapes the services, it keeps from the gateways
/// only what they count themselves.
pub(crate) fn nothing_is_scraped_twice(rendering: &Rendering) -> Result<()> {
    let mut of_services = BTreeSet::new();
    let mut from_gateways = BTreeSet::new();
    for monitor in rendering.of_kind("ServiceMonitor") {
        for endpoint in monitor.value["spec"]["endpoints"].as_array().into_iter().flatten() {
            match endpoint["port"].as_str() {
                Some("admin") => of_services.extend(OF_SERVICES),
                Some("span-metrics") => {
                    for name in OF_GATEWAYS.into_iter().chain(OF_SERVICES) {
                        if is_kept(&endpoint["metricRelabelings"], name)? {
                            from_gateways.insert(name);
                        }
                    }
                }
                _ => {}
            }
        }
    }
    let twice: Vec<_> = of_services.intersection(&from_gateways).collect();
    ensure!(twice.is_empty(), "Prometheus scrapes {twice:?} from services and from gateways");
    let missing: Vec<_> = OF_GATEWAYS.iter().filter(|name| !from_gateways.contains(*name)).collect();
    let scrapes = rendering.of_kind("ServiceMonitor").any(|monitor| monitor.name().ends_with("-gateway"));
    ensure!(!scrapes || missing.is_empty(), "Prometheus does not scrape {missing:?}");
    Ok(())
}

/// Applies relabelings with the action `keep` to the name of a metric.
fn is_kept(relabelings: &Value, name: &str) -> Result<bool> {
    let mut kept = true;
    for rule in relabelings.as_array().into_iter().flatten() {
        ensure!(
            rule["action"] == "keep" && rule["sourceLabels"] == serde_json::json!(["__name__"]),
            "this test does not know the rule {rule}"
        );
        // Prometheus anchors the expression.
        let expression = format!("^(?:{})$", rule["regex"].as_str().unwrap_or_default());
        kept &= Regex::new(&expression)?.is_match(name);
    }
    Ok(kept)
}

/// vmauth with the arguments and the environment of the chart accepts the names of the Service and the configured hosts,
/// and no others.
pub(crate) fn pages_accept_only_known_hosts() -> Result<()> {
    let known = [
        "localhost",
        "localhost:3000",
        "127.0.0.1:16686",
        "[::1]:16686",
        "sightline-jaeger:16686",
        "sightline-jaeger.default.svc",
    ];
    let configured = ["telemetry.example.com", "telemetry.example.com:443"];
    let unknown = [
        "10.244.0.9:16686",
        "evil.example",
        "telemetry-example.com",
        "sightline-jaeger.evil.example",
        "xlocalhost",
        "localhost:80.evil.example",
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for (set, accepted, refused) in [
        ("default", known.to_vec(), [&unknown[..], &configured[..]].concat()),
        ("stores", [&known[..], &configured[..]].concat(), unknown.to_vec()),
    ] {
        let rendering = value_set::render_named(set)?;
        runtime.block_on(async {
            let unused = format!("http://127.0.0.1:{}", free_port()?);
            let environment = |variable: &EnvVar| {
                let value = variable.value.clone().unwrap_or_default();
                if value.starts_with("http://") { unused.clone() } else { value }
            };
            let proxy = Proxy::start(&rendering, environment, None).await?;
            for host in accepted {
                // The stores do not run, so the proxy cannot forward the request.
                ensure!(proxy.status(host).await? == 502, "{set}: {host} is not accepted");
            }
            for host in refused {
                ensure!(proxy.status(host).await? == 400, "{set}: {host} is accepted");
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// vmauth with the configuration that the chart renders. Only addresses and paths differ.
pub(crate) struct Proxy {
    child: Child,
    pub(crate) port: u16,
    _directory: tempfile::TempDir,
}

impl Proxy {
    /// Starts the proxy. `environment` returns the value of a variable of the container, and `ca` is the file that the
    /// container mounts for stores elsewhere.
    pub(crate) async fn start(
        rendering: &Rendering,
        environment: impl Fn(&EnvVar) -> String,
        ca: Option<&Path>,
    ) -> Result<Self> {
        let (workload, containers) = backend(rendering)?.context("there is no proxy")?;
        let proxy = container(&containers, PROXY)?;
        let directory = tempfile::tempdir()?;
        let (port, health) = (free_port()?, free_port()?);
        let mut command = Command::new(helm::program("VMAUTH", PROXY)?);
        for argument in proxy.args.iter().flatten() {
            command.arg(match flags([argument.as_str()]).first_key_value() {
                Some((&"auth.config", path)) => {
                    let text = pipeline::mounted_files(rendering, &workload, proxy)?
                        .into_iter()
                        .find_map(|(known, text)| (known == *path).then_some(text));
                    let file = directory.path().join("vmauth.yaml");
                    std::fs::write(&file, text.with_context(|| format!("{path} is not mounted"))?)?;
                    format!("-auth.config={}", file.display())
                }
                Some((&"backend.TLSCAFile", _)) => {
                    format!("-backend.TLSCAFile={}", ca.context("no CA file")?.display())
                }
                Some((&"httpListenAddr", _)) => format!("-httpListenAddr=127.0.0.1:{port}"),
                Some((&"httpInternalListenAddr", _)) => format!("-httpInternalListenAddr=127.0.0.1:{health}"),
                _ => argument.clone(),
            });
        }
        command.env_clear().stdout(Stdio::null()).stderr(Stdio::null());
        for variable in proxy.env.iter().flatten() {
            command.env(&variable.name, environment(variable));
        }
        let child = command.spawn().context("vmauth cannot be started")?;
        let started = Self { child, port, _directory: directory };
        let url = format!("http://127.0.0.1:{health}/health");
        eventually("vmauth is healthy", DEFAULT_TIMEOUT, async || {
            ensure!(reqwest::get(&url).await?.status().is_success(), "{url} reports an error");
            Ok(())
        })
        .await?;
        Ok(started)
    }

    /// Returns the status of a probe's path for a Host header.
    async fn status(&self, host: &str) -> Result<u16> {
        let url = format!("http://127.0.0.1:{}/health/metrics-store", self.port);
        let request = reqwest::Client::builder().no_proxy().build()?.get(url).header(HOST, host);
        Ok(request.send().await?.status().as_u16())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // vmauth may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
