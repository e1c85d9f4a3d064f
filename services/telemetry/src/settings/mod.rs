//! Everything that can be set from outside, read once at start.
//!
//! The OpenTelemetry specification's variables come first, those that the Rust SDK ignores included; the
//! library's own exist where the specification has none and begin with `SIGHTLINE_`. A value that cannot be
//! used stops the start: a service that runs without its telemetry because of a typing error is worse than one
//! that says so at once.

mod env;
pub mod names;
mod otlp;
mod signals;

use std::collections::BTreeSet;
use std::time::Duration;

pub use env::{Env, MapEnv, ProcessEnv, SettingsError, flag, parse};
pub use otlp::{Headers, Otlp, Protocol, Signal, TlsFiles};
pub use signals::{
    Batch, LogFormat, Logs, Metrics, MetricsExporter, RecordLimits, Sampling, SpanExporterKind, Traces,
};

/// All settings of the library.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether traces, metrics and logs over OTLP are off. Context is still passed on.
    pub disabled: bool,
    /// What is set of the resource, before anything is detected.
    pub resource: ResourceSettings,
    /// How context crosses a process.
    pub propagators: Vec<Propagator>,
    /// Spans.
    pub traces: Traces,
    /// Measurements.
    pub metrics: Metrics,
    /// Log records.
    pub logs: Logs,
    /// Where `/metrics`, `/livez` and `/readyz` are served.
    pub admin: Admin,
    /// How often certificate files are looked at.
    pub tls_reload_interval: Duration,
}

/// What is set of the resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSettings {
    /// From `OTEL_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// From `OTEL_RESOURCE_ATTRIBUTES`.
    pub attributes: Vec<(String, String)>,
    /// The cluster this runs in, if it does.
    pub kubernetes: Option<Kubernetes>,
}

/// The cluster this process runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// The API server's address or name, as Kubernetes wrote it.
    pub host: String,
    /// The API server's port, as Kubernetes wrote it: not a person's setting, so not checked at the start.
    pub port: String,
    /// Whether the API server may be asked.
    pub api: bool,
}

/// A format in which context crosses a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Propagator {
    /// W3C Trace Context.
    TraceContext,
    /// W3C Baggage.
    Baggage,
    /// B3 in one header.
    B3,
    /// B3 in several headers.
    B3Multi,
}

/// The admin port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// A name or an address.
    pub host: String,
    /// 0 takes a free one.
    pub port: u16,
}

impl Settings {
    /// Reads them all from `env`; the first that cannot be used is the error.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        Ok(Self {
            disabled: flag(env, names::SDK_DISABLED, false)?,
            resource: read_resource(env)?,
            propagators: read_propagators(env)?,
            traces: Traces::read(env)?,
            metrics: Metrics::read(env)?,
            logs: Logs::read(env)?,
            admin: Admin {
                host: env.get(names::PROMETHEUS_HOST).unwrap_or_else(|| "127.0.0.1".into()),
                port: parse(env, names::PROMETHEUS_PORT, 2112, "use a port number, 0 to 65535")?,
            },
            tls_reload_interval: read_millis(env, names::TLS_RELOAD_INTERVAL, 10_000)?,
        })
    }
}

fn read_resource(env: &dyn Env) -> Result<ResourceSettings, SettingsError> {
    let attributes = match env.get(names::RESOURCE_ATTRIBUTES) {
        None => Vec::new(),
        Some(value) => env::pairs(&value)
            .map_err(|problem| SettingsError::new(names::RESOURCE_ATTRIBUTES, value, problem))?,
    };
    let api = flag(env, names::KUBERNETES_API, true)?;
    let kubernetes = env.get(names::KUBERNETES_HOST).map(|host| Kubernetes {
        host,
        port: env.get(names::KUBERNETES_PORT).unwrap_or_else(|| "443".into()),
        api,
    });
    Ok(ResourceSettings { service_name: env.get(names::SERVICE_NAME), attributes, kubernetes })
}

fn read_propagators(env: &dyn Env) -> Result<Vec<Propagator>, SettingsError> {
    let name = names::PROPAGATORS;
    let Some(chosen) = env::list(env, name) else {
        return Ok(vec![Propagator::TraceContext, Propagator::Baggage]);
    };
    exclusive_none(name, &chosen)?;
    let chosen: Result<BTreeSet<_>, _> = chosen
        .iter()
        .filter(|item| *item != "none")
        .map(|item| match item.as_str() {
            "tracecontext" => Ok(Propagator::TraceContext),
            "baggage" => Ok(Propagator::Baggage),
            "b3" => Ok(Propagator::B3),
            "b3multi" => Ok(Propagator::B3Multi),
            // Its crate has not followed the SDK to 0.33, and the format is deprecated by the specification.
            "jaeger" => {
                Err(SettingsError::new(name, item, "use tracecontext: Jaeger's own headers are not served"))
            }
            _ => Err(SettingsError::new(name, item, "use tracecontext, baggage, b3, b3multi or none")),
        })
        .collect();
    Ok(chosen?.into_iter().collect())
}

