//! The table `[gateway]` of a services file adds to the lists of the gateway's configuration.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use sightline::jaeger::Value;
use sightline::stack::StackSpec;
use sightline_tests::caller::Caller;
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{TestStack, USER, USERS, fixture_file};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_standalone("additions::take_effect_in_the_gateway", take_effect);
}

const ADDITIONS: &str = r"
[[gateway.sampling.policies]]
name = 'user-7'
type = 'string_attribute'
string_attribute = { key = 'url.path', values = ['/users/7'] }

[gateway.redaction]
keys = ['^user_agent\.']
patterns = ['GET /use[r]s']

[[gateway.span-metrics.dimensions]]
name = 'network.protocol.version'
";

async fn take_effect() -> Result<()> {
    let path = fixture_file();
    let spec = StackSpec::parse(&(fs::read_to_string(&path)? + ADDITIONS), &path)?;
    let stack = TestStack::start(|mut config| {
        config.spec = spec;
        config.sampling_percentage = 0;
        config
    });
    let stack = stack.await?;
    let caller = || Caller::new().with_header("user-agent", "tests/1");
    let not_kept = stack.get_user(&caller(), "8").await?;
    let kept = stack.get_user(&caller(), "7").await?;
    let redacted = USER.replace("GET /users", "****");
    let trace = stack.wait_for_trace(&kept.trace, &redacted).await?;
    let server = trace.spans_of(USERS).find(|span| span.attribute("user_agent.original").is_some());
    let agent = server.and_then(|span| span.attribute("user_agent.original")).and_then(Value::as_str);
    ensure!(agent == Some("****"), "user_agent.original is {agent:?}");
    stack.ensure_not_stored(&not_kept.trace).await?;
    let check = async || {
        let labels = [("service_name", USERS), ("network_protocol_version", "1.1")];
        let calls = stack.gateway_metrics().await?.sum("traces_span_metrics_calls_total", &labels);
        calls.with_context(|| format!("no series has the labels {labels:?}"))
    };
    stack.eventually("the span metrics have the added dimension", check).await?;
    stack.stop().await
}
