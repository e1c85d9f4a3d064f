//! Runs the detectors of the opentelemetry-resource-detectors crate, and corrects their attributes.
//!
//! [`CORRECTIONS`] lists the attributes whose values this library corrects or drops. All other attributes of the crate
//! become part of the resource. Spaces and newlines around a value are removed, and an empty value is left out, because
//! the crate reports the content of files as it is.

mod corrections;

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_resource_detectors::{
    ContainerResourceDetector, HostResourceDetector, K8sResourceDetector, OsResourceDetector,
    ProcessResourceDetector, ServiceInstanceIdResourceDetector,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::ResourceDetector;
use opentelemetry_semantic_conventions::attribute;

use super::missing::Gap;
use corrections::{CORRECTIONS, Treatment};

/// The maximum time for the detector of the host. It is the same as the maximum time for requests to the API server,
/// which are sent at the same time.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The attributes that are missing if the detector of the host does not finish.
const HOST_ATTRIBUTES: &str = "host.id, host.arch";

/// The detectors that only read files, environment variables and constants.
const LOCAL: [&dyn ResourceDetector; 5] = [
    &OsResourceDetector,
    &ProcessResourceDetector,
    &ContainerResourceDetector,
    &K8sResourceDetector,
    &ServiceInstanceIdResourceDetector,
];

/// A detection that has started.
///
/// The detector of the host starts the program `hostname` and waits for it. So this detector runs on its own thread,
/// and a program that hangs does not prevent the start of the service.
pub(super) struct Detection {
    attributes: Vec<KeyValue>,
    host: io::Result<Receiver<Resource>>,
    timeout: Duration,
    end: Instant,
}

impl Detection {
    /// Runs all detectors except the detector of the host, and starts the detector of the host.
    pub(super) fn start() -> Self {
        Self::start_with(TIMEOUT, || HostResourceDetector::default().detect())
    }

    fn start_with(timeout: Duration, host: impl FnOnce() -> Resource + Send + 'static) -> Self {
        let end = Instant::now() + timeout;
        let (sender, receiver) = mpsc::channel();
        let started = thread::Builder::new().name("telemetry-host".into()).spawn(move || {
            // After the timeout, there is no receiver, so sending fails.
            let _ = sender.send(host());
        });
        let attributes = LOCAL.iter().flat_map(|detector| corrected(&detector.detect())).collect();
        Self { attributes, host: started.map(|_| receiver), timeout, end }
    }

    /// The namespace of the pod, from the files of its service account.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.attributes.iter().find_map(|attribute| match &attribute.value {
            Value::String(text) if attribute.key.as_str() == attribute::K8S_NAMESPACE_NAME => {
                Some(text.as_str())
            }
            _ => None,
        })
    }

    /// Waits for the detector of the host. Returns all attributes, and a gap if this detector does not finish before the
    /// timeout.
    pub(super) fn finish(self) -> (Vec<KeyValue>, Option<Gap>) {
        let mut attributes = self.attributes;
        let reason = match self.host {
            Err(error) => format!("the thread of the host detector cannot be started: {error}"),
            Ok(host) => match host.recv_timeout(self.end.saturating_duration_since(Instant::now())) {
                Ok(host) => {
                    attributes.extend(corrected(&host));
                    return (attributes, None);
                }
                Err(RecvTimeoutError::Disconnected) => "the host detector panicked".to_owned(),
                Err(RecvTimeoutError::Timeout) => format!(
                    "the host detector, which runs the program hostname, did not finish within {:?}",
                    self.timeout
                ),
            },
        };
        let remedy = Some(format!("set {HOST_ATTRIBUTES} in OTEL_RESOURCE_ATTRIBUTES"));
        (attributes, Some(Gap { attributes: HOST_ATTRIBUTES, reason, remedy }))
    }
}

fn corrected(resource: &Resource) -> Vec<KeyValue> {
    let correct = |(key, value): (&Key, &Value)| {
        let value = trimmed(value)?;
        let Some(correction) = CORRECTIONS.iter().find(|correction| correction.attribute == key.as_str())
        else {
            return Some(KeyValue::new(key.clone(), value));
        };
        let value = match correction.treatment {
            Treatment::Drop => return None,
            Treatment::DropIf(text) if value.as_str() == text => return None,
            Treatment::DropIf(_) => value,
            Treatment::Convert(convert) => convert(&value.as_str()).to_owned().into(),
        };
        Some(KeyValue::new(key.clone(), value))
    };
    resource.iter().filter_map(correct).collect()
}

fn trimmed(value: &Value) -> Option<Value> {
    let Value::String(text) = value else { return Some(value.clone()) };
    let text = text.as_str().trim();
    (!text.is_empty()).then(|| text.to_owned().into())
}

#[cfg(test)]
mod tests;