/// `none` beside another choice is a contradiction, not a choice.
fn exclusive_none(name: &str, chosen: &[String]) -> Result<(), SettingsError> {
    if chosen.len() > 1 && chosen.iter().any(|item| item == "none") {
        return Err(SettingsError::new(name, chosen.join(","), "let none stand alone, or leave it out"));
    }
    Ok(())
}

/// Reads a duration in whole milliseconds, at least one.
fn read_millis(env: &dyn Env, name: &str, default: u64) -> Result<Duration, SettingsError> {
    let remedy = "use a whole number of milliseconds, at least 1";
    let millis = parse(env, name, default, remedy)?;
    if millis == 0 {
        return Err(SettingsError::new(name, millis, remedy));
    }
    Ok(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read<const N: usize>(pairs: [(&str, &str); N]) -> Result<Settings, SettingsError> {
        Settings::read(&MapEnv::from_iter(pairs))
    }

    #[test]
    fn nothing_set_gives_the_documented_defaults() {
        let settings = read([]).unwrap();
        assert!(!settings.disabled);
        assert_eq!(settings.propagators, [Propagator::TraceContext, Propagator::Baggage]);
        assert_eq!(settings.traces.sampling, Sampling { ratio: 0.1, parent_based: true });
        assert_eq!(settings.traces.exporters, [SpanExporterKind::Otlp]);
        assert_eq!(settings.metrics.exporters, [MetricsExporter::Otlp, MetricsExporter::Prometheus]);
        assert_eq!((settings.logs.otlp.is_some(), settings.logs.console.is_some()), (true, true));
        assert_eq!(settings.admin, Admin { host: "127.0.0.1".into(), port: 2112 });
    }

    #[test]
    fn a_value_that_cannot_be_used_is_refused_by_name() {
        for (name, value) in [
            ("OTEL_SDK_DISABLED", "maybe"),
            ("OTEL_RESOURCE_ATTRIBUTES", "novalue"),
            ("OTEL_PROPAGATORS", "jaeger"),
            ("OTEL_PROPAGATORS", "xray"),
            ("OTEL_PROPAGATORS", "none,b3"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
            ("OTEL_TRACES_SAMPLER_ARG", "NaN"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_EXPORTER", "prometheus"),
            ("OTEL_METRICS_EXPORTER", "none,otlp"),
            ("OTEL_LOGS_EXPORTER", "file"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "udp"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sum"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "-1"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1.5"),
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "many"),
            ("OTEL_EXPORTER_PROMETHEUS_PORT", "70000"),
            ("OTEL_LOG_LEVEL", "loud"),
            ("RUST_LOG", "my_crate=loud"),
            ("SIGHTLINE_LOG_FORMAT", "xml"),
            ("SIGHTLINE_LOG_SPANS", "on"),
            ("SIGHTLINE_KUBERNETES_API", "off"),
        ] {
            let error = read([(name, value)]).expect_err(&format!("{name}={value}"));
            assert_eq!(error.name(), name, "{error}");
        }
    }

    #[test]
    fn a_cluster_is_where_kubernetes_says_so() {
        assert_eq!(read([("KUBERNETES_SERVICE_PORT", "443")]).unwrap().resource.kubernetes, None);
        let host = ("KUBERNETES_SERVICE_HOST", "10.96.0.1");
        let expected = Kubernetes { host: "10.96.0.1".into(), port: "443".into(), api: true };
        assert_eq!(read([host]).unwrap().resource.kubernetes, Some(expected.clone()));
        let silent = read([host, ("SIGHTLINE_KUBERNETES_API", "false")]).unwrap().resource.kubernetes;
        assert_eq!(silent, Some(Kubernetes { api: false, ..expected }));
    }

    #[test]
    fn exporters_stand_together() {
        let settings = read([
            ("OTEL_TRACES_EXPORTER", "console, otlp"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
        ])
        .unwrap();
        assert_eq!(settings.traces.exporters, [SpanExporterKind::Otlp, SpanExporterKind::Console]);
        assert_eq!(settings.metrics.exporters, []);
        assert!(settings.logs.console.is_none());
    }

    #[test]
    fn samplers_of_the_specification() {
        for (sampler, argument, ratio, parent_based) in [
            ("always_on", "0.5", 1.0, false),
            ("always_off", "0.5", 0.0, false),
            ("traceidratio", "0.5", 0.5, false),
            ("parentbased_always_on", "0.5", 1.0, true),
            ("parentbased_always_off", "0.5", 0.0, true),
            ("parentbased_traceidratio", "0.25", 0.25, true),
        ] {
            let settings =
                read([("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", argument)]).unwrap();
            assert_eq!(settings.traces.sampling, Sampling { ratio, parent_based }, "{sampler}");
        }
    }

    proptest! {
        /// Whatever stands in a variable, the answer is a value or an error that names the variable.
        #[test]
        fn any_value_is_taken_or_refused(index in 0..names::VARIABLES.len(), value in "\\PC{0,60}") {
            let name = names::VARIABLES[index].name;
            if let Err(error) = read([(name, value.as_str())]) {
                prop_assert!(error.name() == name, "{} instead of {}", error.name(), name);
            }
        }
    }
}
