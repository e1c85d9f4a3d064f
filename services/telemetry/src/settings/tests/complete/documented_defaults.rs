//! Compares the defaults that [`names::VARIABLES`] documents with the defaults that the code uses.

use super::*;

/// The environments of the tests. Each variable has an effect in at least one of these environments.
const ENVIRONMENTS: [&[(&str, &str)]; 3] = [
    &[],
    &[(names::KUBERNETES_HOST, "10.96.0.1")],
    // `OTEL_EXPORTER_OTLP_INSECURE` applies only to a gRPC endpoint without a scheme.
    &[(names::OTLP_PROTOCOL, "grpc"), (names::OTLP_ENDPOINT, "collector:4317")],
];

/// Values to try for each variable. For each variable, at least one of these values is valid and differs from the
/// default.
const OTHER_VALUES: [&str; 9] = ["1", "true", "false", "none", "gzip", "grpc", "delta", "always_on", "warn"];

/// Reads `environment` with one more variable and returns all settings as text.
fn read_with(environment: &[(&str, &str)], variable: Option<(&str, &str)>) -> Result<String, SettingsError> {
    let env: MapEnv = environment.iter().copied().chain(variable).collect();
    Settings::read(&env).map(|settings| format!("{settings:?}"))
}

/// Returns the default without its backticks if it is a literal, or `None` if it is a description.
fn literal(default: &str) -> Option<&str> {
    default.strip_prefix('`')?.strip_suffix('`').filter(|value| !value.contains('`'))
}

/// Returns all values that a description contains in backticks.
fn literals(markdown: &str) -> Vec<&str> {
    markdown.split('`').skip(1).step_by(2).collect()
}

#[test]
fn setting_a_variable_to_its_documented_default_changes_nothing() {
    for names::Variable { name, default, .. } in names::VARIABLES {
        let Some(default) = literal(default) else { continue };
        let mut has_an_effect = false;
        for environment in ENVIRONMENTS {
            if environment.iter().any(|(set, _)| set == name) {
                continue;
            }
            let unset = read_with(environment, None).unwrap();
            let set = read_with(environment, Some((name, default))).unwrap();
            assert_eq!(set, unset, "{name}={default} in {environment:?}");
            has_an_effect |= OTHER_VALUES
                .iter()
                .any(|other| read_with(environment, Some((name, other))).is_ok_and(|set| set != unset));
        }
        assert!(has_an_effect, "no value of {name} changes the settings");
    }
}

#[test]
fn defaults_that_are_descriptions_apply() {
    let unset = read([]).unwrap();
    let otlp = [&unset.traces.otlp, &unset.metrics.otlp, unset.logs.otlp.as_ref().unwrap()];
    for names::Variable { name, default, .. } in names::VARIABLES {
        if literal(default).is_some() {
            continue;
        }
        let literals = literals(default);
        let applies = match (*name, &**default) {
            // A test of the `resource` module checks that the default is the name of the `Service`.
            (names::SERVICE_NAME, "the program's name") => unset.resource.service_name.is_none(),
            (names::RESOURCE_ATTRIBUTES, "none") => unset.resource.attributes.is_empty(),
            (names::OTLP_ENDPOINT, _) => {
                let grpc = read([(names::OTLP_PROTOCOL, "grpc")]).unwrap().traces.otlp.endpoint;
                let [grpc, http] = [grpc, unset.traces.otlp.endpoint.clone()].map(|url| url.to_string());
                literals == [http.trim_end_matches("/v1/traces"), grpc.trim_end_matches('/'), "grpc"]
            }
            (names::OTLP_CERTIFICATE, "the CAs that the system trusts") => {
                otlp.iter().all(|otlp| otlp.tls.ca_bundle.is_none())
            }
            (names::OTLP_CLIENT_CERTIFICATE | names::OTLP_CLIENT_KEY, "none") => {
                otlp.iter().all(|otlp| otlp.tls.identity.is_none())
            }
            (names::OTLP_HEADERS, "none") => otlp.iter().all(|otlp| otlp.headers.0.is_empty()),
            (names::ATTRIBUTE_VALUE_LENGTH_LIMIT, "no limit") => {
                unset.traces.value_length.is_none() && unset.logs.limits.value_length.is_none()
            }
            (
                names::SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT
                | names::SPAN_ATTRIBUTE_COUNT_LIMIT
                | names::LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT
                | names::LOGRECORD_ATTRIBUTE_COUNT_LIMIT,
                _,
            ) => {
                let [general] = literals[..] else { panic!("{name} has no general limit: {default}") };
                let settings = read([(general, "7")]).unwrap();
                let limit = match *name {
                    names::SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT => settings.traces.value_length,
                    names::SPAN_ATTRIBUTE_COUNT_LIMIT => {
                        usize::try_from(settings.traces.limits.max_attributes_per_span).ok()
                    }
                    names::LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT => settings.logs.limits.value_length,
                    _ => Some(settings.logs.limits.attributes),
                };
                limit == Some(7) && default.starts_with("the value of")
            }
            (names::LOG_FORMAT, _) => {
                let format = |on_a_terminal| {
                    signals::read_log_format(&MapEnv::default(), on_a_terminal).map(|format| match format {
                        LogFormat::Json => "json",
                        LogFormat::Text => "text",
                    })
                };
                default.contains(" on a terminal, otherwise ")
                    && literals == [format(true).unwrap(), format(false).unwrap()]
            }
            (names::TRUSTED_PROXIES, "none") => unset.instrumentation.trusted_proxies.is_empty(),
            (names::BAGGAGE_ATTRIBUTES, "none") => unset.traces.baggage_attributes.is_empty(),
            (names::KUBERNETES_HOST, "unset outside a cluster") => unset.resource.kubernetes.is_none(),
            (name, default) => panic!("add a check for the default of {name}: {default}"),
        };
        assert!(applies, "{name}: {default}");
    }
}
