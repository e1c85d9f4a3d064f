//! The settings of the library. They are read once, when the process starts.
//!
//! All settings come from environment variables. [`names`] lists them with their defaults and meanings. The library
//! reads the variables of the OpenTelemetry specification, even those that the Rust SDK ignores. Variables that begin
//! with `SIGHTLINE_` are the library's own. They exist only for settings for which the specification has no
//! variable.
//!
//! [`Settings::read`] takes any [`Env`]: [`ProcessEnv`] is the environment of the process, and [`MapEnv`] is a map for
//! tests.
//!
//! ```
//! use std::time::Duration;
//! use sightline_telemetry::settings::{MapEnv, MetricsExporter, Protocol, Settings};
//!
//! # #[cfg(all(feature = "prometheus", feature = "otlp-http"))] {
//! let env = MapEnv::from_iter([
//!     ("OTEL_METRICS_EXPORTER", "prometheus"),
//!     ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318"),
//!     ("OTEL_BSP_SCHEDULE_DELAY", "1000"),
//! ]);
//! let settings = Settings::read(&env)?;
//! assert_eq!(settings.metrics.exporters, [MetricsExporter::Prometheus]);
//! assert_eq!(settings.traces.otlp.protocol, Protocol::HttpProtobuf);
//! assert_eq!(settings.traces.otlp.endpoint, "https://collector:4318/v1/traces");
//! assert_eq!(settings.traces.batch.delay, Duration::from_secs(1));
//! # }
//!
//! let error = Settings::read(&MapEnv::from_iter([("OTEL_BSP_SCHEDULE_DELAY", "1s")])).unwrap_err();
//! assert_eq!(error.name(), "OTEL_BSP_SCHEDULE_DELAY");
//! # Ok::<(), sightline_telemetry::settings::SettingsError>(())
//! ```
//!
//! # Cargo features
//!
//! A value that needs a cargo feature that is not compiled is an error, which names the feature: for example `prometheus`
//! in `OTEL_METRICS_EXPORTER`, or `grpc` in `OTEL_EXPORTER_OTLP_PROTOCOL`. An unset variable is never an error. If only
//! one OTLP protocol is compiled, that protocol is the default, and the default exporters leave out those that are not
//! compiled.
//!
//! # Differences from the specification
//!
//! - A value that cannot be used causes a [`SettingsError`], and the service does not start. According to the
//!   specification, such a value is ignored with a warning, so a typing error can leave a service without telemetry.
//! - A timeout, delay or interval of `0` is an error. In the specification, a timeout of `0` means no timeout.
//! - `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`, `OTEL_METRICS_EXPORTER`, `OTEL_LOGS_EXPORTER`,
//!   `OTEL_EXPORTER_PROMETHEUS_HOST` and `OTEL_EXPORTER_PROMETHEUS_PORT` have other defaults than in the
//!   specification. [`names`] lists the library's defaults.
//! - `OTEL_TRACES_SAMPLER_ARG` also applies if `OTEL_TRACES_SAMPLER` is unset.
//! - `OTEL_LOG_LEVEL` applies to all log records, not only to those of the SDK.
//!
//! Sources: [Environment Variable Specification] and [OpenTelemetry Protocol Exporter].
//!
//! [Environment Variable Specification]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
//! [OpenTelemetry Protocol Exporter]: https://opentelemetry.io/docs/specs/otel/protocol/exporter/

mod compiled;
mod env;
mod instrumentation;
pub mod names;
mod otlp;
mod signals;

use std::collections::BTreeSet;
use std::time::Duration;

pub use env::{Env, MapEnv, ProcessEnv, SettingsError, flag, parse};
pub use instrumentation::{Instrumentation, KnownMethods, TrustedProxies};
use names::defaults;
pub use otlp::{Headers, Otlp, Protocol, Signal, TlsFiles};
pub use signals::{
    Batch, LogFormat, Logs, Metrics, MetricsExporter, RecordLimits, Sampling, SpanExporterKind, Traces,
};

/// All settings of the library.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Whether traces, metrics and the OTLP export of logs are turned off. Context still propagates. From
    /// `OTEL_SDK_DISABLED`.
    pub disabled: bool,
    /// The configured part of the resource. The rest is detected when telemetry starts.
    pub resource: ResourceSettings,
    /// The formats of the context in headers, without duplicates; empty for `none`. From `OTEL_PROPAGATORS`.
    pub propagators: Vec<Propagator>,
    /// The settings of traces.
    pub traces: Traces,
    /// The settings of metrics.
    pub metrics: Metrics,
    /// The settings of logs.
    pub logs: Logs,
    /// The layers around requests.
    pub instrumentation: Instrumentation,
    /// The admin port.
    pub admin: Admin,
    /// The interval at which the certificate files are checked for changes. From `SIGHTLINE_TLS_RELOAD_INTERVAL`.
    pub tls_reload_interval: Duration,
    /// How long before a certificate of the OTLP exporters expires the warnings in the log begin. From
    /// `SIGHTLINE_TLS_EXPIRY_WARNING_DAYS`.
    pub tls_expiry_warning: Duration,
}

/// The configured part of the resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceSettings {
    /// The `service.name` attribute, which overrides a `service.name` in `attributes`. From `OTEL_SERVICE_NAME`.
    pub service_name: Option<String>,
    /// The keys and values of attributes, which override detected attributes. From `OTEL_RESOURCE_ATTRIBUTES`.
    pub attributes: Vec<(String, String)>,
    /// The cluster that this process runs in; `None` outside a cluster.
    pub kubernetes: Option<Kubernetes>,
}

