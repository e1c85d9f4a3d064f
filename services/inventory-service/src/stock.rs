//! The stock and its reservations.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The initial stock: each SKU with its quantity.
///
/// A real shop would keep its stock in a database. In this example, the stock is in memory, so a restart resets the
/// stock.
pub const CATALOGUE: &[(&str, u32)] = &[
    ("BOLT-M6", 100_000),
    ("BOLT-M8", 100_000),
    ("GEAR-20", 10_000),
    ("GEAR-40", 10_000),
    ("LENS-35", 5_000),
    ("LENS-50", 5_000),
    ("MOTOR-12V", 5_000),
    ("PANEL-A4", 20_000),
    ("SENSOR-IR", 20_000),
    ("SENSOR-UV", 20_000),
];

/// The items of an order: the quantity of each SKU.
pub(crate) type Items = BTreeMap<String, u32>;

/// The stock and its reservations, in memory.
///
/// Reservations are never removed. There cannot be more reservations than pieces in the initial stock, because each
/// reservation takes at least one piece.
#[derive(Debug)]
pub struct Stock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The available quantity of each SKU.
    available: HashMap<&'static str, u32>,
    /// The reserved items of each order, by order ID.
    reservations: HashMap<i64, Items>,
}

/// The reason why nothing was reserved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReserveError {
    #[error("SKU {0} does not exist")]
    UnknownSku(String),
    #[error("the stock of {sku} is too low: {requested} requested, {available} available")]
    InsufficientStock { sku: String, requested: u32, available: u32 },
    #[error("other items are already reserved for order {0}")]
    DifferentItems(i64),
}

/// A reservation for one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) id: String,
    /// Whether an earlier request made the reservation.
    pub(crate) repeated: bool,
}

impl Stock {
    /// Creates stock with these quantities and without reservations.
    #[must_use]
    pub fn new(catalogue: &[(&'static str, u32)]) -> Self {
        let state = State { available: catalogue.iter().copied().collect(), reservations: HashMap::new() };
        Self { state: Mutex::new(state) }
    }

    /// Reserves all of `items` for the order, or nothing.
    pub(crate) fn reserve(&self, order: i64, items: Items) -> Result<Reservation, ReserveError> {
        let mut state = self.lock();
        // The reservation ID is derived from the order ID, so it is the same after a restart and in every replica.
        let id = format!("R-{order}");
        match state.reservations.get(&order) {
            Some(reserved) if *reserved == items => return Ok(Reservation { id, repeated: true }),
            Some(_) => return Err(ReserveError::DifferentItems(order)),
            None => {}
        }
        for (sku, &requested) in &items {
            match state.available.get(sku.as_str()) {
                None => return Err(ReserveError::UnknownSku(sku.clone())),
                Some(&available) if available < requested => {
                    return Err(ReserveError::InsufficientStock { sku: sku.clone(), requested, available });
                }
                Some(_) => {}
            }
        }
        for (sku, requested) in &items {
            if let Some(available) = state.available.get_mut(sku.as_str()) {
                *available -= requested;
            }
        }
        state.reservations.insert(order, items);
        Ok(Reservation { id, repeated: false })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent even if the lock is poisoned: no code between the first and the last change of the
        // state can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items<const N: usize>(items: [(&str, u32); N]) -> Items {
        items.map(|(sku, quantity)| (sku.to_owned(), quantity)).into()
    }

    fn available(stock: &Stock) -> u32 {
        stock.lock().available.values().sum()
    }

    #[test]
    fn repeated_requests_reserve_nothing_more() {
        let stock = Stock::new(&[("A", 5)]);
        let first = stock.reserve(7, items([("A", 3)])).unwrap();
        let again = stock.reserve(7, items([("A", 3)])).unwrap();
        assert_eq!((first.id, first.repeated), (again.id, false));
        assert!(again.repeated);
        assert_eq!(available(&stock), 2);
        assert_eq!(stock.reserve(7, items([("A", 1)])), Err(ReserveError::DifferentItems(7)));
    }

    #[test]
    fn reserves_all_items_or_nothing() {
        let stock = Stock::new(&[("A", 5), ("B", 1)]);
        let too_low = ReserveError::InsufficientStock { sku: "B".into(), requested: 2, available: 1 };
        assert_eq!(stock.reserve(1, items([("A", 5), ("B", 2)])), Err(too_low));
        assert_eq!(stock.reserve(1, items([("A", 5), ("C", 1)])), Err(ReserveError::UnknownSku("C".into())));
        assert_eq!(available(&stock), 6);
        assert!(stock.reserve(1, items([("A", 5), ("B", 1)])).is_ok());
        assert_eq!(available(&stock), 0);
    }

    proptest! {
        #[test]
        fn available_and_reserved_pieces_add_up_to_the_initial_stock(
            orders in prop::collection::vec((1_i64..20, 1_u32..10, 1_u32..10), 0..60),
        ) {
            let stock = Stock::new(&[("A", 100), ("B", 100)]);
            for (order, a, b) in orders {
                let _ = stock.reserve(order, items([("A", a), ("B", b)]));
            }
            let reserved: u32 = stock.lock().reservations.values().flat_map(BTreeMap::values).sum();
            prop_assert_eq!(available(&stock) + reserved, 200);
        }
    }
}
