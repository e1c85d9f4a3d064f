//! What can be set of this service, beside telemetry's own.

use std::net::{Ipv4Addr, SocketAddr};

use service_common::settings::{GRPC_ADDRESS, address};
use telemetry::settings::{Env, SettingsError};

/// Everything, read once at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SIGHTLINE_GRPC_ADDRESS`: where requests are taken, 127.0.0.1:8082 by default.
    pub address: SocketAddr,
}

impl Settings {
    /// Reads them from `env`; the first that cannot be used is the error.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        Ok(Self { address: address(env, GRPC_ADDRESS, (Ipv4Addr::LOCALHOST, 8082).into())? })
    }
}
