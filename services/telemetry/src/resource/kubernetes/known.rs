//! The facts about this pod that need no request to the API server. They come from the environment, from files and from
//! the kernel.

use std::net::IpAddr;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute;

use super::files;
use crate::resource::{host, process};
use crate::settings::ResourceSettings;

/// The facts about this pod that need no request to the API server.
///
/// If the environment and a file disagree, the lookups use the value of the file, because a person can mistype the
/// value in the environment.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) namespace: Option<String>,
    pub(super) pod_name: Option<PodName>,
    pub(super) pod_uid: Option<String>,
    pub(super) node: Option<String>,
    pub(super) container: Option<String>,
    pub(super) container_id: Option<String>,
    pub(super) addresses: Vec<IpAddr>,
    /// When this process started.
    pub(super) started: Option<SystemTime>,
    /// When process 1 of this PID namespace started.
    pub(super) init_started: Option<SystemTime>,
}

/// The name of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PodName {
    /// The name from `OTEL_RESOURCE_ATTRIBUTES`.
    Declared(String),
    /// The host name, which in most pods is the pod's name.
    Guessed(String),
}

impl Known {
    pub(super) fn collect(
        settings: &ResourceSettings,
        files: files::PodFacts,
        container_id: Option<&str>,
        namespace: Option<&str>,
    ) -> Self {
        let declared = |key| {
            // If a key occurs twice, the last value wins, as in the resource. An empty value counts as unset.
            let value =
                settings.attributes.iter().rfind(|(name, _)| name == key).map(|(_, value)| value.clone());
            value.filter(|value| !value.is_empty())
        };
        let name = declared(attribute::K8S_POD_NAME).map(PodName::Declared);
        Self {
            namespace: namespace.map(str::to_owned).or_else(|| declared(attribute::K8S_NAMESPACE_NAME)),
            pod_name: name.or_else(|| host::host_name().map(PodName::Guessed)),
            pod_uid: files.pod_uid.or_else(|| declared(attribute::K8S_POD_UID)),
            node: declared(attribute::K8S_NODE_NAME),
            container: files.container.or_else(|| declared(attribute::K8S_CONTAINER_NAME)),
            container_id: container_id.map(str::to_owned),
            addresses: host::ip_addresses(),
            started: process::started("self"),
            init_started: process::started("1"),
        }
    }

    /// The attributes that need no request to the API server.
    pub(super) fn attributes(&self) -> Vec<KeyValue> {
        [
            (attribute::K8S_NAMESPACE_NAME, &self.namespace),
            (attribute::K8S_POD_UID, &self.pod_uid),
            (attribute::K8S_CONTAINER_NAME, &self.container),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some(KeyValue::new(key, value.clone()?)))
        .collect()
    }
}

impl PodName {
    pub(super) fn as_str(&self) -> &str {
        let (Self::Declared(name) | Self::Guessed(name)) = self;
        name
    }
}
