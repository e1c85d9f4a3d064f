//! The settings of the service, in addition to the telemetry library's settings.

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::Url;
use service_common::settings::{HTTP_ADDRESS, address, service_url, url};
use telemetry::settings::{Env, SettingsError};

/// The default port of the HTTP server.
const PORT: u16 = 8990;

/// The settings of the service. They are read once, when the service starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SIGHTLINE_HTTP_ADDRESS`: the address of the HTTP server.
    pub address: SocketAddr,
    /// `TEMPLATE_HTTP_DETAILS_URL`: the URL of the service that has the details of items, by default this service.
    pub details_url: Url,
}

impl Settings {
    /// Reads the settings from `env`. Returns an error for the first value that cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        Ok(Self {
            address: address(env, HTTP_ADDRESS, default)?,
            details_url: url(env, "TEMPLATE_HTTP_DETAILS_URL", &service_url(default), &["http", "https"])?,
        })
    }
}
