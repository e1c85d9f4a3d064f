//! Whom a door of the pipeline lets in: holders of a certificate of its authority, and nobody else.

use std::path::Path;

use anyhow::{Result, ensure};
use sightline::certs::{self, TlsFiles};
use sightline::jaeger::TraceId;

use crate::otlp::{Door, Knock, one_span, send_over_grpc, send_over_http};
use crate::poll::{SOON, eventually};

/// How OTLP is spoken there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP.
    Http,
}

/// The spans that were brought to a door, each in a trace of its own.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The one that was accepted.
    pub accepted: TraceId,
    /// Those that were refused, and how they had come.
    pub refused: Vec<(&'static str, TraceId)>,
}

/// Knocks at `door` in plaintext, without a certificate, with the stranger's, and last with ours. The span that is
/// accepted bears the name `span`. Fails if one of the first three is let in, or the last is not, so that a door that
/// is shut for all does not pass for a strict one.
pub async fn try_door(
    door: &Door,
    transport: Transport,
    span: &str,
    ours: &TlsFiles,
    stranger: &TlsFiles,
) -> Result<Tried> {
    let knock = async |knock: &Knock| -> Result<(TraceId, Result<()>)> {
        let id = uuid::Uuid::new_v4();
        let request = one_span(id.as_u128(), span);
        let outcome = match transport {
            Transport::Grpc => send_over_grpc(door, knock, request).await,
            Transport::Http => send_over_http(door, knock, request).await,
        };
        Ok((id.simple().to_string().parse()?, outcome))
    };
    let mut refused = Vec::new();
    // What leads to the door may be gone for a moment after each refusal: nobody would be refused by what is not there.
    let there = async || eventually("the door is there", SOON, async || door.reach().await).await;
    for (what, as_whom) in [
        ("plaintext", Knock::Plaintext),
        ("no certificate", Knock::Anonymous(ours.clone())),
        ("a certificate of another authority", Knock::As(ours.clone(), stranger.clone())),
    ] {
        there().await?;
        let (id, outcome) = knock(&as_whom).await?;
        ensure!(outcome.is_err(), "{what} was let in");
        refused.push((what, id));
    }
    let look = async || {
        let (id, outcome) = knock(&Knock::As(ours.clone(), ours.clone())).await?;
        outcome.map(|()| id)
    };
    let accepted = eventually("the right certificate is let in", SOON, look).await?;
    Ok(Tried { accepted, refused })
}

/// A certificate in the name of user-service, of an authority that nobody trusts. Its files are made in `dir`.
pub fn stranger(dir: &Path) -> Result<TlsFiles> {
    let identities = vec!["user-service".to_owned()];
    certs::ensure(&certs::Request { identities, ..certs::Request::local(dir) })?;
    Ok(TlsFiles::of(&dir.join("user-service")))
}
