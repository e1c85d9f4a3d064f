//! The settings of the service, in addition to the telemetry library's settings.

use std::net::SocketAddr;

use service_common::settings::{GRPC_ADDRESS, address, grpc_address, loopback};
use telemetry::settings::names::Variable;
use telemetry::settings::{Env, SettingsError};

/// The default of `SIGHTLINE_GRPC_ADDRESS`.
const ADDRESS: SocketAddr = loopback(8082);

/// The settings of the service. They are read once, when the service starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SIGHTLINE_GRPC_ADDRESS`: the address of the gRPC server, by default `127.0.0.1:8082`.
    pub address: SocketAddr,
}

impl Settings {
    /// Reads the settings from `env`. Returns an error for the first value that cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        Ok(Self { address: address(env, GRPC_ADDRESS, ADDRESS)? })
    }
}

/// Returns the documentation of the variables, for `docs/settings.md`.
#[must_use]
pub fn variables() -> Vec<Variable> {
    vec![grpc_address(ADDRESS)]
}
