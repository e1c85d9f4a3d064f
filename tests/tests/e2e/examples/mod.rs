//! Tests of the examples: the trace of an order, `sightline check`, and the pages that send requests to the examples.
//! They are skipped if `sightline.toml` does not have the examples.

mod check;
mod docs;

use anyhow::{Result, ensure};
use sightline_tests::caller::Caller;
use sightline_tests::examples::{ORDER, ORDER_SERVICE};
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::TestStack;

pub(crate) fn add(suite: &mut Suite) {
    suite.add_checkout("examples::the_trace_of_an_order_is_complete", complete_order);
    check::add(suite);
    docs::add(suite);
}

async fn complete_order(stack: &TestStack) -> Result<()> {
    let url = stack.inner().url(ORDER_SERVICE)?.parse()?;
    let response = Caller::new().get(stack.http(), &url, "orders/7").await?;
    ensure!(response.status == 200, "{response:?}");
    stack.wait_for_trace(&response.trace, ORDER).await?;
    Ok(())
}
