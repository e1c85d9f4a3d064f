//! The arguments and environment variables with which each process is started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::config::{StackConfig, Storage};
use super::process::Process;
use crate::certs::TlsFiles;

/// All processes listen on the loopback address, because the services and Jaeger's API do not authenticate their
/// clients.
pub(super) const HOST: &str = "127.0.0.1";

/// `GOMEMLIMIT` of Jaeger. Above this soft limit, Go collects garbage more often, which leaves memory for other
/// programs. After a thousand requests, Jaeger with Badger uses 310 MiB without this limit and 250 MiB with it. The
/// limit does not change the speed of Jaeger.
const JAEGER_MEMORY: &str = "200MiB";

/// `GOMEMLIMIT` of the agent and the gateway: about four fifths of the limit that their local overlays set for
/// `memory_limiter`.
const COLLECTOR_MEMORY: &str = "400MiB";

/// The arguments and environment variables of one process.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: BTreeMap<String, OsString>,
}

/// Returns the plan of a process. `dir` and `pipeline` must be absolute, because the process runs in `dir`.
pub(super) fn plan(config: &StackConfig, process: Process, dir: &Path, pipeline: &Path) -> Plan {
    let mut plan = Plan { arguments: Vec::new(), environment: BTreeMap::new() };
    plan.set("NO_PROXY", no_proxy());
    match process {
        Process::Jaeger => plan.jaeger(config, dir, pipeline),
        Process::Gateway => plan.gateway(config, dir, pipeline),
        Process::Agent => plan.agent(config, dir, pipeline),
        Process::InventoryService | Process::UserService | Process::OrderService => {
            plan.service(config, process, dir);
        }
    }
    for (name, value) in config.environment.get(&process).into_iter().flatten() {
        plan.set(name, value);
    }
    plan
}

/// Returns the URL of the health check of a process.
pub(super) fn health_url(config: &StackConfig, process: Process) -> String {
    let ports = &config.ports;
    let (port, path) = match process {
        Process::Jaeger => (ports.jaeger_health, ""),
        Process::Gateway => (ports.gateway_health, ""),
        Process::Agent => (ports.agent_health, ""),
        Process::InventoryService => (ports.inventory_admin, "readyz"),
        Process::UserService => (ports.user_admin, "readyz"),
        Process::OrderService => (ports.order_admin, "readyz"),
    };
    format!("http://{HOST}:{port}/{path}")
}

/// Whether to remove this environment variable from the environment that the children inherit.
///
/// Variables that are set in the user's shell for other programs must not change the stack. Use
/// [`StackConfig::environment`] to set a variable for a process.
pub(super) fn is_not_inherited(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name.starts_with("OTEL_") || name.starts_with("SIGHTLINE_") || name == "DATABASE_URL"
    })
}

/// Returns the value of `NO_PROXY` with the loopback addresses added. Calls between the processes then never use a
/// proxy.
fn no_proxy() -> OsString {
    let mut hosts = OsString::from("localhost,127.0.0.1,::1");
    if let Some(more) = std::env::var_os("NO_PROXY").filter(|more| !more.is_empty()) {
        hosts.push(",");
        hosts.push(more);
    }
    hosts
}

