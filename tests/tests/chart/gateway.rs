//! The gateway with the configuration that the chart renders, started on this machine: entries that the values add to
//! its lists take effect, and it sends traces to a backend that demands a header.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use sightline::certs::TlsFiles;
use sightline::stack::{GATEWAY, StackSpec};
use sightline_tests::mtls::certificate_of_a_new_ca;
use sightline_tests::otlp::{Credentials, OtlpEndpoint, one_span, send_over_grpc};
use sightline_tests::poll::{DEFAULT_TIMEOUT, eventually};
use sightline_tests::prometheus::Samples;
use sightline_tests::store::OtlpStore;

use crate::helm::{self, Install};
use crate::pipeline::{self, Stage};
use crate::rendering::Rendering;

/// The header that the store demands, and its value.
const HEADER: &str = "authorization";
const TOKEN: &str = "t0ken-of-the-backend";

/// The additions, in the format of the chart's values. The keys of [`sightline::gateway::Additions`] differ only in
/// `spanMetrics`.
const ADDITIONS: &str = r"
sampling:
  policies:
    - {name: checkout, type: string_attribute, string_attribute: {key: http.route, values: [/checkout]}}
redaction:
  keys: ['^customer\.iban$']
  patterns: ['DE\d{20}']
spanMetrics:
  dimensions:
    - {name: tenant.id}
    - {name: plan, default: none}
";

/// The values for a gateway that keeps no trace unless a policy keeps it, and sends to the store at `port`.
fn values(port: u16, headers: &str) -> Result<String> {
    let mut gateway: Value = serde_yaml::from_str(ADDITIONS)?;
    gateway["sampling"]["percentage"] = 0.into();
    gateway["sampling"]["decisionWait"] = "1s".into();
    gateway["traces"] = serde_yaml::from_str(&format!(
        "{{endpoint: 'localhost:{port}', headers: {headers}, tls: {{mode: server, caSecret: backend}}}}"
    ))?;
    gateway["networkPolicy"]["extraEgress"] = serde_yaml::from_str("[{ports: [{port: 443}]}]")?;
    Ok(serde_yaml::to_string(&serde_json::json!({
        "collector": {"gateway": gateway},
        "jaeger": {"enabled": false},
    }))?)
}

/// The lists that the chart renders are the same as the lists that [`sightline::gateway::Additions`] generates.
pub(crate) fn lists_are_as_in_a_local_stack() -> Result<()> {
    let stage = render(&values(443, "{}")?)?;
    let (_, overlay) = stage.files.last().context("the gateway has no files")?;
    let mut overlay: Value = serde_yaml::from_str(overlay)?;
    overlay.as_object_mut().context("the overlay is not a map")?.remove("exporters");

    let additions: sightline::gateway::Additions =
        serde_yaml::from_str(&ADDITIONS.replace("spanMetrics", "span-metrics"))?;
    let base = fs::read_to_string(helm::repository().join("collector-config/gateway.yaml"))?;
    let local: Value = serde_yaml::from_str(&additions.overlay(&base)?)?;
    ensure!(overlay == local, "the chart renders\n{overlay:#}\nbut a local stack has\n{local:#}");
    Ok(())
}

