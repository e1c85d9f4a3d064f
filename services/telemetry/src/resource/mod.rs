//! The resource of all spans, metrics and log records of this process.
//!
//! Configured attributes override detected ones. Attributes that cannot be detected are left out and never guessed: a
//! wrong host in a dashboard is worse than a missing host.
//!
//! The detectors in this module replace the opentelemetry-resource-detectors crate. That crate reports `x86_64` instead
//! of `amd64`, does not remove passwords from the command line, and reports a container ID on a machine without
//! containers. It also starts a child process to read the host name.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/resource/>.

mod container;
mod host;
#[cfg_attr(not(feature = "kubernetes"), path = "no_kubernetes.rs")]
mod kubernetes;
mod process;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{ResourceDetector, TelemetryResourceDetector};
use opentelemetry_semantic_conventions::{SCHEMA_URL, attribute};

use crate::service::Service;
use crate::settings::ResourceSettings;

pub(crate) use kubernetes::Missing;

/// Returns the resource of this process, and the Kubernetes attributes that could not be looked up.
///
/// Reading local files takes a few milliseconds at most. In a cluster, the function also waits up to two seconds for
/// the responses of the API server.
pub(crate) fn detect(service: &Service, settings: &ResourceSettings) -> (Resource, Missing) {
    let sdk = TelemetryResourceDetector.detect();
    let container_id = container::id();
    let (kubernetes, missing) = kubernetes::detect(settings, container_id.as_deref());
    let detected = sdk
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()))
        .chain(distribution_attributes())
        .chain(host::detect())
        .chain(process::detect())
        .chain(container_id.map(|id| KeyValue::new(attribute::CONTAINER_ID, id)))
        .chain(kubernetes)
        .chain(service_attributes(service));
    // A later attribute replaces an earlier one with the same key.
    let resource = Resource::builder_empty()
        .with_schema_url(detected.chain(configured_attributes(settings)), SCHEMA_URL)
        .build();
    (resource, missing)
}

fn distribution_attributes() -> [KeyValue; 2] {
    [
        KeyValue::new(attribute::TELEMETRY_DISTRO_NAME, "sightline"),
        KeyValue::new(attribute::TELEMETRY_DISTRO_VERSION, env!("CARGO_PKG_VERSION")),
    ]
}

fn service_attributes(service: &Service) -> [KeyValue; 3] {
    [
        KeyValue::new(attribute::SERVICE_NAME, service.name),
        KeyValue::new(attribute::SERVICE_VERSION, service.version),
        // The ID is random, as the semantic conventions recommend. The pod's UID would be the same for all containers
        // of the pod, and would not change when a container restarts.
        KeyValue::new(attribute::SERVICE_INSTANCE_ID, uuid::Uuid::new_v4().to_string()),
    ]
}

fn configured_attributes(settings: &ResourceSettings) -> impl Iterator<Item = KeyValue> {
    let name = settings.service_name.clone().map(|name| KeyValue::new(attribute::SERVICE_NAME, name));
    settings.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).chain(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::{Key, Value};

    fn detect(service: &Service, settings: &ResourceSettings) -> Resource {
        super::detect(service, settings).0
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
        assert_ne!(
            text(&resource, "host.arch").as_deref(),
            Some("x86_64"),
            "the semantic conventions say amd64"
        );
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
}