impl Plan {
    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.insert(name.to_owned(), value.into());
    }

    fn port(&mut self, name: &str, port: u16) {
        self.set(name, port.to_string());
    }

    fn config_files(&mut self, pipeline: &Path, base_and_overlay: [String; 2]) {
        for file in base_and_overlay {
            self.arguments.push("--config".into());
            self.arguments.push(pipeline.join(file).into());
        }
    }

    fn collector(&mut self, process: Process, dir: &Path, otlp: u16, health: u16, metrics: u16) {
        self.set("SIGHTLINE_BIND", HOST);
        self.set("SIGHTLINE_TLS_DIR", tls_dir(dir, process));
        self.port("SIGHTLINE_OTLP_GRPC_PORT", otlp);
        self.port("SIGHTLINE_HEALTH_PORT", health);
        self.port("SIGHTLINE_METRICS_PORT", metrics);
        self.set("GOMEMLIMIT", COLLECTOR_MEMORY);
    }

    fn jaeger(&mut self, config: &StackConfig, dir: &Path, pipeline: &Path) {
        let ports = &config.ports;
        let storage = config.storage.name();
        self.config_files(pipeline, ["jaeger.yaml".to_owned(), format!("jaeger-{storage}.yaml")]);
        self.collector(Process::Jaeger, dir, ports.jaeger_otlp, ports.jaeger_health, ports.jaeger_metrics);
        self.port("SIGHTLINE_UI_PORT", ports.jaeger_ui);
        self.set("GOMEMLIMIT", JAEGER_MEMORY);
        if config.storage == Storage::Badger {
            self.set("SIGHTLINE_BADGER_DIR", dir.join("jaeger"));
        }
    }

    fn gateway(&mut self, config: &StackConfig, dir: &Path, pipeline: &Path) {
        let ports = &config.ports;
        self.config_files(pipeline, ["gateway.yaml".to_owned(), "gateway-local.yaml".to_owned()]);
        self.collector(
            Process::Gateway,
            dir,
            ports.gateway_otlp,
            ports.gateway_health,
            ports.gateway_metrics,
        );
        self.port("SIGHTLINE_SPAN_METRICS_PORT", ports.gateway_span_metrics);
        self.set("SIGHTLINE_TRACES_ENDPOINT", format!("{HOST}:{}", ports.jaeger_otlp));
        self.set("SIGHTLINE_SAMPLING_PERCENTAGE", config.sampling_percentage.to_string());
        self.set("SIGHTLINE_SAMPLING_SLOW", config.slow.as_millis().to_string());
        self.set("SIGHTLINE_DECISION_WAIT", format!("{}s", config.decision_wait.as_secs()));
        self.set("SIGHTLINE_LOGS_FILE", dir.join("gateway/logs.json"));
    }

    fn agent(&mut self, config: &StackConfig, dir: &Path, pipeline: &Path) {
        let ports = &config.ports;
        self.config_files(pipeline, ["agent.yaml".to_owned(), "agent-local.yaml".to_owned()]);
        self.collector(Process::Agent, dir, ports.agent_otlp_grpc, ports.agent_health, ports.agent_metrics);
        self.port("SIGHTLINE_OTLP_HTTP_PORT", ports.agent_otlp_http);
        self.set("SIGHTLINE_QUEUE_DIR", dir.join("agent/queue"));
        self.set("SIGHTLINE_GATEWAYS", format!("[\"{HOST}:{}\"]", ports.gateway_otlp));
        self.set("SIGHTLINE_GATEWAY_ENDPOINT", format!("{HOST}:{}", ports.gateway_otlp));
    }

    fn service(&mut self, config: &StackConfig, process: Process, dir: &Path) {
        let ports = &config.ports;
        let tls = TlsFiles::in_dir(&tls_dir(dir, process));
        self.set("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        self.set("OTEL_EXPORTER_OTLP_ENDPOINT", format!("https://localhost:{}", ports.agent_otlp_grpc));
        self.set("OTEL_EXPORTER_OTLP_CERTIFICATE", tls.ca);
        self.set("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", tls.cert);
        self.set("OTEL_EXPORTER_OTLP_CLIENT_KEY", tls.key);
        // Record every trace, because the gateway decides which traces to keep.
        self.set("OTEL_TRACES_SAMPLER", "parentbased_always_on");
        self.set("OTEL_BSP_SCHEDULE_DELAY", config.span_delay.as_millis().to_string());
        self.set("OTEL_METRIC_EXPORT_INTERVAL", config.metric_interval.as_millis().to_string());
        self.set("OTEL_EXPORTER_PROMETHEUS_HOST", HOST);
        self.set("SIGHTLINE_BAGGAGE_ATTRIBUTES", "environment,version");
        self.set("SIGHTLINE_FAULTS", "1");
        match process {
            Process::UserService => {
                self.set("SIGHTLINE_HTTP_ADDRESS", format!("{HOST}:{}", ports.user_http));
                self.port("OTEL_EXPORTER_PROMETHEUS_PORT", ports.user_admin);
                self.set("DATABASE_URL", database(dir, "user.db"));
            }
            Process::OrderService => {
                self.set("SIGHTLINE_HTTP_ADDRESS", format!("{HOST}:{}", ports.order_http));
                self.port("OTEL_EXPORTER_PROMETHEUS_PORT", ports.order_admin);
                self.set("DATABASE_URL", database(dir, "order.db"));
                self.set("SIGHTLINE_USER_SERVICE_URL", format!("http://{HOST}:{}", ports.user_http));
                self.set(
                    "SIGHTLINE_INVENTORY_SERVICE_URL",
                    format!("http://{HOST}:{}", ports.inventory_grpc),
                );
            }
            _ => {
                self.set("SIGHTLINE_GRPC_ADDRESS", format!("{HOST}:{}", ports.inventory_grpc));
                self.port("OTEL_EXPORTER_PROMETHEUS_PORT", ports.inventory_admin);
            }
        }
    }
}

