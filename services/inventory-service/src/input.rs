//! What a caller may ask for.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::proto::ReserveRequest;
use crate::stock::Items;

/// Items of one order.
const MAX_ITEMS: usize = 100;

/// Characters of a SKU.
const MAX_SKU: usize = 32;

/// Pieces of one SKU.
const MAX_QUANTITY: u32 = 1_000;

/// Checks a request. What is wrong stands in the status as a `google.rpc.BadRequest`, every field of it, and never
/// with the text that was sent.
pub(crate) fn items(request: ReserveRequest) -> Result<Items, Status> {
    let mut violations = ErrorDetails::new();
    if request.order_id <= 0 {
        violations.add_bad_request_violation("order_id", "must be positive");
    }
    if request.items.is_empty() || request.items.len() > MAX_ITEMS {
        violations.add_bad_request_violation("items", "must be 1 to 100");
        // What is in too many is not worth a look.
        return Err(refusal(violations));
    }
    let mut items = Items::new();
    for (index, item) in request.items.into_iter().enumerate() {
        if !is_sku(&item.sku) {
            let field = format!("items[{index}].sku");
            violations.add_bad_request_violation(field, "must be 1 to 32 of A-Z, 0-9 and -");
        }
        if !(1..=MAX_QUANTITY).contains(&item.quantity) {
            violations.add_bad_request_violation(format!("items[{index}].quantity"), "must be 1 to 1000");
        }
        if items.insert(item.sku, item.quantity).is_some() {
            violations.add_bad_request_violation(format!("items[{index}].sku"), "must not be repeated");
        }
    }
    if violations.has_bad_request_violations() { Err(refusal(violations)) } else { Ok(items) }
}

fn is_sku(text: &str) -> bool {
    (1..=MAX_SKU).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-')
}

fn refusal(violations: ErrorDetails) -> Status {
    Status::with_error_details(Code::InvalidArgument, "the request is not valid", violations)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::Item;

    fn request(order_id: i64, items: &[(&str, u32)]) -> ReserveRequest {
        let items = items.iter().map(|&(sku, quantity)| Item { sku: sku.to_owned(), quantity }).collect();
        ReserveRequest { order_id, items }
    }

    fn fields(request: ReserveRequest) -> Vec<String> {
        let status = items(request).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_details_bad_request().unwrap();
        details.field_violations.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn items_are_taken() {
        let taken = items(request(1, &[("GEAR-20", 1), ("A", 1000)])).unwrap();
        assert_eq!(
            taken.into_iter().collect::<Vec<_>>(),
            [("A".to_owned(), 1000), ("GEAR-20".to_owned(), 1)]
        );
    }

    #[test]
    fn every_fault_is_named() {
        assert_eq!(fields(request(0, &[])), ["order_id", "items"]);
        assert_eq!(fields(request(1, &[("A", 1); 101])), ["items"]);
        assert_eq!(
            fields(request(-1, &[("", 0), ("a", 1), ("A", 1001), ("A", 1)])),
            [
                "order_id",
                "items[0].sku",
                "items[0].quantity",
                "items[1].sku",
                "items[2].quantity",
                "items[3].sku"
            ]
        );
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_within_bounds(
            order in any::<i64>(),
            wanted in prop::collection::vec(("[A-Z0-9-]{0,34}|\\PC{0,3}", 0_u32..1100), 0..4),
        ) {
            let wanted: Vec<_> = wanted.iter().map(|(sku, quantity)| (sku.as_str(), *quantity)).collect();
            if let Ok(taken) = items(request(order, &wanted)) {
                prop_assert!(order > 0 && taken.len() == wanted.len());
                prop_assert!(taken.iter().all(|(sku, &quantity)| is_sku(sku) && quantity > 0 && quantity <= 1000));
            }
        }
    }
}
