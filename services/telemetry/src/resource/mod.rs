//! The resource of all spans, metrics and log records of this process.
//!
//! If several sources report the same attribute, the last one in this list counts:
//!
//! 1. The detectors of the opentelemetry-resource-detectors crate. [`contrib`] corrects their attributes.
//! 2. The detectors of this module. They report what the crate does not report, or reports wrongly.
//! 3. Detectors that the program adds, in the order in which it adds them. Their attributes are not corrected.
//! 4. The name and the version of the [`Service`].
//! 5. Fixed attributes that the program adds.
//! 6. `OTEL_RESOURCE_ATTRIBUTES`, and then `OTEL_SERVICE_NAME`.
//!
//! In the specification, attributes from code override the environment. Here, the environment overrides them, because an
//! operator can change the environment of a service but not its code.
//!
//! Attributes that cannot be detected are left out and never guessed: a wrong host in a dashboard is worse than a
//! missing host.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/resource/>.

mod container;
mod contrib;
mod host;
#[cfg_attr(not(feature = "kubernetes"), path = "no_kubernetes.rs")]
mod kubernetes;
mod missing;
mod os;
pub(crate) mod process;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{ResourceDetector, TelemetryResourceDetector};
use opentelemetry_semantic_conventions::{SCHEMA_URL, attribute};

use crate::service::Service;
use crate::settings::ResourceSettings;

use missing::Gap;
pub(crate) use missing::Missing;

/// What a program adds to its resource in code.
#[derive(Default)]
pub(crate) struct Additions {
    /// Detectors from opentelemetry-resource-detectors, from another crate or from the program itself. They run in this
    /// order, on the thread that starts telemetry. The start waits for them without a timeout.
    pub(crate) detectors: Vec<Box<dyn ResourceDetector>>,
    /// Fixed attributes.
    pub(crate) attributes: Vec<KeyValue>,
}

/// Returns the resource of this process, and the attributes that could not be detected.
///
/// Reading local files takes a few milliseconds at most. The function also waits for the responses of the API server in
/// a cluster, and for the detector of the host. Both run at the same time, for up to two seconds. Then the function
/// runs the detectors in `additions`.
pub(crate) fn detect(
    service: &Service,
    settings: &ResourceSettings,
    additions: &Additions,
) -> (Resource, Missing) {
    let contrib = contrib::Detection::start();
    let container_id = container::id();
    let (kubernetes, mut missing) =
        kubernetes::detect(settings, container_id.as_deref(), contrib.namespace());
    let (contrib, gap) = contrib.finish();
    missing.extend(gap);
    let added: Vec<_> = additions.detectors.iter().map(|detector| detector.detect()).collect();

    // A later attribute replaces an earlier one with the same key.
    let attributes = contrib
        .into_iter()
        .chain(attributes(&TelemetryResourceDetector.detect()))
        .chain(own_attributes())
        .chain(host::detect())
        .chain(os::detect())
        .chain(process::detect())
        .chain(container_id.map(|id| KeyValue::new(attribute::CONTAINER_ID, id)))
        .chain(kubernetes)
        .chain(added.iter().flat_map(attributes))
        .chain(service_attributes(service))
        .chain(additions.attributes.iter().cloned())
        .chain(configured_attributes(settings));
    let mut resource = Resource::builder_empty();
    match other_schema(&added) {
        None => resource = resource.with_schema_url(attributes, SCHEMA_URL),
        Some(gap) => {
            resource = resource.with_attributes(attributes);
            missing.extend([gap]);
        }
    }
    (resource.build(), missing)
}

fn attributes(resource: &Resource) -> Vec<KeyValue> {
    resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect()
}

/// Returns a gap if one of the `added` resources follows another version of the semantic conventions than this library.
///
/// A schema URL belongs to a whole resource, so a resource with attributes of two versions has no schema URL. With a
/// wrong URL, a backend that converts attributes between versions would convert them wrongly. The SDK merges resources
/// in the same way.
///
/// Source: <https://opentelemetry.io/docs/specs/otel/resource/sdk/#merge>.
fn other_schema(added: &[Resource]) -> Option<Gap> {
    let other = added.iter().filter_map(Resource::schema_url).find(|url| *url != SCHEMA_URL)?;
    Some(Gap {
        attributes: "the schema URL of the resource",
        reason: format!(
            "a resource detector of the program follows {other}, and this library follows {SCHEMA_URL}"
        ),
        remedy: Some(
            "use a detector for the same version of the semantic conventions, or without a schema URL".into(),
        ),
    })
}

/// The attributes that do not depend on the environment of the process. A detector that the program adds can replace
/// them.
fn own_attributes() -> [KeyValue; 3] {
    [
        KeyValue::new(attribute::TELEMETRY_DISTRO_NAME, "sightline"),
        KeyValue::new(attribute::TELEMETRY_DISTRO_VERSION, env!("CARGO_PKG_VERSION")),
        // The ID is random, as the semantic conventions recommend. The pod's UID would be the same for all containers
        // of the pod, and would not change when a container restarts.
        KeyValue::new(attribute::SERVICE_INSTANCE_ID, uuid::Uuid::new_v4().to_string()),
    ]
}

fn service_attributes(service: &Service) -> [KeyValue; 2] {
    [
        KeyValue::new(attribute::SERVICE_NAME, service.name),
        KeyValue::new(attribute::SERVICE_VERSION, service.version),
    ]
}

fn configured_attributes(settings: &ResourceSettings) -> impl Iterator<Item = KeyValue> {
    let name = settings.service_name.clone().map(|name| KeyValue::new(attribute::SERVICE_NAME, name));
    settings.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).chain(name)
}

#[cfg(test)]
mod tests;
