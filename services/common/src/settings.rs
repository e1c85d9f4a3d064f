//! Settings that several services have.

use std::net::SocketAddr;

use telemetry::settings::{Env, SettingsError, flag, parse};

/// Where HTTP is served: an address and a port.
pub const HTTP_ADDRESS: &str = "SIGHTLINE_HTTP_ADDRESS";

/// Where gRPC is served: an address and a port.
pub const GRPC_ADDRESS: &str = "SIGHTLINE_GRPC_ADDRESS";

/// Which SQL database keeps what the service knows.
pub const DATABASE_URL: &str = "DATABASE_URL";

/// Whether the built-in faults are on.
pub const FAULTS: &str = "SIGHTLINE_FAULTS";

/// Reads an address to listen on. Names are not taken: which of its addresses would be meant is not clear.
pub fn address(env: &dyn Env, name: &'static str, default: SocketAddr) -> Result<SocketAddr, SettingsError> {
    parse(env, name, default, "use an IP address and a port, such as 127.0.0.1:8080 or [::]:8080")
}

/// Reads [`FAULTS`]: off unless it is `1` or `true`.
pub fn faults(env: &dyn Env) -> Result<bool, SettingsError> {
    flag(env, FAULTS, false)
}

#[cfg(test)]
mod tests {
    use telemetry::settings::MapEnv;

    use super::*;

    #[test]
    fn addresses_of_either_family_are_taken_and_nothing_else() {
        let default = SocketAddr::from(([127, 0, 0, 1], 8080));
        let read = |value: &str| address(&MapEnv::from_iter([(HTTP_ADDRESS, value)]), HTTP_ADDRESS, default);
        assert_eq!(read(""), Ok(default));
        assert_eq!(read("0.0.0.0:80").map(|address| address.port()), Ok(80));
        assert_eq!(read("[::1]:0").map(|address| address.is_ipv6()), Ok(true));
        for bad in ["8080", ":8080", "localhost:8080", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn faults_are_off_unless_asked_for() {
        assert_eq!(faults(&MapEnv::default()), Ok(false));
        assert_eq!(faults(&MapEnv::from_iter([(FAULTS, "1")])), Ok(true));
        assert!(faults(&MapEnv::from_iter([(FAULTS, "maybe")])).is_err());
    }
}