/// The added policy keeps a trace at a sampling percentage of 0, the added key and pattern are redacted, the added
/// dimensions are in the span metrics, and the trace arrives in a store that demands a header.
pub(crate) fn additions_and_headers_take_effect() -> Result<()> {
    run(async {
        let directory = tempfile::tempdir()?;
        let store = store(directory.path()).await?;
        let headers = format!("{{{HEADER}: {{secret: backend, key: token, prefix: 'Bearer '}}}}");
        let gateway = Gateway::start(directory.path(), &values(store.port(), &headers)?).await?;
        let (kept, not_kept) = (0x1234_5678_9abc_def0_0001, 0x1234_5678_9abc_def0_0002);
        let attributes = [
            ("http.route", "/checkout"),
            ("customer.iban", "anything"),
            ("note", "pay to DE12345678901234567890 today"),
            ("tenant.id", "blue"),
        ];
        gateway.send(kept, &attributes).await?;
        gateway.send(not_kept, &[("http.route", "/other")]).await?;

        let span = eventually("the store has the trace", DEFAULT_TIMEOUT, async || {
            store.spans_of(kept).pop().context("no span")
        });
        let span = span.await.with_context(|| gateway.log())?;
        for (key, expected) in
            [("http.route", "/checkout"), ("customer.iban", "****"), ("note", "pay to **** today")]
        {
            let found = attribute(&span, key);
            ensure!(found == Some(expected), "{key} is {found:?}, not {expected:?}");
        }
        let labels = [("tenant_id", "blue"), ("plan", "none"), ("http_route", "/checkout")];
        eventually("the span metrics have the dimensions", DEFAULT_TIMEOUT, async || {
            let metrics = gateway.metrics("SIGHTLINE_SPAN_METRICS_PORT").await?;
            let calls = metrics.sum("traces_span_metrics_calls_total", &labels);
            ensure!(calls == Some(1.0), "{calls:?} calls with {labels:?}");
            Ok(())
        })
        .await?;
        eventually("the gateway has decided about the other trace", DEFAULT_TIMEOUT, async || {
            let metrics = gateway.metrics("SIGHTLINE_METRICS_PORT").await?;
            let dropped = metrics
                .sum("otelcol_processor_tail_sampling_global_count_traces_sampled", &[("sampled", "false")]);
            ensure!(dropped.is_some_and(|count| count >= 1.0), "{dropped:?} traces were not sampled");
            Ok(())
        })
        .await?;
        ensure!(store.spans_of(not_kept).is_empty(), "the store has a trace that no policy keeps");
        ensure!(store.refused() == 0, "the store refused {} requests", store.refused());
        Ok(())
    })
}

/// Without the header, the backend refuses the trace, and the gateway counts the loss.
pub(crate) fn missing_header_is_counted() -> Result<()> {
    run(async {
        let directory = tempfile::tempdir()?;
        let store = store(directory.path()).await?;
        let gateway = Gateway::start(directory.path(), &values(store.port(), "{}")?).await?;
        let trace = 0x1234_5678_9abc_def0_0003;
        gateway.send(trace, &[("http.route", "/checkout")]).await?;
        eventually("the gateway counts the lost span", DEFAULT_TIMEOUT, async || {
            let metrics = gateway.metrics("SIGHTLINE_METRICS_PORT").await?;
            let name = "otelcol_exporter_send_failed_spans";
            let lost = metrics.sum(name, &[("exporter", "otlp_grpc/backend")]);
            ensure!(lost == Some(1.0), "{name} is {lost:?}");
            Ok(())
        })
        .await
        .with_context(|| gateway.log())?;
        ensure!(store.refused() == 1, "the store refused {} requests, not 1", store.refused());
        ensure!(store.spans_of(trace).is_empty(), "the store has the span");
        Ok(())
    })
}

fn run(test: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(test)
}

/// Starts a store whose certificate has a CA of its own.
async fn store(directory: &Path) -> Result<OtlpStore> {
    let identity = certificate_of_a_new_ca(&directory.join("backend"), "backend")?;
    OtlpStore::start(&identity, HEADER, &format!("Bearer {TOKEN}")).await
}

fn render(values: &str) -> Result<Stage> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("values.yaml");
    fs::write(&file, values)?;
    let install = Install { release: "sightline", namespace: "default", values: &file, apis: &[] };
    let rendering = Rendering {
        name: "gateway".to_owned(),
        release: "sightline".to_owned(),
        namespace: "default".to_owned(),
        manifests: helm::template(&helm::test_chart(), install)?,
        existing: Vec::new(),
    };
    let mut stages = pipeline::stages(&rendering)?.into_iter();
    stages.find(|stage| stage.role() == "gateway").context("the chart renders no gateway")
}

/// A gateway with the files, arguments and environment of the chart. Only ports and paths differ.
struct Gateway {
    child: Child,
    environment: BTreeMap<String, String>,
    identity: TlsFiles,
    log: PathBuf,
}

