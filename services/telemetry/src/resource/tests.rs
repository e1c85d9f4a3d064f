//! Tests of the resource as a whole.

use super::*;
use opentelemetry::{Key, Value};

fn detect(service: &Service, settings: &ResourceSettings) -> Resource {
    super::detect(service, settings, &Additions::default()).0
}

const SERVICE: Service = Service { name: "shop", version: "1.2.3" };

fn text(resource: &Resource, key: &'static str) -> Option<String> {
    resource.get(&Key::from_static_str(key)).map(|value| value.to_string())
}

#[test]
fn configured_attributes_override_detected_ones() {
    let settings = ResourceSettings {
        service_name: Some("till".into()),
        attributes: vec![("service.name".into(), "stall".into()), ("host.name".into(), "set".into())],
        kubernetes: None,
    };
    let resource = detect(&SERVICE, &settings);
    assert_eq!(text(&resource, "service.name").as_deref(), Some("till"));
    assert_eq!(text(&resource, "host.name").as_deref(), Some("set"));
    assert_eq!(text(&resource, "service.version").as_deref(), Some("1.2.3"));
    assert_eq!(resource.schema_url(), Some(SCHEMA_URL));
}

#[test]
fn detects_this_host_and_process() {
    let resource = detect(&SERVICE, &ResourceSettings::default());
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(text(&resource, "host.name").as_deref(), Some(hostname.trim()));
    assert_eq!(resource.get(&Key::from("process.pid")), Some(Value::I64(i64::from(std::process::id()))));
    assert_eq!(text(&resource, "os.type").as_deref(), Some("linux"));
    assert_ne!(text(&resource, "host.arch").as_deref(), Some("x86_64"), "the semantic conventions say amd64");
    let path = std::env::current_exe().unwrap();
    assert_eq!(text(&resource, "process.executable.path").as_deref(), path.to_str());
}

#[test]
fn uses_the_name_of_the_service_by_default() {
    let resource = detect(&SERVICE, &ResourceSettings::default());
    assert_eq!(text(&resource, "service.name").as_deref(), Some("shop"));
}

#[test]
fn leaves_out_the_command_line() {
    let resource = detect(&SERVICE, &ResourceSettings::default());
    assert!(resource.iter().all(|(key, _)| !key.as_str().starts_with("process.command")));
}

#[test]
fn detects_no_empty_attributes() {
    for (key, value) in &detect(&SERVICE, &ResourceSettings::default()) {
        assert!(!value.to_string().is_empty(), "{key}");
    }
}

#[test]
fn generates_a_new_instance_id_each_time() {
    let id = || text(&detect(&SERVICE, &ResourceSettings::default()), "service.instance.id");
    assert_ne!(id(), id());
}

/// A detector that a program adds.
struct Added(Resource);

impl ResourceDetector for Added {
    fn detect(&self) -> Resource {
        self.0.clone()
    }
}

fn added<const N: usize>(attributes: [(&'static str, &'static str); N]) -> Box<dyn ResourceDetector> {
    let attributes = attributes.map(|(key, value)| KeyValue::new(key, value));
    Box::new(Added(Resource::builder_empty().with_attributes(attributes).build()))
}

#[test]
fn each_source_overrides_the_sources_before_it() {
    let additions = Additions {
        detectors: vec![
            added([("cloud.region", "first"), ("host.name", "first"), ("os.type", "first")]),
            added([
                ("host.name", "second"),
                ("host.type", "second"),
                ("service.instance.id", "second"),
                ("service.name", "second"),
                ("team", "second"),
            ]),
        ],
        attributes: vec![
            KeyValue::new("host.type", "fixed"),
            KeyValue::new("service.version", "fixed"),
            KeyValue::new("team", "fixed"),
        ],
    };
    let settings = ResourceSettings {
        service_name: None,
        attributes: vec![("team".into(), "configured".into())],
        kubernetes: None,
    };
    let (resource, missing) = super::detect(&SERVICE, &settings, &additions);
    for (key, value) in [
        ("cloud.region", "first"),
        ("os.type", "first"),
        ("host.name", "second"),
        ("service.instance.id", "second"),
        ("service.name", "shop"),
        ("host.type", "fixed"),
        ("service.version", "fixed"),
        ("team", "configured"),
    ] {
        assert_eq!(text(&resource, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!((resource.schema_url(), missing), (Some(SCHEMA_URL), Missing::default()));
}

#[test]
fn does_not_correct_the_detectors_that_a_program_adds() {
    let additions = Additions {
        detectors: vec![Box::new(opentelemetry_resource_detectors::ProcessResourceDetector)],
        ..Additions::default()
    };
    let (resource, _) = super::detect(&SERVICE, &ResourceSettings::default(), &additions);
    assert!(resource.get(&Key::from("process.command_args")).is_some());
}

#[test]
fn has_no_schema_url_if_a_detector_follows_another_schema() {
    let detect = |url: &'static str| {
        let resource =
            Resource::builder_empty().with_schema_url([KeyValue::new("cloud.region", "north")], url).build();
        let additions = Additions { detectors: vec![Box::new(Added(resource))], ..Additions::default() };
        super::detect(&SERVICE, &ResourceSettings::default(), &additions)
    };
    let (same, missing) = detect(SCHEMA_URL);
    assert_eq!((same.schema_url(), missing), (Some(SCHEMA_URL), Missing::default()));

    let older = "https://opentelemetry.io/schemas/1.20.0";
    let (other, missing) = detect(older);
    assert_eq!(other.schema_url(), None);
    assert_eq!(text(&other, "cloud.region").as_deref(), Some("north"));
    assert_eq!(text(&other, "service.name").as_deref(), Some("shop"));
    let [Gap { reason, remedy: Some(_), .. }] = &missing.0[..] else { panic!("{missing:?}") };
    assert!(reason.contains(older) && reason.contains(SCHEMA_URL), "{reason}");
}
