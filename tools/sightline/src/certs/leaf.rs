//! The certificate of one identity.

use std::collections::BTreeSet;
use std::path::Path;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::authority::Authority;
use super::files::{self, Access};
use super::{CertsError, Entry, Outcome, Reason, TlsFiles, Validity, inspect};

/// Keeps, renews or makes the certificate of one identity.
pub(super) fn ensure(
    authority: &Authority,
    dir: &Path,
    name: &str,
    life: Duration,
    now: OffsetDateTime,
) -> Result<Entry, CertsError> {
    let dir = dir.join(name);
    files::make_dir(&dir)?;
    let paths = TlsFiles::of(&dir);
    let (outcome, validity) = match found(authority, &paths, name, now)? {
        Ok(validity) => {
            files::restrict(&paths.key)?;
            (Outcome::Kept, validity)
        }
        Err(state) => {
            let validity = make(authority, &paths, name, life, now)?;
            (state.map_or(Outcome::Made, Outcome::Renewed), validity)
        }
    };
    // Trust follows the authority also where the certificate stays: a renewed authority has a new ca.crt.
    if files::read(&paths.ca)?.as_deref() != Some(authority.pem.as_str()) {
        files::replace(&paths.ca, &authority.pem, Access::Public)?;
    }
    Ok(Entry { name: name.to_owned(), dir, outcome, validity })
}

/// The validity of a certificate that can stay; else why not, with `None` for there being none.
fn found(
    authority: &Authority,
    paths: &TlsFiles,
    name: &str,
    now: OffsetDateTime,
) -> Result<Result<Validity, Option<Reason>>, CertsError> {
    Ok(match (files::read(&paths.cert)?, files::read(&paths.key)?) {
        (None, None) => Err(None),
        (Some(cert), Some(key)) => check(authority, &cert, &key, name, now).map_err(Some),
        _ => Err(Some(Reason::Damaged)),
    })
}

fn check(
    authority: &Authority,
    cert: &str,
    key: &str,
    name: &str,
    now: OffsetDateTime,
) -> Result<Validity, Reason> {
    let damaged = || Reason::Damaged;
    let pem = inspect::parse(cert).ok_or_else(damaged)?;
    let certificate = pem.parse_x509().map_err(|_| Reason::Damaged)?;
    let key = KeyPair::from_pem(key).map_err(|_| Reason::Damaged)?;
    if !inspect::is_key_of(&key, &certificate) {
        return Err(Reason::Damaged);
    }
    let ca = inspect::parse(&authority.pem).ok_or_else(damaged)?;
    let ca = ca.parse_x509().map_err(|_| Reason::Damaged)?;
    if certificate.verify_signature(Some(ca.public_key())).is_err() {
        return Err(Reason::OtherAuthority);
    }
    if inspect::names(&certificate) != hosts(name) {
        return Err(Reason::OtherNames);
    }
    let validity = inspect::validity(&certificate).ok_or_else(damaged)?;
    if now >= validity.renew_at() || now < validity.not_before {
        return Err(Reason::Expiring);
    }
    Ok(validity)
}

/// What a certificate holds for: this machine, and the identity as a host name, which is what a cluster's
/// `server_name_override` asks for.
fn hosts(name: &str) -> BTreeSet<String> {
    ["localhost", "127.0.0.1", "::1", name].map(str::to_owned).into()
}

fn make(
    authority: &Authority,
    paths: &TlsFiles,
    name: &str,
    life: Duration,
    now: OffsetDateTime,
) -> Result<Validity, CertsError> {
    let failed = |source| CertsError::Make { name: name.to_owned(), source };
    let mut validity = Validity::starting(now, life);
    // Past its authority's end a certificate is worth nothing, whatever it says.
    validity.not_after = validity.not_after.min(authority.validity.not_after);

    let mut params = CertificateParams::new(hosts(name).into_iter().collect::<Vec<_>>()).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // The agent is a server to services and a client of the gateway: each identity may be both.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (validity.not_before, validity.not_after);

    let key = KeyPair::generate().map_err(failed)?;
    let cert = authority.sign(name, &params, &key)?;
    // Key first, certificate last: see the module's account of readers.
    files::replace(&paths.key, &key.serialize_pem(), Access::Owner)?;
    files::replace(&paths.cert, &cert, Access::Public)?;
    Ok(validity)
}
