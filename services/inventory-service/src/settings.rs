//! The settings of the service, in addition to the telemetry library's settings.

use std::net::SocketAddr;

use service_common::settings::{GRPC_ADDRESS, INVENTORY_SERVICE_ADDRESS, address};
use telemetry::settings::{Env, SettingsError};

/// The settings of the service. They are read once, when the service starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SIGHTLINE_GRPC_ADDRESS`: the address of the gRPC server, by default [`INVENTORY_SERVICE_ADDRESS`].
    pub address: SocketAddr,
}

impl Settings {
    /// Reads the settings from `env`. Returns an error for the first value that cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        Ok(Self { address: address(env, GRPC_ADDRESS, INVENTORY_SERVICE_ADDRESS)? })
    }
}
