//! The store of orders.

use serde::Serialize;
use service_common::store::{DatabaseUrl, Migrations, OpenError, Step, Store};
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row as _};
use telemetry::db::Query;

const MIGRATIONS: Migrations = Migrations {
    table: "order_service_migrations",
    steps: &[Step {
        name: "orders",
        sqlite: include_str!("../migrations/sqlite/1_orders.sql"),
        postgres: include_str!("../migrations/postgres/1_orders.sql"),
    }],
};

const READ: Query = Query {
    operation: "SELECT",
    collection: "orders",
    text: "SELECT user_id, sku, quantity FROM orders JOIN order_items ON order_items.order_id = orders.id \
           WHERE orders.id = $1 ORDER BY sku",
};

const ADD_FAULTS: [&str; 2] = [
    "INSERT INTO orders (id, user_id) VALUES (998, 998), (999, 999) ON CONFLICT DO NOTHING",
    "INSERT INTO order_items (order_id, sku, quantity) VALUES (998, 'GEAR-20', 1), (999, 'GEAR-20', 1) \
     ON CONFLICT DO NOTHING",
];

const REMOVE_FAULTS: [&str; 1] = ["DELETE FROM orders WHERE id IN (998, 999)"];

/// An order as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Given by the store.
    pub id: i64,
    /// Whose it is: an id of user-service.
    pub user_id: i64,
    /// At least one.
    pub items: Vec<Item>,
}

/// So many of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The stock keeping unit, as inventory-service calls it.
    pub sku: String,
    /// At least 1.
    pub quantity: u32,
}

struct Line {
    user_id: i64,
    sku: String,
    quantity: i64,
}

impl FromRow<'_, AnyRow> for Line {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            user_id: row.try_get("user_id")?,
            sku: row.try_get("sku")?,
            quantity: row.try_get("quantity")?,
        })
    }
}

/// Why an order was not read.
#[derive(Debug, thiserror::Error)]
#[error("the store of orders failed")]
pub struct OrdersError(#[from] pub(crate) sqlx::Error);

/// Why the store of orders cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenOrdersError {
    /// The database cannot be reached or migrated.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The orders of the built-in faults could be neither added nor removed.
    #[error("the orders of the built-in faults cannot be set up")]
    Faults(#[from] sqlx::Error),
}

/// The store. Cloning it is cheap and shares the connections.
#[derive(Clone, Debug)]
pub struct Orders {
    store: Store,
}

impl Orders {
    /// Opens the store, with orders 1 to 100 in it when it is new. Orders 998 and 999, of the users who are slow and
    /// who fail, are in it while `faults` is on and not otherwise.
    pub async fn open(url: &DatabaseUrl, faults: bool) -> Result<Self, OpenOrdersError> {
        let store = Store::open(url, MIGRATIONS).await?;
        for statement in if faults { &ADD_FAULTS[..] } else { &REMOVE_FAULTS } {
            sqlx::query(*statement).execute(store.pool()).await?;
        }
        Ok(Self { store })
    }

    /// The order of this id, if there is one.
    #[tracing::instrument(name = "read_order", skip_all, fields(order.id = id))]
    pub async fn read(&self, id: i64) -> Result<Option<Order>, OrdersError> {
        let lines = sqlx::query_as(READ.text).bind(id).fetch_all(self.store.pool());
        let lines: Vec<Line> = self
            .store
            .call(&READ, lines)
            .await
            .map_err(OrdersError)
            .inspect_err(telemetry::span::record_error)?;
        let Some(user_id) = lines.first().map(|line| line.user_id) else { return Ok(None) };
        let items = lines.into_iter().filter_map(|line| {
            // The column's check lets no negative number in.
            Some(Item { sku: line.sku, quantity: u32::try_from(line.quantity).ok()? })
        });
        Ok(Some(Order { id, user_id, items: items.collect() }))
    }

    /// Closes the store's connections.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use service_common::testing::every_file_is_a_step;

    use super::*;

    #[test]
    fn every_migration_is_listed() {
        every_file_is_a_step(Path::new(env!("CARGO_MANIFEST_DIR")), &MIGRATIONS);
    }
}
