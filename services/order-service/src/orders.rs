//! The order store.

use serde::Serialize;
use service_common::store::{DatabaseUrl, Migration, Migrations, OpenError, Store};
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row as _};
use telemetry::db::Query;

const MIGRATIONS: Migrations = Migrations {
    table: "order_service_migrations",
    list: &[Migration {
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

/// An order, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The ID of the order.
    pub id: i64,
    /// The ID of the user who placed the order.
    pub user_id: i64,
    /// The items, at least one.
    pub items: Vec<Item>,
}

/// A product and its quantity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The stock keeping unit (SKU), which identifies the product in inventory-service.
    pub sku: String,
    /// The number of pieces, at least 1.
    pub quantity: u32,
}

/// One row of the query: an item and its order's user.
struct ItemRow {
    user_id: i64,
    sku: String,
    quantity: i64,
}

impl FromRow<'_, AnyRow> for ItemRow {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            user_id: row.try_get("user_id")?,
            sku: row.try_get("sku")?,
            quantity: row.try_get("quantity")?,
        })
    }
}

/// The reason why an order was not read: the database call failed.
#[derive(Debug, thiserror::Error)]
#[error("the order store failed")]
pub struct OrderStoreError(#[from] pub(crate) sqlx::Error);

/// The reason why the order store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OrderStoreOpenError {
    /// The connection or a migration failed.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The orders of the built-in faults cannot be added or removed.
    #[error("cannot add or remove the orders of the built-in faults (SIGHTLINE_FAULTS)")]
    Faults(#[from] sqlx::Error),
}

/// The order store. Clones are cheap and share the connections.
#[derive(Clone, Debug)]
pub struct OrderStore {
    store: Store,
}

impl OrderStore {
    /// Opens the store. A new store contains orders 1 to 100.
    ///
    /// Orders 998 and 999 exist only if `faults` is true. They belong to the users of the built-in faults: reading user
    /// 998 is slow, and reading user 999 fails.
    pub async fn open(url: &DatabaseUrl, faults: bool) -> Result<Self, OrderStoreOpenError> {
        let store = Store::open(url, MIGRATIONS).await?;
        for statement in if faults { &ADD_FAULTS[..] } else { &REMOVE_FAULTS } {
            sqlx::query(*statement).execute(store.pool()).await?;
        }
        Ok(Self { store })
    }

    /// Reads an order. Returns `None` if there is no order with this ID.
    #[tracing::instrument(name = "read_order", skip_all, fields(order.id = id))]
    pub async fn read(&self, id: i64) -> Result<Option<Order>, OrderStoreError> {
        let rows = sqlx::query_as(READ.text).bind(id).fetch_all(self.store.pool());
        let rows: Vec<ItemRow> = self
            .store
            .call(&READ, rows)
            .await
            .map_err(OrderStoreError)
            .inspect_err(telemetry::span::record_error)?;
        let Some(user_id) = rows.first().map(|row| row.user_id) else { return Ok(None) };
        let items = rows.into_iter().filter_map(|row| {
            // The conversion does not fail, because the column's CHECK constraint allows only positive numbers.
            Some(Item { sku: row.sku, quantity: u32::try_from(row.quantity).ok()? })
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

    use service_common::testing::assert_files_match;

    use super::*;

    #[test]
    fn lists_every_migration_file() {
        assert_files_match(Path::new(env!("CARGO_MANIFEST_DIR")), &MIGRATIONS);
    }
}
