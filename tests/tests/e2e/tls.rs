//! The OTLP endpoints of the pipeline require mutual TLS.

use anyhow::{Context as _, Result};
use sightline::stack::{AGENT, GATEWAY, JAEGER};
use sightline_tests::mtls::{Transport, check_mutual_tls, untrusted_certificate};
use sightline_tests::otlp::{CLIENT, OtlpEndpoint};
use sightline_tests::suite::Suite;
use sightline_tests::test_stack::{TestStack, USERS};

pub(crate) fn add(suite: &mut Suite) {
    suite.add_shared("tls::endpoints_require_a_trusted_certificate", endpoints);
}

async fn endpoints(stack: &TestStack) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let untrusted = untrusted_certificate(dir.path())?;
    let trusted = stack.inner().tls_files(USERS);
    let ports = stack.inner().ports();
    let endpoints = [
        ("the agent's gRPC", ports.number(AGENT, "otlp-grpc")?, Transport::Grpc),
        ("the agent's HTTP", ports.number(AGENT, "otlp-http")?, Transport::Http),
        ("the gateway's gRPC", ports.number(GATEWAY, "otlp")?, Transport::Grpc),
        ("Jaeger's gRPC", ports.number(JAEGER, "otlp")?, Transport::Grpc),
    ];
    let mut rejected = Vec::new();
    for (name, port, transport) in endpoints {
        let endpoint = OtlpEndpoint::local(port);
        let sent = check_mutual_tls(&endpoint, transport, name, &trusted, &untrusted).await;
        let sent = sent.with_context(|| name.to_owned())?;
        stack.wait_for_trace(&sent.accepted, &format!("{CLIENT} unspecified {name}\n")).await?;
        rejected.extend(sent.rejected.into_iter().map(|(credentials, id)| (name, credentials, id)));
    }
    stack.wait_for_pipeline().await?;
    for (name, credentials, id) in rejected {
        stack.ensure_not_stored(&id).await.with_context(|| format!("{name}, {credentials}"))?;
    }
    Ok(())
}
