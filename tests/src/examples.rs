//! The example services of this repository, as the tests of the examples know them. A team removes the examples and puts
//! its own services in, so only tests that are about the examples use this module.

use anyhow::Result;
use sightline::examples;
use sightline::stack::StackSpec;
use sightline::stack::spec::FILE_NAME;

use crate::test_stack::root;

/// The service that receives orders.
pub const ORDER_SERVICE: &str = "order-service";

/// The shape of an order's trace if the caller has its own span (see [`outline`](crate::outline::outline())).
pub const ORDER: &str = "\
^ order-service server GET /orders/{id}
  order-service internal read_order
    order-service client SELECT orders
  order-service internal read_user
    order-service client GET /users/{id}
      user-service server GET /users/{id}
        user-service internal read_user
          user-service client SELECT users
  order-service internal reserve_items
    order-service client sightline.inventory.v1.Inventory/Reserve
      inventory-service server sightline.inventory.v1.Inventory/Reserve
        inventory-service internal reserve_stock
";

/// The shape of the trace of a request for a user if the caller has its own span (see
/// [`outline`](crate::outline::outline())).
pub const USER: &str = "\
^ user-service server GET /users/{id}
  user-service internal read_user
    user-service client SELECT users
";

/// Returns why the tests of the examples cannot run, or `None` if `sightline.toml` has all examples.
pub fn skip_reason() -> Result<Option<String>> {
    let spec = StackSpec::load(&root().join(FILE_NAME))?;
    let missing = examples::missing(|name| spec.get(name).is_some());
    Ok((!missing.is_empty()).then(|| format!("{FILE_NAME} does not have {}", missing.join(", "))))
}
