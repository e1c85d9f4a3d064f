//! The arguments and environment variables with which each process is started, and its health check.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::config::StackConfig;
use super::error::StackError;
use super::spec::{
    ADMIN, ADMIN_PORT, Form, GATEWAY, GRPC_ADDRESS, HTTP_ADDRESS, Health, Placeholder, ProcessSpec, Protocol,
    SERVICE_NAME, Setting, Template, VMALERT,
};

/// All processes listen on the loopback address, because the services and Jaeger's API do not authenticate their
/// clients.
pub(super) const HOST: &str = "127.0.0.1";

/// The directories of a stack. All paths are absolute, because the processes run in the state directory.
#[derive(Debug, Clone)]
pub(super) struct Directories {
    /// The state directory.
    pub(super) state: PathBuf,
    /// The directory of the certificates.
    pub(super) certs: PathBuf,
    /// The directory of the pipeline's configuration files.
    pub(super) pipeline: PathBuf,
    /// The directory of Jaeger's UI. Empty for a UI that is compiled in.
    pub(super) ui: PathBuf,
    /// The directory of the services file.
    pub(super) root: PathBuf,
}

/// The arguments and environment variables of one process.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: BTreeMap<String, OsString>,
}

/// Returns the plan of a process. A later variable overrides an earlier one with the same name: first the variables of
/// every service, then the process's own, then the variables in the configuration.
pub(super) fn plan(
    config: &StackConfig,
    process: &ProcessSpec,
    directories: &Directories,
) -> Result<Plan, StackError> {
    let expand =
        |template: &Template| template.expand(|placeholder| value(config, process, directories, placeholder));
    let mut environment = BTreeMap::from([("NO_PROXY".to_owned(), no_proxy())]);
    if process.is_service() {
        for (name, template) in config.spec.service_env() {
            environment.insert(name.clone(), expand(template)?);
        }
        environment.extend(derived(config, process)?);
    }
    for (name, template) in &process.env {
        environment.insert(name.clone(), expand(template)?);
    }
    for (name, value) in config.environment.get(&process.name).into_iter().flatten() {
        environment.insert(name.clone(), value.into());
    }
    let mut arguments = process.arguments.iter().map(expand).collect::<Result<Vec<_>, _>>()?;
    if process.name == GATEWAY && !config.spec.gateway().is_empty() {
        arguments.extend(["--config".into(), additions_file(&directories.state).into()]);
    }
    Ok(Plan { arguments, environment })
}

/// The gateway's last configuration file, which contains the additions of the services file.
pub(super) fn additions_file(state: &Path) -> PathBuf {
    state.join(GATEWAY).join("additions.yaml")
}

/// Returns the variables of a service that follow from other keys of its table.
fn derived(config: &StackConfig, service: &ProcessSpec) -> Result<Vec<(String, OsString)>, StackError> {
    let mut variables = vec![(SERVICE_NAME.to_owned(), service.name.name().into())];
    let address = match service.protocol {
        Some(Protocol::Http) => Some(HTTP_ADDRESS),
        Some(Protocol::Grpc) => Some(GRPC_ADDRESS),
        Some(Protocol::Worker) | None => None,
    };
    if let Some(name) = address {
        let port = config.ports.server(&service.name)?;
        variables.push((name.to_owned(), Form::Address.of(HOST, port).into()));
    }
    // Without an admin port in the file, a service that uses the telemetry library chooses a free port. Its default
    // port could be in use by another service.
    let admin = if service.has_admin_port() { config.ports.number(&service.name, ADMIN)? } else { 0 };
    variables.push((ADMIN_PORT.to_owned(), admin.to_string().into()));
    Ok(variables)
}

fn value(
    config: &StackConfig,
    process: &ProcessSpec,
    directories: &Directories,
    placeholder: &Placeholder,
) -> Result<OsString, StackError> {
    Ok(match placeholder {
        Placeholder::State => directories.state.clone().into(),
        Placeholder::Root => directories.root.clone().into(),
        Placeholder::Certs => directories.certs.join(process.name.name()).into(),
        Placeholder::Config => directories.pipeline.clone().into(),
        Placeholder::JaegerUi => directories.ui.clone().into(),
        Placeholder::Host => HOST.into(),
        Placeholder::Setting(setting) => self::setting(config, *setting)?,
        Placeholder::Own(form) => form.of(HOST, config.ports.server(&process.name)?).into(),
        Placeholder::Other { process, port: None, form } => {
            form.of(HOST, config.ports.server(process)?).into()
        }
        Placeholder::Other { process, port: Some(port), form } => {
            form.of(HOST, config.ports.number(process, port)?).into()
        }
    })
}

