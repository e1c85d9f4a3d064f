//! The services' own settings, in one place.

use std::net::SocketAddr;

use telemetry::settings::names::Variable;
use telemetry::settings::{Env, SettingsError, flag, parse};

/// Where HTTP is served.
pub const HTTP_ADDRESS: &str = "SIGHTLINE_HTTP_ADDRESS";

/// Where gRPC is served.
pub const GRPC_ADDRESS: &str = "SIGHTLINE_GRPC_ADDRESS";

/// Which SQL database keeps what the service knows.
pub const DATABASE_URL: &str = "DATABASE_URL";

/// Where order-service finds user-service.
pub const USER_SERVICE_URL: &str = "SIGHTLINE_USER_SERVICE_URL";

/// Where order-service finds inventory-service.
pub const INVENTORY_SERVICE_URL: &str = "SIGHTLINE_INVENTORY_SERVICE_URL";

/// Whether the built-in faults are on.
pub const FAULTS: &str = "SIGHTLINE_FAULTS";

/// All of them, beside those of [`telemetry::settings::names`], in the order of the documentation.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: HTTP_ADDRESS,
        default: "127.0.0.1:8080 for user-service, 127.0.0.1:8081 for order-service",
        meaning: "The IP address and port on which HTTP is served; port 0 takes a free one and logs it.",
    },
    Variable {
        name: GRPC_ADDRESS,
        default: "127.0.0.1:8082",
        meaning: "The IP address and port on which inventory-service serves gRPC; port 0 takes a free one and logs it.",
    },
    Variable {
        name: DATABASE_URL,
        default: "sqlite://user.db?mode=rwc for user-service, sqlite://order.db?mode=rwc for order-service",
        meaning: "The store of user-service or order-service: `sqlite://FILE?mode=rwc` or \
                  `postgres://USER:PASSWORD@HOST:PORT/NAME`. Never shown.",
    },
    Variable {
        name: USER_SERVICE_URL,
        default: "http://127.0.0.1:8080",
        meaning: "Where order-service finds user-service: `http://` or `https://`.",
    },
    Variable {
        name: INVENTORY_SERVICE_URL,
        default: "http://127.0.0.1:8082",
        meaning: "Where order-service finds inventory-service: `http://`.",
    },
    Variable {
        name: FAULTS,
        default: "false",
        meaning: "`1` turns the built-in faults on: user and order 999 fail, user and order 998 take a second.",
    },
];

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
