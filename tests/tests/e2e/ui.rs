//! Jaeger serves its own UI, and a browser shows the stored traces in it.

use anyhow::{Result, ensure};
use sightline_tests::browser::Browser;
use sightline_tests::caller::Caller;
use sightline_tests::jaeger_ui;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{ORDER, ORDERS, SERVICES, TestStack};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("ui::jaeger_serves_its_own_ui", served);
    let reason = Browser::find().err().map(|error| format!("{error:#}"));
    suite.add_unless(reason, |suite| {
        suite.add_shared("ui::a_browser_finds_and_shows_a_trace", browser);
    });
}

async fn served(stack: &TestStack) -> Result<()> {
    jaeger_ui::check(stack.http(), stack.jaeger().address()).await
}

async fn browser(stack: &TestStack) -> Result<()> {
    let browser = Browser::find()?;
    let response = stack.get_order(&Caller::new(), "7").await?;
    stack.wait_for_trace(&response.trace, ORDER).await?;
    let (jaeger, trace, spans) = (stack.jaeger().address(), &response.trace, ORDER.lines().count());

    let search = format!("{jaeger}/search?service={ORDERS}&limit=20&lookback=1h");
    stack
        .eventually("the search lists the order", async || {
            let text = browser.text(&search).await?;
            // A result is shown with the first digits of the trace ID and the number of its spans.
            let result = text.split_once(&trace.as_str()[..7]).map(|(_, result)| result).unwrap_or_default();
            ensure!(result.contains(&format!("{spans} Spans")), "{search} shows:\n{text}");
            Ok(())
        })
        .await?;
    let page = format!("{jaeger}/trace/{trace}");
    stack
        .eventually("the page of the trace shows all spans", async || {
            let text = browser.text(&page).await?;
            ensure!(text.contains(&format!("Total Spans {spans} ")), "{page} shows:\n{text}");
            for service in SERVICES {
                // A service is shown in front of each of its spans.
                let expected =
                    ORDER.lines().filter(|line| line.trim_start_matches(['^', ' ']).starts_with(service));
                let (expected, shown) = (expected.count(), text.matches(&format!("{service} ")).count());
                ensure!(shown >= expected, "{page} shows {shown} of {expected} spans of {service}:\n{text}");
            }
            Ok(())
        })
        .await
}
