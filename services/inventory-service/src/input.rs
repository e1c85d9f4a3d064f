//! Validation of requests.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::proto::ReserveRequest;
use crate::stock::Items;

/// The maximum number of items in an order.
const MAX_ITEMS: usize = 100;

/// The maximum length of a SKU, in characters.
const MAX_SKU_LENGTH: usize = 32;

/// The maximum quantity of an item.
const MAX_QUANTITY: u32 = 1_000;

/// Validates a request and returns its items.
///
/// The status of an invalid request contains a [`google.rpc.BadRequest`] with all invalid fields. The status never
/// repeats a value from the request.
///
/// [`google.rpc.BadRequest`]: https://google.aip.dev/193
pub(crate) fn validate(request: ReserveRequest) -> Result<Items, Status> {
    let mut violations = ErrorDetails::new();
    if request.order_id <= 0 {
        violations.add_bad_request_violation("order_id", "must be positive");
    }
    if request.items.is_empty() || request.items.len() > MAX_ITEMS {
        violations.add_bad_request_violation("items", "must have 1 to 100 elements");
        // The items themselves are not validated, because there may be too many of them.
        return Err(invalid_argument(violations));
    }
    let mut items = Items::new();
    for (index, item) in request.items.into_iter().enumerate() {
        if !is_sku(&item.sku) {
            let field = format!("items[{index}].sku");
            violations.add_bad_request_violation(field, "must be 1 to 32 characters from A-Z, 0-9 and -");
        }
        if !(1..=MAX_QUANTITY).contains(&item.quantity) {
            violations.add_bad_request_violation(format!("items[{index}].quantity"), "must be 1 to 1000");
        }
        if items.insert(item.sku, item.quantity).is_some() {
            violations.add_bad_request_violation(format!("items[{index}].sku"), "must not occur twice");
        }
    }
    if violations.has_bad_request_violations() { Err(invalid_argument(violations)) } else { Ok(items) }
}

fn is_sku(text: &str) -> bool {
    (1..=MAX_SKU_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-')
}

fn invalid_argument(violations: ErrorDetails) -> Status {
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

    /// Returns the invalid fields of a request.
    fn invalid_fields(request: ReserveRequest) -> Vec<String> {
        let status = validate(request).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_details_bad_request().unwrap();
        details.field_violations.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn accepts_valid_items() {
        let accepted = validate(request(1, &[("GEAR-20", 1), ("A", 1000)])).unwrap();
        assert_eq!(
            accepted.into_iter().collect::<Vec<_>>(),
            [("A".to_owned(), 1000), ("GEAR-20".to_owned(), 1)]
        );
    }

    #[test]
    fn reports_every_invalid_field() {
        assert_eq!(invalid_fields(request(0, &[])), ["order_id", "items"]);
        assert_eq!(invalid_fields(request(1, &[("A", 1); 101])), ["items"]);
        assert_eq!(
            invalid_fields(request(-1, &[("", 0), ("a", 1), ("A", 1001), ("A", 1)])),
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
        fn accepts_only_items_within_the_limits(
            order in any::<i64>(),
            input in prop::collection::vec(("[A-Z0-9-]{0,34}|\\PC{0,3}", 0_u32..1100), 0..4),
        ) {
            let input: Vec<_> = input.iter().map(|(sku, quantity)| (sku.as_str(), *quantity)).collect();
            if let Ok(accepted) = validate(request(order, &input)) {
                prop_assert!(order > 0 && accepted.len() == input.len());
                prop_assert!(accepted.iter().all(|(sku, &quantity)| is_sku(sku) && quantity > 0 && quantity <= 1000));
            }
        }
    }
}
