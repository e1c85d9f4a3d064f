//! Nobody sends anything to the pipeline without a certificate of its authority.

use anyhow::{Context as _, Result};
use sightline::stack::Process;
use sightline_tests::doors::{Transport, stranger, try_door};
use sightline_tests::lab::Lab;
use sightline_tests::otlp::Door;
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.shared("tls::only_holders_of_a_certificate_are_let_in", doors);
}

async fn doors(lab: &Lab) -> Result<()> {
    let elsewhere = tempfile::tempdir()?;
    let stranger = stranger(elsewhere.path())?;
    let ours = lab.stack().tls_files(Process::UserService);
    let ports = lab.stack().ports();
    let doors = [
        ("the agent's gRPC", ports.agent_otlp_grpc, Transport::Grpc),
        ("the agent's HTTP", ports.agent_otlp_http, Transport::Http),
        ("the gateway's gRPC", ports.gateway_otlp, Transport::Grpc),
        ("Jaeger's gRPC", ports.jaeger_otlp, Transport::Grpc),
    ];
    let mut refusals = Vec::new();
    for (door, port, transport) in doors {
        let tried = try_door(&Door::local(port), transport, door, &ours, &stranger).await;
        let tried = tried.with_context(|| door.to_owned())?;
        lab.trace(&tried.accepted, &format!("knocker unspecified {door}\n")).await?;
        refusals.extend(tried.refused.into_iter().map(|(what, id)| (door, what, id)));
    }
    lab.settle().await?;
    for (door, what, id) in refusals {
        lab.is_absent(&id).await.with_context(|| format!("{door}, {what}"))?;
    }
    Ok(())
}
