//! The Kubernetes detector of a crate that is compiled without the feature `kubernetes`: it finds nothing.

use opentelemetry::KeyValue;

use crate::settings::ResourceSettings;

/// The attributes that could not be looked up: always none.
#[derive(Debug)]
pub(crate) struct Missing;

impl Missing {
    #[expect(clippy::unused_self, reason = "the method is that of the real detector")]
    pub(crate) fn log(&self) {}
}

pub(super) fn detect(_settings: &ResourceSettings, _container_id: Option<&str>) -> (Vec<KeyValue>, Missing) {
    (Vec::new(), Missing)
}
