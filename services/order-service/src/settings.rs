//! The settings of the service, in addition to the telemetry library's settings.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Url;
use service_common::settings::{
    FAULTS, FAULTS_DEFAULT, HTTP_ADDRESS, address, database_url, faults, http_address, loopback, service_url,
    url,
};
use service_common::store::DatabaseUrl;
use telemetry::settings::names::Variable;
use telemetry::settings::{Env, Settings as TelemetrySettings, SettingsError};

/// The URL of user-service.
pub(crate) const USER_SERVICE_URL: &str = "SIGHTLINE_USER_SERVICE_URL";

/// The URL of inventory-service.
const INVENTORY_SERVICE_URL: &str = "SIGHTLINE_INVENTORY_SERVICE_URL";

/// The default of `SIGHTLINE_HTTP_ADDRESS`.
const ADDRESS: SocketAddr = loopback(8081);

/// The default address of user-service.
const USER_SERVICE_ADDRESS: SocketAddr = loopback(8080);

/// The default address of inventory-service.
const INVENTORY_SERVICE_ADDRESS: SocketAddr = loopback(8082);

/// The file of the default database, in the working directory.
const DATABASE_FILE: &str = "order.db";

/// The timeout of a call to an upstream, including the whole response.
pub const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of the service. They are read once, when the service starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SIGHTLINE_HTTP_ADDRESS`: the address of the HTTP server, by default `127.0.0.1:8081`.
    pub address: SocketAddr,
    /// `DATABASE_URL`: the database of orders, by default the file `order.db`.
    pub database: DatabaseUrl,
    /// The upstreams.
    pub upstreams: Upstreams,
    /// `SIGHTLINE_FAULTS`: whether orders 998 and 999 exist. They belong to the users of the built-in faults.
    pub faults: bool,
    /// The value of `environment` in the baggage: `deployment.environment.name` from `OTEL_RESOURCE_ATTRIBUTES`, by
    /// default `development`.
    pub environment: String,
}

/// The upstreams: the services that this service calls.
#[derive(Clone, Debug)]
pub struct Upstreams {
    /// `SIGHTLINE_USER_SERVICE_URL`, by default `http://127.0.0.1:8080`.
    pub users: Url,
    /// `SIGHTLINE_INVENTORY_SERVICE_URL`, by default `http://127.0.0.1:8082`.
    pub inventory: Url,
    /// The timeout of a call: [`UPSTREAM_TIMEOUT`], except in tests.
    pub timeout: Duration,
}

impl Settings {
    /// Reads the settings from `env`. Returns an error for the first value that cannot be used.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let resource = TelemetrySettings::read(env)?.resource.attributes;
        let environment = resource.into_iter().find(|(key, _)| key == "deployment.environment.name");
        Ok(Self {
            address: address(env, HTTP_ADDRESS, ADDRESS)?,
            database: DatabaseUrl::read(env, DATABASE_FILE)?,
            upstreams: Upstreams {
                users: url(env, USER_SERVICE_URL, &service_url(USER_SERVICE_ADDRESS), &["http", "https"])?,
                // tonic is built without TLS, so an `https` URL is rejected. In a cluster, a service mesh can encrypt
                // the connection to inventory-service.
                inventory: url(
                    env,
                    INVENTORY_SERVICE_URL,
                    &service_url(INVENTORY_SERVICE_ADDRESS),
                    &["http"],
                )?,
                timeout: UPSTREAM_TIMEOUT,
            },
            faults: faults(env)?,
            environment: environment.map_or_else(|| "development".to_owned(), |(_, value)| value),
        })
    }
}

/// Returns the documentation of the variables, for `docs/settings.md`.
#[must_use]
pub fn variables() -> Vec<Variable> {
    let variable = |name, default: String, meaning| Variable { name, default: default.into(), meaning };
    vec![
        http_address(ADDRESS),
        database_url(DATABASE_FILE),
        variable(
            USER_SERVICE_URL,
            format!("`{}`", service_url(USER_SERVICE_ADDRESS)),
            "The URL of user-service. It begins with `http://` or `https://`.",
        ),
        variable(
            INVENTORY_SERVICE_URL,
            format!("`{}`", service_url(INVENTORY_SERVICE_ADDRESS)),
            "The URL of inventory-service. It begins with `http://`.",
        ),
        variable(
            FAULTS,
            format!("`{FAULTS_DEFAULT}`"),
            "`true` adds the orders of the built-in faults: requests for order 999 fail, and requests for order 998 \
             take one second.",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use telemetry::settings::MapEnv;

    use super::*;

    fn read(name: &str, value: &str) -> Result<Settings, SettingsError> {
        Settings::read(&MapEnv::from_iter([(name, value)]))
    }

    #[test]
    fn uses_the_documented_defaults() {
        let settings = read("X", "").unwrap();
        assert_eq!(settings.address.to_string(), "127.0.0.1:8081");
        assert_eq!(settings.upstreams.users.as_str(), "http://127.0.0.1:8080/");
        assert_eq!(settings.upstreams.inventory.as_str(), "http://127.0.0.1:8082/");
        assert_eq!(settings.upstreams.timeout, Duration::from_secs(5));
        assert_eq!((settings.environment.as_str(), settings.faults), ("development", false));
    }

    #[test]
    fn reads_the_environment_from_the_resource_attributes() {
        let settings = read("OTEL_RESOURCE_ATTRIBUTES", "a=b,deployment.environment.name=staging").unwrap();
        assert_eq!(settings.environment, "staging");
    }

    #[test]
    fn rejects_an_unusable_url_and_names_its_variable() {
        for (name, value) in [
            (USER_SERVICE_URL, "127.0.0.1:8080"),
            (USER_SERVICE_URL, "ftp://users"),
            (USER_SERVICE_URL, "http://users?x=1"),
            (INVENTORY_SERVICE_URL, "https://inventory:8082"),
            (INVENTORY_SERVICE_URL, "inventory"),
        ] {
            let error = read(name, value).expect_err(value);
            assert!(error.name() == name && error.to_string().contains(value), "{error}");
        }
        let secret = read(USER_SERVICE_URL, "http://me:hunter2@users").expect_err("a password");
        assert!(!secret.to_string().contains("hunter2"), "{secret}");
        assert!(read(USER_SERVICE_URL, "https://users.example.org/v1").is_ok());
    }
}
