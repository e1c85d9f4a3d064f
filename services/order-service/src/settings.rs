//! The settings of the service, in addition to the telemetry library's settings.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Url;
use service_common::settings::{
    HTTP_ADDRESS, INVENTORY_SERVICE_ADDRESS, INVENTORY_SERVICE_URL, ORDER_DATABASE_FILE,
    ORDER_SERVICE_ADDRESS, USER_SERVICE_ADDRESS, USER_SERVICE_URL, address, faults, service_url, url,
};
use service_common::store::DatabaseUrl;
use telemetry::settings::{Env, Settings as TelemetrySettings, SettingsError};

/// The timeout of a call to an upstream, including the whole response.
pub const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings of the service. They are read once, when the service starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SIGHTLINE_HTTP_ADDRESS`: the address of the HTTP server, by default [`ORDER_SERVICE_ADDRESS`].
    pub address: SocketAddr,
    /// `DATABASE_URL`: the database of orders, by default the file [`ORDER_DATABASE_FILE`].
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
    /// `SIGHTLINE_USER_SERVICE_URL`, by default the URL of [`USER_SERVICE_ADDRESS`].
    pub users: Url,
    /// `SIGHTLINE_INVENTORY_SERVICE_URL`, by default the URL of [`INVENTORY_SERVICE_ADDRESS`].
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
            address: address(env, HTTP_ADDRESS, ORDER_SERVICE_ADDRESS)?,
            database: DatabaseUrl::read(env, ORDER_DATABASE_FILE)?,
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
