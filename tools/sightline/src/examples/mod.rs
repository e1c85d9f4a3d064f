//! The example services of this repository, which a team replaces with its own services.

mod edit;
mod remove;

use crate::stack::StackSpec;

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

/// Returns the examples that a services file does not describe.
#[must_use]
pub fn missing(spec: &StackSpec) -> Vec<&'static str> {
    let mut missing = EXAMPLES.to_vec();
    missing.retain(|name| spec.get(name).is_none());
    missing
}
