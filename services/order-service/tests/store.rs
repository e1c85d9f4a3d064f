//! Tests of the store. The stock of inventory-service must suffice for the seeded orders, and `PostgreSQL` and `SQLite`
//! must hold the same orders.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed unwrap in a helper should fail the test"
)]

use std::collections::BTreeMap;

use inventory_service::CATALOGUE;
use order_service::{Order, OrderStore};
use service_common::testing::{Postgres, sqlite};

/// Reads all orders of a new store. Asserts that there are exactly 100, each with two to four items.
async fn read_all(orders: &OrderStore) -> Vec<Order> {
    let mut all = Vec::new();
    for id in 1..=100 {
        let order = orders.read(id).await.unwrap().expect("an order is missing");
        assert_eq!((order.id, order.user_id), (id, id));
        assert!((2..=4).contains(&order.items.len()), "{order:?}");
        all.push(order);
    }
    assert_eq!(orders.read(101).await.unwrap(), None);
    all
}

#[tokio::test]
async fn initial_stock_suffices_for_all_seeded_orders() {
    let directory = tempfile::tempdir().unwrap();
    let orders = OrderStore::open(&sqlite(directory.path()), false).await.unwrap();
    let mut stock: BTreeMap<_, _> = CATALOGUE.iter().copied().collect();
    for item in read_all(&orders).await.into_iter().flat_map(|order| order.items) {
        let available = stock.get_mut(item.sku.as_str()).unwrap_or_else(|| panic!("no SKU {}", item.sku));
        *available = available
            .checked_sub(item.quantity)
            .unwrap_or_else(|| panic!("not enough stock of {}", item.sku));
    }
}

#[tokio::test]
async fn postgres_and_sqlite_hold_the_same_orders() {
    let Some(postgres) = Postgres::start() else { return };
    let directory = tempfile::tempdir().unwrap();
    let sqlite_orders = OrderStore::open(&sqlite(directory.path()), false).await.unwrap();
    let postgres_orders = OrderStore::open(&postgres.url(), true).await.unwrap();
    assert_eq!(read_all(&postgres_orders).await, read_all(&sqlite_orders).await);
    assert_eq!(postgres_orders.read(999).await.unwrap().map(|order| order.user_id), Some(999));

    // user-service can use the same database.
    let users = user_service::UserStore::open(&postgres.url(), false).await.unwrap();
    users.close().await;
    let postgres_orders = OrderStore::open(&postgres.url(), false).await.unwrap();
    assert_eq!(postgres_orders.read(999).await.unwrap(), None);
    postgres_orders.close().await;
}
