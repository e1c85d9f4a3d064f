//! The settings of the service, in addition to the telemetry library's settings.

use std::net::SocketAddr;

use service_common::settings::{
    FAULTS, FAULTS_DEFAULT, HTTP_ADDRESS, address, database_url, faults, http_address, loopback,
};
use service_common::store::DatabaseUrl;
use telemetry::settings::names::Variable;
use telemetry::settings::{Env, SettingsError};

/// The default of `SIGHTLINE_HTTP_ADDRESS`.
const ADDRESS: SocketAddr = loopback(8080);

/// The file of the default database, in the working directory.
const DATABASE_FILE: &str = "user.db";

/// The settings of the service. They are read once, when the service starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SIGHTLINE_HTTP_ADDRESS`: the address of the HTTP server, by default `127.0.0.1:8080`.
    pub address: SocketAddr,
    /// `DATABASE_URL`: the database of users, by default the file `user.db`.
    pub database: DatabaseUrl,
    /// `SIGHTLINE_FAULTS`: whether reading user 999 fails and reading user 998 takes a second.
    pub faults: bool,
}

impl Settings {
    /// Reads the settings from `env`. Returns an error for the first value that cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        Ok(Self {
            address: address(env, HTTP_ADDRESS, ADDRESS)?,
            database: DatabaseUrl::read(env, DATABASE_FILE)?,
            faults: faults(env)?,
        })
    }
}

/// Returns the documentation of the variables, for `docs/settings.md`.
#[must_use]
pub fn variables() -> Vec<Variable> {
    vec![
        http_address(ADDRESS),
        database_url(DATABASE_FILE),
        Variable {
            name: FAULTS,
            default: format!("`{FAULTS_DEFAULT}`").into(),
            meaning: "`true` turns on the built-in faults: requests for user 999 fail, and requests for user 998 take \
                      one second.",
        },
    ]
}
