//! The seeded orders against inventory-service's catalogue, and the store on a real `PostgreSQL` where there is one to start.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where its tools fail")]

use std::collections::BTreeMap;

use inventory_service::CATALOGUE;
use order_service::Orders;
use service_common::testing::{Postgres, sqlite};

/// Every order of a fresh store, and whether there is a hundredth and no more.
async fn check(orders: &Orders) -> Vec<order_service::Order> {
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
async fn every_order_can_be_reserved_from_a_fresh_stock() {
    let directory = tempfile::tempdir().unwrap();
    let orders = Orders::open(&sqlite(directory.path()), false).await.unwrap();
    let mut left: BTreeMap<_, _> = CATALOGUE.iter().copied().collect();
    for item in check(&orders).await.into_iter().flat_map(|order| order.items) {
        let left = left.get_mut(item.sku.as_str()).unwrap_or_else(|| panic!("{} is not kept", item.sku));
        *left = left.checked_sub(item.quantity).unwrap_or_else(|| panic!("too little of {}", item.sku));
    }
}

#[tokio::test]
async fn postgres_holds_the_same_orders() {
    let Some(postgres) = Postgres::start() else { return };
    let directory = tempfile::tempdir().unwrap();
    let orders = Orders::open(&sqlite(directory.path()), false).await.unwrap();
    let same = Orders::open(&postgres.url(), true).await.unwrap();
    assert_eq!(check(&same).await, check(&orders).await);
    assert_eq!(same.read(999).await.unwrap().map(|order| order.user_id), Some(999));

    // user-service may share the database.
    let users = user_service::Users::open(&postgres.url(), false).await.unwrap();
    users.close().await;
    let same = Orders::open(&postgres.url(), false).await.unwrap();
    assert_eq!(same.read(999).await.unwrap(), None);
    same.close().await;
}
