//! The settings of the service, in addition to the telemetry library's settings.

use std::num::NonZeroU32;
use std::time::Duration;

use reqwest::Url;
use service_common::settings::url;
use telemetry::settings::{Env, SettingsError, parse};

const UPSTREAM_URL: &str = "TEMPLATE_WORKER_UPSTREAM_URL";

/// The settings of the service. They are read once, when the service starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `TEMPLATE_WORKER_INTERVAL`: the time between two messages. The variable is a number of milliseconds, by default
    /// 5000.
    pub interval: Duration,
    /// `TEMPLATE_WORKER_UPSTREAM_URL`: the URL that the service calls for each message. By default, there is no call.
    pub upstream_url: Option<Url>,
}

impl Settings {
    /// Reads the settings from `env`. Returns an error for the first value that cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let default = NonZeroU32::MIN.saturating_add(4999);
        let interval =
            parse(env, "TEMPLATE_WORKER_INTERVAL", default, "use a number of milliseconds, at least 1")?;
        let upstream_url = match env.get(UPSTREAM_URL) {
            Some(value) => Some(url(env, UPSTREAM_URL, &value, &["http", "https"])?),
            None => None,
        };
        Ok(Self { interval: Duration::from_millis(u64::from(interval.get())), upstream_url })
    }
}
