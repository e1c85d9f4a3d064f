//! The settings of the service, in addition to the telemetry library's settings.

use std::net::SocketAddr;

use service_common::settings::{HTTP_ADDRESS, USER_DATABASE_FILE, USER_SERVICE_ADDRESS, address, faults};
use service_common::store::DatabaseUrl;
use telemetry::settings::{Env, SettingsError};

/// The settings of the service. They are read once, when the service starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SIGHTLINE_HTTP_ADDRESS`: the address of the HTTP server, by default [`USER_SERVICE_ADDRESS`].
    pub address: SocketAddr,
    /// `DATABASE_URL`: the database of users, by default the file [`USER_DATABASE_FILE`].
    pub database: DatabaseUrl,
    /// `SIGHTLINE_FAULTS`: whether reading user 999 fails and reading user 998 takes a second.
    pub faults: bool,
}

impl Settings {
    /// Reads the settings from `env`. Returns an error for the first value that cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        Ok(Self {
            address: address(env, HTTP_ADDRESS, USER_SERVICE_ADDRESS)?,
            database: DatabaseUrl::read(env, USER_DATABASE_FILE)?,
            faults: faults(env)?,
        })
    }
}