/// Returns the directory that contains the certificate of a process.
pub(super) fn tls_dir(dir: &Path, process: Process) -> PathBuf {
    dir.join("certs").join(process.name())
}

fn database(dir: &Path, file: &str) -> OsString {
    let mut url = OsString::from("sqlite://");
    url.push(dir.join(file));
    url.push("?mode=rwc");
    url
}

#[cfg(test)]
mod tests {
    use super::super::ports::Ports;
    use super::*;

    fn config() -> StackConfig {
        StackConfig::for_checkout(Path::new("/checkout"), "/state", Path::new("/bin"))
    }

    fn plan_of(config: &StackConfig, process: Process) -> Plan {
        plan(config, process, Path::new("/state"), Path::new("/pipeline"))
    }

    #[test]
    fn passes_the_base_file_and_then_the_overlay() {
        let config = StackConfig { storage: Storage::Memory, ..config() };
        let plan = plan_of(&config, Process::Jaeger);
        assert_eq!(
            plan.arguments,
            ["--config", "/pipeline/jaeger.yaml", "--config", "/pipeline/jaeger-memory.yaml"]
        );
        assert_eq!(plan.environment["SIGHTLINE_TLS_DIR"], "/state/certs/jaeger");
        assert!(!plan.environment.contains_key("SIGHTLINE_BADGER_DIR"));
    }

    #[test]
    fn each_process_gets_the_ports_of_the_next_hop() {
        let config = StackConfig { ports: Ports::free().unwrap(), ..config() };
        let value =
            |process, name: &str| plan_of(&config, process).environment[name].to_str().unwrap().to_owned();
        let ports = &config.ports;
        assert!(
            value(Process::OrderService, "SIGHTLINE_USER_SERVICE_URL")
                .ends_with(&ports.user_http.to_string())
        );
        assert!(
            value(Process::UserService, "OTEL_EXPORTER_OTLP_ENDPOINT")
                .ends_with(&ports.agent_otlp_grpc.to_string())
        );
        assert_eq!(
            value(Process::Agent, "SIGHTLINE_GATEWAYS"),
            format!("[\"127.0.0.1:{}\"]", ports.gateway_otlp)
        );
        assert_eq!(
            value(Process::Gateway, "SIGHTLINE_TRACES_ENDPOINT"),
            value(Process::Jaeger, "SIGHTLINE_BIND")
                + ":"
                + &value(Process::Jaeger, "SIGHTLINE_OTLP_GRPC_PORT")
        );
    }

    #[test]
    fn configured_variables_override_the_plan() {
        let config = config().with(Process::UserService, "OTEL_BSP_SCHEDULE_DELAY", "1");
        assert_eq!(plan_of(&config, Process::UserService).environment["OTEL_BSP_SCHEDULE_DELAY"], "1");
        assert_eq!(plan_of(&config, Process::OrderService).environment["OTEL_BSP_SCHEDULE_DELAY"], "500");
    }

    #[test]
    fn settings_of_the_shell_are_not_inherited() {
        for name in ["OTEL_SDK_DISABLED", "SIGHTLINE_STORAGE", "DATABASE_URL"] {
            assert!(is_not_inherited(OsStr::new(name)));
        }
        for name in ["PATH", "RUST_LOG", "HOME"] {
            assert!(!is_not_inherited(OsStr::new(name)));
        }
    }
}