impl Gateway {
    async fn start(directory: &Path, values: &str) -> Result<Self> {
        let stage = render(values)?;
        let mut command = Command::new(helm::program("OTELCOL", "otelcol")?);
        for (path, text) in &stage.files {
            let file = directory.join(path.trim_start_matches('/'));
            fs::create_dir_all(file.parent().unwrap_or(directory))?;
            fs::write(&file, text)?;
            command.arg("--config").arg(file);
        }
        let certificates = directory.join("pipeline");
        let identity = certificate_of_a_new_ca(&certificates, "gateway")?;
        let text = |path: PathBuf| path.display().to_string();
        let mut environment = BTreeMap::new();
        for variable in stage.container.env.iter().flatten() {
            let value = match variable.name.as_str() {
                "SIGHTLINE_BIND" => "127.0.0.1".to_owned(),
                "SIGHTLINE_TLS_DIR" => text(certificates.join("gateway")),
                "SIGHTLINE_TRACES_CA_FILE" => text(directory.join("backend/ca/ca.crt")),
                // This variable comes from a secret.
                "SIGHTLINE_TRACES_HEADER_AUTHORIZATION" => TOKEN.to_owned(),
                name => variable.value.clone().with_context(|| format!("{name} has no value"))?,
            };
            environment.insert(variable.name.clone(), value);
        }
        let ports = StackSpec::pipeline_only()?.ports().free()?;
        for (variable, port) in [
            ("SIGHTLINE_OTLP_GRPC_PORT", "otlp"),
            ("SIGHTLINE_HEALTH_PORT", "health"),
            ("SIGHTLINE_METRICS_PORT", "metrics"),
            ("SIGHTLINE_SPAN_METRICS_PORT", "span-metrics"),
        ] {
            environment.insert(variable.to_owned(), ports.number(GATEWAY, port)?.to_string());
        }
        let log = directory.join("gateway.log");
        let child = command
            .env_clear()
            .envs(&environment)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("otelcol cannot be started")?;
        let mut gateway = Self { child, environment, identity, log };
        let health = format!("http://127.0.0.1:{}/", gateway.port("SIGHTLINE_HEALTH_PORT")?);
        let ready = eventually("the gateway is healthy", DEFAULT_TIMEOUT, async || {
            if let Some(status) = gateway.child.try_wait()? {
                bail!("the gateway exited: {status}");
            }
            ensure!(reqwest::get(&health).await?.status().is_success(), "{health} reports an error");
            Ok(())
        });
        let outcome = ready.await;
        outcome.with_context(|| gateway.log())?;
        Ok(gateway)
    }

    fn port(&self, variable: &str) -> Result<u16> {
        let value = self.environment.get(variable).context("no such port")?;
        Ok(value.parse()?)
    }

    /// Sends one span, as an agent does.
    async fn send(&self, trace_id: u128, attributes: &[(&str, &str)]) -> Result<()> {
        let mut request = one_span(trace_id, "checkout");
        let spans = request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans);
        for span in spans.flat_map(|scope| &mut scope.spans) {
            span.attributes = attributes
                .iter()
                .map(|(key, value)| KeyValue {
                    key: (*key).to_owned(),
                    value: Some(AnyValue { value: Some(any_value::Value::StringValue((*value).to_owned())) }),
                    ..KeyValue::default()
                })
                .collect();
        }
        let endpoint = OtlpEndpoint::local(self.port("SIGHTLINE_OTLP_GRPC_PORT")?);
        let identity = self.identity.clone();
        let credentials = Credentials::Certificate { trust: identity.clone(), identity };
        send_over_grpc(&endpoint, &credentials, request).await
    }

    async fn metrics(&self, port: &str) -> Result<Samples> {
        let url = format!("http://127.0.0.1:{}/metrics", self.port(port)?);
        Samples::parse(&reqwest::get(url).await?.error_for_status()?.text().await?)
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        format!("the gateway's log:\n{log}")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // The gateway may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?;
    match value.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}