/// Returns a setting in the form in which the configuration files of the pipeline use it.
fn setting(config: &StackConfig, setting: Setting) -> Result<OsString, StackError> {
    Ok(match setting {
        Setting::Storage => config.storage.name().into(),
        Setting::SamplingPercentage => config.sampling_percentage.to_string().into(),
        Setting::Slow => config.slow.as_millis().to_string().into(),
        Setting::DecisionWait => format!("{}s", config.decision_wait.as_secs()).into(),
        Setting::SpanDelay => config.span_delay.as_millis().to_string().into(),
        Setting::MetricInterval => config.metric_interval.as_millis().to_string().into(),
        Setting::AlertsUrl | Setting::AlertsAddress if !config.evaluates_alerts() => OsString::new(),
        Setting::AlertsUrl => Form::Url.of(HOST, config.ports.number(VMALERT, "http")?).into(),
        Setting::AlertsAddress => Form::Address.of(HOST, config.ports.number(VMALERT, "http")?).into(),
        // vmalert does not start without one of these flags, and not with both.
        Setting::Notifier => config
            .notifier
            .as_ref()
            .map_or_else(|| "-notifier.blackhole".into(), |url| format!("-notifier.url={url}").into()),
        Setting::MoreRules => {
            let mut files = OsString::new();
            for file in &config.rules {
                files.push(",");
                files.push(file);
            }
            files
        }
    })
}

/// How to check the health of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    /// A GET request to this URL succeeds.
    Get(String),
    /// This address accepts connections.
    Connect(String),
    /// The process is running.
    Running,
}

