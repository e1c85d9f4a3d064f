//! What can be set of this service, beside telemetry's own.

use std::net::{Ipv4Addr, SocketAddr};

use service_common::settings::{HTTP_ADDRESS, address, faults};
use service_common::store::DatabaseUrl;
use telemetry::settings::{Env, SettingsError};

/// Everything, read once at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SIGHTLINE_HTTP_ADDRESS`: where requests are taken, 127.0.0.1:8080 by default.
    pub address: SocketAddr,
    /// `DATABASE_URL`: where users are kept, the file `user.db` in the working directory by default.
    pub database: DatabaseUrl,
    /// `SIGHTLINE_FAULTS`: whether user 999 fails and user 998 takes a second.
    pub faults: bool,
}

impl Settings {
    /// Reads them from `env`; the first that cannot be used is the error.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        Ok(Self {
            address: address(env, HTTP_ADDRESS, (Ipv4Addr::LOCALHOST, 8080).into())?,
            database: DatabaseUrl::read(env, "user.db")?,
            faults: faults(env)?,
        })
    }
}
