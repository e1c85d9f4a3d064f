//! The settings of the example services: their names, defaults and documentation.
//!
//! The settings of the library are in [`telemetry::settings`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use telemetry::settings::names::Variable;
use telemetry::settings::{Env, SettingsError, flag, parse};
use url::Url;

/// The IP address and port of the HTTP server of user-service and order-service.
pub const HTTP_ADDRESS: &str = "SIGHTLINE_HTTP_ADDRESS";

/// The IP address and port of the gRPC server of inventory-service.
pub const GRPC_ADDRESS: &str = "SIGHTLINE_GRPC_ADDRESS";

/// The URL of the SQL database of user-service or order-service.
pub const DATABASE_URL: &str = "DATABASE_URL";

/// The URL that order-service uses for user-service.
pub const USER_SERVICE_URL: &str = "SIGHTLINE_USER_SERVICE_URL";

/// The URL that order-service uses for inventory-service.
pub const INVENTORY_SERVICE_URL: &str = "SIGHTLINE_INVENTORY_SERVICE_URL";

/// Whether the built-in faults are on: requests for user 998 and order 998 are slow, and requests for user 999 and
/// order 999 fail.
pub const FAULTS: &str = "SIGHTLINE_FAULTS";

/// The default of [`HTTP_ADDRESS`] in user-service. The default of [`USER_SERVICE_URL`] is the URL of this address.
pub const USER_SERVICE_ADDRESS: SocketAddr = loopback(8080);

/// The default of [`HTTP_ADDRESS`] in order-service.
pub const ORDER_SERVICE_ADDRESS: SocketAddr = loopback(8081);

/// The default of [`GRPC_ADDRESS`]. The default of [`INVENTORY_SERVICE_URL`] is the URL of this address.
pub const INVENTORY_SERVICE_ADDRESS: SocketAddr = loopback(8082);

/// The file of the default database of user-service, in the working directory.
pub const USER_DATABASE_FILE: &str = "user.db";

/// The file of the default database of order-service, in the working directory.
pub const ORDER_DATABASE_FILE: &str = "order.db";

const FAULTS_DEFAULT: bool = false;

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// Returns the URL of a service that listens on `address` without TLS.
#[must_use]
pub fn service_url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Returns the URL of the `SQLite` database in `file`. The first connection creates the file.
pub(crate) fn sqlite_url(file: &str) -> String {
    format!("sqlite://{file}?mode=rwc")
}

/// Returns the documentation of all variables of the example services, in the order of `docs/settings.md`. The
/// variables of the library are in [`telemetry::settings::names::VARIABLES`].
#[must_use]
pub fn variables() -> Vec<Variable> {
    let (user_database, order_database) = (sqlite_url(USER_DATABASE_FILE), sqlite_url(ORDER_DATABASE_FILE));
    let variable = |name, default: String, meaning| Variable { name, default: default.into(), meaning };
    vec![
        variable(
            HTTP_ADDRESS,
            format!("`{USER_SERVICE_ADDRESS}` for user-service, `{ORDER_SERVICE_ADDRESS}` for order-service"),
            "The IP address and port of the HTTP server. With port `0` the system chooses a free port, and the \
             service logs it.",
        ),
        variable(
            GRPC_ADDRESS,
            format!("`{INVENTORY_SERVICE_ADDRESS}`"),
            "The IP address and port of the gRPC server of inventory-service. With port `0` the system chooses a \
             free port, and the service logs it.",
        ),
        variable(
            DATABASE_URL,
            format!("`{user_database}` for user-service, `{order_database}` for order-service"),
            "The URL of the database of user-service or order-service: `sqlite://FILE?mode=rwc` or \
             `postgres://USER:PASSWORD@HOST:PORT/NAME`. The URL is never shown.",
        ),
        variable(
            USER_SERVICE_URL,
            format!("`{}`", service_url(USER_SERVICE_ADDRESS)),
            "The URL that order-service uses for user-service. It begins with `http://` or `https://`.",
        ),
        variable(
            INVENTORY_SERVICE_URL,
            format!("`{}`", service_url(INVENTORY_SERVICE_ADDRESS)),
            "The URL that order-service uses for inventory-service. It begins with `http://`.",
        ),
        variable(
            FAULTS,
            format!("`{FAULTS_DEFAULT}`"),
            "`true` turns on the built-in faults: requests for user 999 and order 999 fail, and requests for user 998 \
             and order 998 take one second.",
        ),
    ]
}

/// Reads the address of a server, or returns `default` if `name` is unset.
///
/// The value must be an IP address and a port. A host name is rejected, because it can stand for several addresses.
pub fn address(env: &dyn Env, name: &'static str, default: SocketAddr) -> Result<SocketAddr, SettingsError> {
    parse(env, name, default, "use an IP address and a port, such as 127.0.0.1:8080 or [::]:8080")
}

/// Reads the URL of a service, whose scheme must be one of `schemes`. Rejects a URL with a user or a password, because the clients would not send these
/// credentials. The error does not show such a URL.
pub fn url(env: &dyn Env, name: &'static str, default: &str, schemes: &[&str]) -> Result<Url, SettingsError> {
    let value = env.get(name).unwrap_or_else(|| default.to_owned());
    let remedy = format!("use {}://HOST:PORT", schemes.join(":// or "));
    if value.contains('@') {
        return Err(SettingsError::secret(name, format!("{remedy}, without a user or a password")));
    }
    let is_valid = |url: &Url| {
        schemes.contains(&url.scheme()) && url.has_host() && url.query().is_none() && url.fragment().is_none()
    };
    Url::parse(&value).ok().filter(is_valid).ok_or_else(|| SettingsError::new(name, value, remedy))
}

/// Reads [`FAULTS`].
pub fn faults(env: &dyn Env) -> Result<bool, SettingsError> {
    flag(env, FAULTS, FAULTS_DEFAULT)
}

#[cfg(test)]
mod tests {
    use telemetry::settings::MapEnv;

    use super::*;

    #[test]
    fn accepts_only_ip_addresses_with_a_port() {
        let default = USER_SERVICE_ADDRESS;
        let read = |value: &str| address(&MapEnv::from_iter([(HTTP_ADDRESS, value)]), HTTP_ADDRESS, default);
        assert_eq!(read(""), Ok(default));
        assert_eq!(read("0.0.0.0:80").map(|address| address.port()), Ok(80));
        assert_eq!(read("[::1]:0").map(|address| address.is_ipv6()), Ok(true));
        for invalid in ["8080", ":8080", "localhost:8080", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(read(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn reads_faults_as_a_flag() {
        assert_eq!(faults(&MapEnv::default()), Ok(false));
        assert_eq!(faults(&MapEnv::from_iter([(FAULTS, "1")])), Ok(true));
        assert!(faults(&MapEnv::from_iter([(FAULTS, "maybe")])).is_err());
    }
}
