use serde_json::{Value, json};

use super::{Additions, AdditionsError};

/// The configuration that the additions are added to.
fn base() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../collector-config/gateway.yaml");
    std::fs::read_to_string(path).unwrap()
}

fn parse(yaml: &str) -> Additions {
    serde_yaml::from_str(yaml).unwrap()
}

fn overlay(yaml: &str) -> Value {
    serde_yaml::from_str(&parse(yaml).overlay(&base()).unwrap()).unwrap()
}

fn rejection(yaml: &str) -> String {
    parse(yaml).overlay(&base()).unwrap_err().to_string()
}

fn list<'a>(value: &'a Value, path: &str) -> &'a Vec<Value> {
    value.pointer(path).and_then(Value::as_array).unwrap()
}

#[test]
fn appends_to_each_list() {
    let overlay = overlay(
        r"
sampling: {policies: [{name: checkout, type: string_attribute, string_attribute: {key: http.route, values: [/checkout]}}]}
redaction: {keys: ['^customer\.iban$'], patterns: ['DE\d{20}']}
span-metrics: {dimensions: [{name: tenant.id, default: none}]}
",
    );
    let base: Value = serde_yaml::from_str(&base()).unwrap();
    for (path, added) in [
        (
            "/processors/tail_sampling/policies",
            json!({"name": "checkout", "type": "string_attribute",
                   "string_attribute": {"key": "http.route", "values": ["/checkout"]}}),
        ),
        // The Collector reads `$$` as `$`.
        ("/processors/redaction~1secrets/blocked_key_patterns", json!(r"^customer\.iban$$")),
        ("/processors/redaction~1secrets/blocked_values", json!(r"DE\d{20}")),
        ("/connectors/span_metrics/dimensions", json!({"name": "tenant.id", "default": "none"})),
    ] {
        let (ours, whole) = (list(&base, path), list(&overlay, path));
        assert_eq!(whole.split_last().unwrap(), (&added, ours.as_slice()), "{path}");
    }
}

#[test]
fn contains_only_lists_with_additions() {
    let overlay = overlay("redaction: {keys: [iban]}");
    let processors = overlay["processors"].as_object().unwrap();
    assert_eq!(overlay.as_object().unwrap().len(), 1);
    assert_eq!(processors.keys().collect::<Vec<_>>(), ["redaction/secrets"]);
    assert_eq!(processors["redaction/secrets"].as_object().unwrap().len(), 1);
    assert!(parse("{}").is_empty());
    assert!(!parse("redaction: {keys: [iban]}").is_empty());
}

#[test]
fn rejects_entries_that_cannot_work() {
    for (yaml, words) in [
        ("sampling: {policies: [{type: always_sample}]}", &["policies[0].name", "empty"][..]),
        ("sampling: {policies: [{name: mine}]}", &["policies[0].type", "empty"]),
        (
            "sampling: {policies: [{name: slow, type: always_sample}]}",
            &["slow", "gateway.yaml", "another name"],
        ),
        (
            "sampling: {policies: [{name: a, type: drop}, {name: a, type: drop}]}",
            &["policies[1].name", "twice", "another name"],
        ),
        ("sampling: {policies: [{name: a, type: sometimes}]}", &["type", "sometimes", "probabilistic"]),
        (
            "sampling: {policies: [{name: a, type: latency, threshold_ms: 5}]}",
            &["policies[0]", "threshold_ms", "\"latency\""],
        ),
        ("redaction: {keys: ['']}", &["redaction.keys[0]", "empty"]),
        ("redaction: {keys: ['cookie$']}", &["redaction.keys[0]", "cookie$", "gateway.yaml"]),
        ("redaction: {keys: [a, a]}", &["redaction.keys[1]", "twice"]),
        ("redaction: {keys: ['.*']}", &["redaction.keys[0]", ".*", "everything"]),
        ("redaction: {patterns: ['a(b']}", &["redaction.patterns[0]", "a(b", "Go's syntax"]),
        ("redaction: {patterns: ['(?=a)b']}", &["(?=a)b", "look-around"]),
        ("span-metrics: {dimensions: [{name: ''}]}", &["dimensions[0].name", "empty"]),
        ("span-metrics: {dimensions: [{name: http.route}]}", &["http.route", "gateway.yaml"]),
        ("span-metrics: {dimensions: [{name: service.name}]}", &["service.name", "already"]),
        ("span-metrics: {dimensions: [{name: a.b}, {name: a_b}]}", &["dimensions[1].name", "a_b", "twice"]),
    ] {
        let message = rejection(yaml);
        for word in words {
            assert!(message.contains(word), "{yaml}: {message:?} does not contain {word:?}");
        }
    }
}

#[test]
fn rejects_unknown_keys() {
    for yaml in [
        "sampling: {policy: []}",
        "redaction: {values: []}",
        "spanMetrics: {}",
        "span-metrics: {dimensions: [{key: a}]}",
    ] {
        let error = serde_yaml::from_str::<Additions>(yaml).unwrap_err().to_string();
        assert!(error.contains("unknown field"), "{error}");
    }
}

#[test]
fn needs_the_lists_of_the_base_file() {
    let error = Additions::default().overlay("processors: {}").unwrap_err();
    assert!(matches!(error, AdditionsError::NoList("processors.tail_sampling.policies")), "{error}");
    assert!(matches!(Additions::default().overlay("a: ["), Err(AdditionsError::Base(_))));
}
