//! What is in stock and what is set aside.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a fresh service has: each SKU and how many of it. A real shop would keep this in a store of its own; here it
/// is a place to call, and begins anew with the process.
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

/// The items of an order: quantity by SKU.
pub(crate) type Items = BTreeMap<String, u32>;

/// Stock in memory. What is set aside stays so; each reservation takes at least one piece, so there are never more
/// reservations than pieces.
#[derive(Debug)]
pub struct Stock {
    shelves: Mutex<Shelves>,
}

#[derive(Debug)]
struct Shelves {
    left: HashMap<&'static str, u32>,
    reserved: HashMap<i64, Items>,
}

/// Why nothing was set aside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReserveError {
    #[error("{0} is not kept")]
    Unknown(String),
    #[error("of {sku} {wanted} are wanted and {left} are left")]
    TooFew { sku: String, wanted: u32, left: u32 },
    #[error("order {0} has other items set aside")]
    Different(i64),
}

/// What was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) id: String,
    /// Whether it was there before.
    pub(crate) repeated: bool,
}

impl Stock {
    /// Full shelves.
    #[must_use]
    pub fn new(catalogue: &[(&'static str, u32)]) -> Self {
        let shelves = Shelves { left: catalogue.iter().copied().collect(), reserved: HashMap::new() };
        Self { shelves: Mutex::new(shelves) }
    }

    /// Sets all of `items` aside for the order, or nothing.
    pub(crate) fn reserve(&self, order: i64, items: Items) -> Result<Reservation, ReserveError> {
        let mut shelves = self.shelves();
        // Made from the order's id, so that it is the same after a restart and from any replica.
        let id = format!("R-{order}");
        match shelves.reserved.get(&order) {
            Some(reserved) if *reserved == items => return Ok(Reservation { id, repeated: true }),
            Some(_) => return Err(ReserveError::Different(order)),
            None => {}
        }
        for (sku, &wanted) in &items {
            match shelves.left.get(sku.as_str()) {
                None => return Err(ReserveError::Unknown(sku.clone())),
                Some(&left) if left < wanted => {
                    return Err(ReserveError::TooFew { sku: sku.clone(), wanted, left });
                }
                Some(_) => {}
            }
        }
        for (sku, wanted) in &items {
            if let Some(left) = shelves.left.get_mut(sku.as_str()) {
                *left -= wanted;
            }
        }
        shelves.reserved.insert(order, items);
        Ok(Reservation { id, repeated: false })
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        // A panic while it was held would have come before the first change or after the last.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items<const N: usize>(items: [(&str, u32); N]) -> Items {
        items.map(|(sku, quantity)| (sku.to_owned(), quantity)).into()
    }

    fn left(stock: &Stock) -> u32 {
        stock.shelves().left.values().sum()
    }

    #[test]
    fn asking_again_changes_nothing() {
        let stock = Stock::new(&[("A", 5)]);
        let first = stock.reserve(7, items([("A", 3)])).unwrap();
        let again = stock.reserve(7, items([("A", 3)])).unwrap();
        assert_eq!((first.id, first.repeated), (again.id, false));
        assert!(again.repeated);
        assert_eq!(left(&stock), 2);
        assert_eq!(stock.reserve(7, items([("A", 1)])), Err(ReserveError::Different(7)));
    }

    #[test]
    fn all_is_set_aside_or_nothing() {
        let stock = Stock::new(&[("A", 5), ("B", 1)]);
        let too_few = ReserveError::TooFew { sku: "B".into(), wanted: 2, left: 1 };
        assert_eq!(stock.reserve(1, items([("A", 5), ("B", 2)])), Err(too_few));
        assert_eq!(stock.reserve(1, items([("A", 5), ("C", 1)])), Err(ReserveError::Unknown("C".into())));
        assert_eq!(left(&stock), 6);
        assert!(stock.reserve(1, items([("A", 5), ("B", 1)])).is_ok());
        assert_eq!(left(&stock), 0);
    }

    proptest! {
        #[test]
        fn pieces_are_neither_made_nor_lost(orders in prop::collection::vec((1_i64..20, 1_u32..10, 1_u32..10), 0..60)) {
            let stock = Stock::new(&[("A", 100), ("B", 100)]);
            for (order, a, b) in orders {
                let _ = stock.reserve(order, items([("A", a), ("B", b)]));
            }
            let reserved: u32 = stock.shelves().reserved.values().flat_map(BTreeMap::values).sum();
            prop_assert_eq!(left(&stock) + reserved, 200);
        }
    }
}
