//! The Kubernetes detector of a crate that is compiled without the feature `kubernetes`: it finds nothing.

use opentelemetry::KeyValue;

use crate::resource::missing::Missing;
use crate::settings::ResourceSettings;

pub(super) fn detect(
    _settings: &ResourceSettings,
    _container_id: Option<&str>,
    _namespace: Option<&str>,
) -> (Vec<KeyValue>, Missing) {
    (Vec::new(), Missing::default())
}
