//! Settings that services share: their names and documentation. A service chooses the defaults.
//!
//! The settings of the library are in [`telemetry::settings`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use telemetry::settings::names::Variable;
use telemetry::settings::{Env, SettingsError, flag, parse};
use url::Url;

/// The IP address and port of the HTTP server.
pub const HTTP_ADDRESS: &str = "SIGHTLINE_HTTP_ADDRESS";

/// The IP address and port of the gRPC server.
pub const GRPC_ADDRESS: &str = "SIGHTLINE_GRPC_ADDRESS";

/// The URL of the SQL database.
pub const DATABASE_URL: &str = "DATABASE_URL";

/// Whether the built-in faults of a service are on.
pub const FAULTS: &str = "SIGHTLINE_FAULTS";

/// The default of [`FAULTS`].
pub const FAULTS_DEFAULT: bool = false;

/// Returns the address of this port on the loopback interface.
#[must_use]
pub const fn loopback(port: u16) -> SocketAddr {
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

/// Returns the documentation of [`HTTP_ADDRESS`] for a service with this default.
#[must_use]
pub fn http_address(default: SocketAddr) -> Variable {
    Variable {
        name: HTTP_ADDRESS,
        default: format!("`{default}`").into(),
        meaning: "The IP address and port of the HTTP server. With port `0` the system chooses a free port, and the \
                  service logs it.",
    }
}

/// Returns the documentation of [`GRPC_ADDRESS`] for a service with this default.
#[must_use]
pub fn grpc_address(default: SocketAddr) -> Variable {
    Variable {
        name: GRPC_ADDRESS,
        default: format!("`{default}`").into(),
        meaning: "The IP address and port of the gRPC server. With port `0` the system chooses a free port, and the \
                  service logs it.",
    }
}

/// Returns the documentation of [`DATABASE_URL`] for a service whose default is the `SQLite` file `default_file`.
#[must_use]
pub fn database_url(default_file: &str) -> Variable {
    Variable {
        name: DATABASE_URL,
        default: format!("`{}`", sqlite_url(default_file)).into(),
        meaning: "The URL of the database: `sqlite://FILE?mode=rwc` or `postgres://USER:PASSWORD@HOST:PORT/NAME`. The \
                  URL is never shown.",
    }
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
        let default = loopback(8080);
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
