//! The settings of the service, in addition to the telemetry library's settings.

use std::net::{Ipv4Addr, SocketAddr};

use service_common::settings::{GRPC_ADDRESS, address, service_url, url};
use telemetry::settings::{Env, SettingsError};
use url::Url;

/// The default port of the gRPC server.
const PORT: u16 = 8991;

/// The settings of the service. They are read once, when the service starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SIGHTLINE_GRPC_ADDRESS`: the address of the gRPC server.
    pub address: SocketAddr,
    /// `TEMPLATE_GRPC_DETAILS_URL`: the URL of the service that has the details of items, by default this service.
    pub details_url: Url,
}

impl Settings {
    /// Reads the settings from `env`. Returns an error for the first value that cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        Ok(Self {
            address: address(env, GRPC_ADDRESS, default)?,
            // tonic is built without TLS.
            details_url: url(env, "TEMPLATE_GRPC_DETAILS_URL", &service_url(default), &["http"])?,
        })
    }
}
