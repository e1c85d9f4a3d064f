//! The example services of this repository, which a team replaces with its own services.

mod edit;
mod remove;

pub use remove::{Removal, RemoveError};

/// The service that receives orders over HTTP.
pub const ORDER_SERVICE: &str = "order-service";
/// The service that stores users.
pub const USER_SERVICE: &str = "user-service";
/// The service that reserves stock over gRPC.
pub const INVENTORY_SERVICE: &str = "inventory-service";

/// The names of the examples. Each example is a service of `sightline.toml` and of the chart, and a Cargo package of the
/// same name in `services/`.
pub const EXAMPLES: [&str; 3] = [ORDER_SERVICE, USER_SERVICE, INVENTORY_SERVICE];

/// Returns the directory of an example, relative to the root of the checkout.
#[must_use]
fn directory(name: &str) -> String {
    format!("services/{name}")
}

/// Returns the examples for which `exists` is false.
pub fn missing(exists: impl Fn(&str) -> bool) -> Vec<&'static str> {
    EXAMPLES.into_iter().filter(|name| !exists(name)).collect()
}