/// Returns the health check of a process.
pub(super) fn check(config: &StackConfig, process: &ProcessSpec) -> Result<Check, StackError> {
    Ok(match &process.health {
        Health::Get { port, path } => {
            let url = Form::Url.of(HOST, config.ports.number(&process.name, port)?);
            Check::Get(format!("{url}{path}"))
        }
        Health::Connect { port } => {
            Check::Connect(Form::Address.of(HOST, config.ports.number(&process.name, port)?))
        }
        Health::Running => Check::Running,
    })
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

#[cfg(test)]
mod tests {
    use super::super::Storage;
    use super::super::tests::{example, larger_example};
    use super::*;

    fn config() -> StackConfig {
        StackConfig::new(example(), Path::new("/checkout"), "/state", Path::new("/bin"))
    }

    fn plan_of(config: &StackConfig, process: &str) -> Plan {
        let directories = Directories {
            state: "/state".into(),
            certs: "/state/certs".into(),
            pipeline: "/pipeline".into(),
            ui: "/ui".into(),
            root: "/other".into(),
        };
        plan(config, config.spec.get(process).unwrap(), &directories).unwrap()
    }

    fn value(config: &StackConfig, process: &str, name: &str) -> Option<String> {
        plan_of(config, process).environment.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn passes_the_base_file_and_then_the_overlay() {
        let config = StackConfig { storage: Storage::Memory, ..config() };
        let plan = plan_of(&config, "jaeger");
        assert_eq!(
            plan.arguments,
            [
                "--config",
                "/pipeline/jaeger.yaml",
                "--config",
                "/pipeline/jaeger-memory.yaml",
                "--config",
                "/pipeline/jaeger-stores.yaml"
            ]
        );
        assert_eq!(plan.environment["SIGHTLINE_TLS_DIR"], "/state/certs/jaeger");
        assert_eq!(plan.environment["SIGHTLINE_UI_DIR"], "/ui");
        assert_eq!(plan.environment["GOMEMLIMIT"], "200MiB");
    }

    #[test]
    fn the_settings_of_the_configuration_reach_the_pipeline_and_the_services() {
        let config = config();
        let of = |process, name| value(&config, process, name).unwrap();
        assert_eq!(of("gateway", "SIGHTLINE_SAMPLING_PERCENTAGE"), "100");
        assert_eq!(of("gateway", "SIGHTLINE_SAMPLING_SLOW"), "500");
        assert_eq!(of("gateway", "SIGHTLINE_DECISION_WAIT"), "2s");
        assert_eq!(of("job", "OTEL_BSP_SCHEDULE_DELAY"), "500");
        assert_eq!(of("job", "OTEL_METRIC_EXPORT_INTERVAL"), "5000");
    }

    #[test]
    fn alerts_are_evaluated_only_if_they_are_selected() {
        let off = config();
        assert!(!off.evaluates_alerts());
        let argument = |config: &StackConfig, process: &str, start: &str| {
            let arguments = plan_of(config, process).arguments;
            let found = arguments.iter().filter_map(|argument| argument.to_str()?.strip_prefix(start));
            found.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(argument(&off, "victoria-metrics", "-vmalert.proxyURL="), [""]);
        let scraped = |config: &StackConfig| value(config, "victoria-metrics", "SIGHTLINE_VMALERT_ADDRESS");
        assert_eq!(scraped(&off), Some(String::new()));

        let mut on = off.with_alerts().with_alerts();
        assert_eq!(on.processes.iter().filter(|process| **process == VMALERT).count(), 1);
        assert_eq!(argument(&on, "victoria-metrics", "-vmalert.proxyURL="), ["http://127.0.0.1:28880"]);
        assert_eq!(scraped(&on), Some("127.0.0.1:28880".to_owned()));
        assert_eq!(argument(&on, "vmalert", "-notifier."), ["blackhole"]);
        assert_eq!(argument(&on, "vmalert", "-rule="), ["/pipeline/../deploy/alerts/*.yaml"]);

        on.notifier = Some("https://alerts.example.com/".parse().unwrap());
        on.rules = vec!["/a/one.yaml".into(), "/b/two.yaml".into()];
        assert_eq!(argument(&on, "vmalert", "-notifier."), ["url=https://alerts.example.com/"]);
        let rules = argument(&on, "vmalert", "-rule=");
        assert_eq!(rules, ["/pipeline/../deploy/alerts/*.yaml,/a/one.yaml,/b/two.yaml"]);
    }

    #[test]
    fn each_process_gets_the_ports_of_the_next_hop() {
        let mut config = config();
        config.ports = config.ports.free().unwrap();
        let ports = config.ports.clone();
        let of = |process, name| value(&config, process, name).unwrap();
        let back_end = ports.server("back-end").unwrap();
        assert_eq!(of("front-service", "BACK_END"), format!("http://127.0.0.1:{back_end}"));
        let agent = ports.number("agent", "otlp-grpc").unwrap();
        assert_eq!(of("back-end", "OTEL_EXPORTER_OTLP_ENDPOINT"), format!("https://localhost:{agent}"));
        let gateway = ports.number("gateway", "otlp").unwrap();
        assert_eq!(of("agent", "SIGHTLINE_GATEWAYS"), format!("[\"127.0.0.1:{gateway}\"]"));
        let jaeger = ports.number("jaeger", "otlp").unwrap();
        assert_eq!(of("gateway", "SIGHTLINE_TRACES_ENDPOINT"), format!("127.0.0.1:{jaeger}"));
        assert_eq!(of("jaeger", "SIGHTLINE_OTLP_GRPC_PORT"), jaeger.to_string());
    }

    #[test]
    fn a_service_gets_its_addresses_name_and_certificate() {
        let config = config();
        let of = |process, name| value(&config, process, name);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(of("front-service", "SIGHTLINE_HTTP_ADDRESS"), text("127.0.0.1:9080"));
        assert_eq!(of("front-service", "SIGHTLINE_GRPC_ADDRESS"), None);
        assert_eq!(of("front-service", "OTEL_EXPORTER_PROMETHEUS_PORT"), text("0"));
        assert_eq!(of("front-service", "PORT"), text("9080"));
        assert_eq!(of("front-service", "DATA"), text("/state/front?price=5$&root=/other"));
        assert_eq!(of("back-end", "SIGHTLINE_GRPC_ADDRESS"), text("127.0.0.1:9081"));
        assert_eq!(of("back-end", "OTEL_EXPORTER_PROMETHEUS_PORT"), text("9082"));
        assert_eq!(of("job", "OTEL_SERVICE_NAME"), text("job"));
        assert_eq!(of("job", "OTEL_EXPORTER_OTLP_CLIENT_KEY"), text("/state/certs/job/tls.key"));
        assert_eq!(of("job", "OTEL_TRACES_SAMPLER"), text("parentbased_always_on"));
        assert_eq!(plan_of(&config, "front-service").arguments, ["--listen", "127.0.0.1:9080"]);
    }

    #[test]
    fn a_service_can_override_what_every_service_gets() {
        assert_eq!(value(&config(), "back-end", "OTEL_TRACES_SAMPLER").unwrap(), "always_off");
    }

    #[test]
    fn configured_variables_override_the_plan() {
        let config = config().with("job", "OTEL_BSP_SCHEDULE_DELAY", "1");
        assert_eq!(plan_of(&config, "job").environment["OTEL_BSP_SCHEDULE_DELAY"], "1");
        assert_eq!(plan_of(&config, "back-end").environment["OTEL_BSP_SCHEDULE_DELAY"], "500");
    }

    #[test]
    fn health_checks_follow_from_the_description() {
        let config = StackConfig::new(larger_example(), Path::new("/checkout"), "/state", Path::new("/bin"));
        let of = |process| check(&config, config.spec.get(process).unwrap()).unwrap();
        assert_eq!(of("agent"), Check::Get("http://127.0.0.1:13133/".to_owned()));
        assert_eq!(of("victoria-logs"), Check::Get("http://127.0.0.1:29428/health".to_owned()));
        assert_eq!(of("front-service"), Check::Get("http://127.0.0.1:9080/healthz".to_owned()));
        assert_eq!(of("back-end"), Check::Get("http://127.0.0.1:9082/readyz".to_owned()));
        assert_eq!(of("plain"), Check::Connect("127.0.0.1:9084".to_owned()));
        assert_eq!(of("idle"), Check::Running);
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