/// The access to the cluster that this process runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kubernetes {
    /// The host name or IP address of the API server. From `KUBERNETES_SERVICE_HOST`.
    pub host: String,
    /// The port of the API server. From `KUBERNETES_SERVICE_PORT`.
    ///
    /// The port stays unparsed text, because Kubernetes and not a person sets the variable. A wrong value must not
    /// prevent the start of the service.
    pub port: String,
    /// Whether the resource detector sends requests to the API server. From `SIGHTLINE_KUBERNETES_API`.
    pub api: bool,
}

/// A format of the context in headers.
///
/// Source: [General SDK configuration].
///
/// [General SDK configuration]: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Propagator {
    /// [W3C Trace Context](https://www.w3.org/TR/trace-context/), `tracecontext`.
    TraceContext,
    /// [W3C Baggage](https://www.w3.org/TR/baggage/), `baggage`.
    Baggage,
    /// [B3](https://github.com/openzipkin/b3-propagation) in a single header, `b3`.
    B3,
    /// [B3](https://github.com/openzipkin/b3-propagation) in several headers, `b3multi`.
    B3Multi,
}

/// The admin port, which serves `/metrics`, `/livez` and `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admin {
    /// A host name or an IP address. From `OTEL_EXPORTER_PROMETHEUS_HOST`.
    pub host: String,
    /// The port number. With 0 the system chooses a free port. From `OTEL_EXPORTER_PROMETHEUS_PORT`.
    pub port: u16,
}

impl Settings {
    /// Reads all settings from `env`. Returns an error for the first value that cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        Ok(Self {
            disabled: flag(env, names::SDK_DISABLED, defaults::SDK_DISABLED)?,
            resource: read_resource(env)?,
            propagators: read_propagators(env)?,
            traces: Traces::read(env)?,
            metrics: Metrics::read(env)?,
            logs: Logs::read(env)?,
            instrumentation: Instrumentation::read(env)?,
            admin: Admin {
                host: env.get(names::PROMETHEUS_HOST).unwrap_or_else(|| defaults::PROMETHEUS_HOST.into()),
                port: parse(
                    env,
                    names::PROMETHEUS_PORT,
                    defaults::PROMETHEUS_PORT,
                    "use a port number, 0 to 65535",
                )?,
            },
            tls_reload_interval: read_millis(env, names::TLS_RELOAD_INTERVAL, defaults::TLS_RELOAD_INTERVAL)?,
            tls_expiry_warning: Duration::from_hours(
                24 * u64::from(parse(
                    env,
                    names::TLS_EXPIRY_WARNING_DAYS,
                    defaults::TLS_EXPIRY_WARNING_DAYS,
                    "use a whole number of days",
                )?),
            ),
        })
    }
}

fn read_resource(env: &dyn Env) -> Result<ResourceSettings, SettingsError> {
    let attributes = match env.get(names::RESOURCE_ATTRIBUTES) {
        None => Vec::new(),
        Some(value) => env::pairs(&value)
            .map_err(|problem| SettingsError::new(names::RESOURCE_ATTRIBUTES, value, problem))?,
    };
    let api = flag(env, names::KUBERNETES_API, defaults::KUBERNETES_API)?;
    let kubernetes = env.get(names::KUBERNETES_HOST).map(|host| Kubernetes {
        host,
        port: env.get(names::KUBERNETES_PORT).unwrap_or_else(|| defaults::KUBERNETES_PORT.into()),
        api,
    });
    Ok(ResourceSettings { service_name: env.get(names::SERVICE_NAME), attributes, kubernetes })
}

fn read_propagators(env: &dyn Env) -> Result<Vec<Propagator>, SettingsError> {
    let name = names::PROPAGATORS;
    let chosen = env::list(env, name, defaults::PROPAGATORS);
    reject_none_in_a_list(name, &chosen)?;
    let chosen: Result<BTreeSet<_>, _> = chosen
        .iter()
        .filter(|item| *item != "none")
        .map(|item| match item.as_str() {
            "tracecontext" => Ok(Propagator::TraceContext),
            "baggage" => Ok(Propagator::Baggage),
            "b3" => Ok(Propagator::B3),
            "b3multi" => Ok(Propagator::B3Multi),
            // The crate for this format does not support version 0.33 of the SDK, and the specification deprecates
            // the format.
            "jaeger" => Err(SettingsError::new(
                name,
                item,
                "use tracecontext: Jaeger's own headers are not supported",
            )),
            _ => Err(SettingsError::new(name, item, "use tracecontext, baggage, b3, b3multi or none")),
        })
        .collect();
    Ok(chosen?.into_iter().collect())
}

/// Rejects a list that contains both `none` and other items.
fn reject_none_in_a_list(name: &str, chosen: &[String]) -> Result<(), SettingsError> {
    if chosen.len() > 1 && chosen.iter().any(|item| item == "none") {
        return Err(SettingsError::new(name, chosen.join(","), "use none alone, or remove it"));
    }
    Ok(())
}

/// Reads a duration in whole milliseconds, at least 1. `default` is in milliseconds too.
fn read_millis(env: &dyn Env, name: &str, default: u64) -> Result<Duration, SettingsError> {
    let remedy = "use a whole number of milliseconds, at least 1";
    let millis = parse(env, name, default, remedy)?;
    if millis == 0 {
        return Err(SettingsError::new(name, millis, remedy));
    }
    Ok(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests;
