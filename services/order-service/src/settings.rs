//! What can be set of this service, beside telemetry's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::Url;
use service_common::settings::{HTTP_ADDRESS, INVENTORY_SERVICE_URL, USER_SERVICE_URL, address, faults};
use service_common::store::DatabaseUrl;
use telemetry::settings::{Env, Settings as TelemetrySettings, SettingsError};

/// How long another service may take for a call, its whole answer included.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Everything, read once at start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `SIGHTLINE_HTTP_ADDRESS`: where requests are taken, 127.0.0.1:8081 by default.
    pub address: SocketAddr,
    /// `DATABASE_URL`: where orders are kept, the file `order.db` in the working directory by default.
    pub database: DatabaseUrl,
    /// The services that are called.
    pub upstreams: Upstreams,
    /// `SIGHTLINE_FAULTS`: whether there are orders 998 and 999, of the users who are slow and who fail.
    pub faults: bool,
    /// `deployment.environment.name` of `OTEL_RESOURCE_ATTRIBUTES`, or `development`: goes into baggage.
    pub environment: String,
}

/// The services that are called.
#[derive(Clone, Debug)]
pub struct Upstreams {
    /// `SIGHTLINE_USER_SERVICE_URL`, <http://127.0.0.1:8080> by default.
    pub users: Url,
    /// `SIGHTLINE_INVENTORY_SERVICE_URL`, <http://127.0.0.1:8082> by default.
    pub inventory: Url,
    /// [`DEADLINE`], but for tests.
    pub deadline: Duration,
}

impl Settings {
    /// Reads them from `env`; the first that cannot be used is the error.
    pub fn read(env: &dyn Env) -> Result<Self, SettingsError> {
        let resource = TelemetrySettings::read(env)?.resource.attributes;
        let environment = resource.into_iter().find(|(key, _)| key == "deployment.environment.name");
        Ok(Self {
            address: address(env, HTTP_ADDRESS, (Ipv4Addr::LOCALHOST, 8081).into())?,
            database: DatabaseUrl::read(env, "order.db")?,
            upstreams: Upstreams {
                users: url(env, USER_SERVICE_URL, "http://127.0.0.1:8080", &["http", "https"])?,
                // tonic is built without TLS: inside a cluster that is a mesh's part.
                inventory: url(env, INVENTORY_SERVICE_URL, "http://127.0.0.1:8082", &["http"])?,
                deadline: DEADLINE,
            },
            faults: faults(env)?,
            environment: environment.map_or_else(|| "development".to_owned(), |(_, value)| value),
        })
    }
}

/// A URL under which a service is found. It may hold a password, which nothing here would send: it is refused
/// without being shown.
fn url(env: &dyn Env, name: &'static str, default: &str, schemes: &[&str]) -> Result<Url, SettingsError> {
    let value = env.get(name).unwrap_or_else(|| default.to_owned());
    let remedy = format!("use {}://HOST:PORT", schemes.join(":// or "));
    if value.contains('@') {
        return Err(SettingsError::secret(name, format!("{remedy}, without a user or a password")));
    }
    let plain = |url: &Url| {
        schemes.contains(&url.scheme()) && url.has_host() && url.query().is_none() && url.fragment().is_none()
    };
    Url::parse(&value).ok().filter(plain).ok_or_else(|| SettingsError::new(name, value, remedy))
}

#[cfg(test)]
mod tests {
    use telemetry::settings::MapEnv;

    use super::*;

    fn read(name: &str, value: &str) -> Result<Settings, SettingsError> {
        Settings::read(&MapEnv::from_iter([(name, value)]))
    }

    #[test]
    fn nothing_set_gives_the_documented_defaults() {
        let settings = read("X", "").unwrap();
        assert_eq!(settings.address.to_string(), "127.0.0.1:8081");
        assert_eq!(settings.upstreams.users.as_str(), "http://127.0.0.1:8080/");
        assert_eq!(settings.upstreams.inventory.as_str(), "http://127.0.0.1:8082/");
        assert_eq!(settings.upstreams.deadline, Duration::from_secs(5));
        assert_eq!((settings.environment.as_str(), settings.faults), ("development", false));
    }

    #[test]
    fn the_environment_is_that_of_the_resource() {
        let settings = read("OTEL_RESOURCE_ATTRIBUTES", "a=b,deployment.environment.name=staging").unwrap();
        assert_eq!(settings.environment, "staging");
    }

    #[test]
    fn a_url_that_cannot_be_called_is_refused_by_its_name() {
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
