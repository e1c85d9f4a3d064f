//! Nobody sends anything to the pipeline without a certificate of its authority.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sightline::certs::{self, TlsFiles};
use sightline::jaeger::TraceId;
use sightline::stack::Process;
use sightline_tests::lab::Lab;
use sightline_tests::otlp::{Knock, one_span, send_over_grpc, send_over_http};
use sightline_tests::suite::Suite;

pub(crate) fn add(suite: &mut Suite) {
    suite.shared("tls::only_holders_of_a_certificate_are_let_in", doors);
}

async fn doors(lab: &Lab) -> Result<()> {
    let elsewhere = tempfile::tempdir()?;
    let stranger = stranger(elsewhere.path())?;
    let ours = lab.stack().tls_files(Process::UserService);
    let refused = [
        ("plaintext", Knock::Plaintext),
        ("no certificate", Knock::Anonymous(ours.clone())),
        ("a certificate of another authority", Knock::As(ours.clone(), stranger)),
    ];
    let ports = lab.stack().ports();
    let doors = [
        ("the agent's gRPC", ports.agent_otlp_grpc, false),
        ("the agent's HTTP", ports.agent_otlp_http, true),
        ("the gateway's gRPC", ports.gateway_otlp, false),
        ("Jaeger's gRPC", ports.jaeger_otlp, false),
    ];
    let mut refusals = Vec::new();
    for (door, port, is_http) in doors {
        let try_door = async |knock: &Knock| -> Result<(TraceId, Result<()>)> {
            let id = uuid::Uuid::new_v4();
            let request = one_span(id.as_u128(), door);
            let outcome = if is_http {
                send_over_http(port, knock, request).await
            } else {
                send_over_grpc(port, knock, request).await
            };
            Ok((id.simple().to_string().parse()?, outcome))
        };
        for (what, knock) in &refused {
            let (id, outcome) = try_door(knock).await?;
            ensure!(outcome.is_err(), "{door} let {what} in");
            refusals.push((door, *what, id));
        }
        // The same door opens for the right one, so that it was not shut for all.
        let (id, outcome) = try_door(&Knock::As(ours.clone(), ours.clone())).await?;
        outcome.with_context(|| format!("{door} did not let the right certificate in"))?;
        lab.trace(&id, &format!("knocker unspecified {door}\n")).await?;
    }
    lab.settle().await?;
    for (door, what, id) in refusals {
        lab.is_absent(&id).await.with_context(|| format!("{door}, {what}"))?;
    }
    Ok(())
}

/// A certificate in the name of a service, of an authority that nobody here trusts.
fn stranger(dir: &Path) -> Result<TlsFiles> {
    let identities = vec!["user-service".to_owned()];
    certs::ensure(&certs::Request { identities, ..certs::Request::local(dir) })?;
    Ok(TlsFiles::of(&dir.join("user-service")))
}
