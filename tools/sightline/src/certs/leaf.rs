//! The leaf certificate of one identity.

use std::collections::BTreeSet;
use std::path::Path;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use super::ca::Ca;
use super::files::{self, Access};
use super::{CertsError, Entry, Outcome, Reason, TlsFiles, Validity, inspect};

/// Keeps, renews or creates the certificate of one identity.
pub(super) fn ensure(
    ca: &Ca,
    dir: &Path,
    name: &str,
    lifetime: Duration,
    now: OffsetDateTime,
) -> Result<Entry, CertsError> {
    let dir = dir.join(name);
    files::create_dir(&dir)?;
    let paths = TlsFiles::in_dir(&dir);
    let (outcome, validity) = match check_files(ca, &paths, name, now)? {
        Ok(validity) => {
            files::restrict(&paths.key)?;
            (Outcome::Kept, validity)
        }
        Err(reason) => {
            let validity = create(ca, &paths, name, lifetime, now)?;
            (reason.map_or(Outcome::Created, Outcome::Renewed), validity)
        }
    };
    // Copy ca.crt even if the leaf certificate is kept, because a renewed CA has a new certificate.
    if files::read(&paths.ca)?.as_deref() != Some(ca.pem.as_str()) {
        files::replace(&paths.ca, &ca.pem, Access::Public)?;
    }
    Ok(Entry { name: name.to_owned(), dir, outcome, validity })
}

/// Returns the validity of the certificate if it can be kept. Otherwise returns the reason to renew the certificate, or
/// `None` if the certificate does not exist yet.
fn check_files(
    ca: &Ca,
    paths: &TlsFiles,
    name: &str,
    now: OffsetDateTime,
) -> Result<Result<Validity, Option<Reason>>, CertsError> {
    Ok(match (files::read(&paths.cert)?, files::read(&paths.key)?) {
        (None, None) => Err(None),
        (Some(cert), Some(key)) => check(ca, &cert, &key, name, now).map_err(Some),
        _ => Err(Some(Reason::Damaged)),
    })
}

fn check(ca: &Ca, cert: &str, key: &str, name: &str, now: OffsetDateTime) -> Result<Validity, Reason> {
    let damaged = || Reason::Damaged;
    let pem = inspect::parse(cert).ok_or_else(damaged)?;
    let certificate = pem.parse_x509().map_err(|_| Reason::Damaged)?;
    let key = KeyPair::from_pem(key).map_err(|_| Reason::Damaged)?;
    if !inspect::is_key_of(&key, &certificate) {
        return Err(Reason::Damaged);
    }
    let issuer = inspect::parse(&ca.pem).ok_or_else(damaged)?;
    let issuer = issuer.parse_x509().map_err(|_| Reason::Damaged)?;
    if certificate.verify_signature(Some(issuer.public_key())).is_err() {
        return Err(Reason::OtherCa);
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

/// Returns the subject alternative names of a certificate: the names and addresses of this machine, and the identity as
/// a DNS name. In a cluster, the Collector's exporters expect the identity in the server's certificate, because the
/// identity is their `server_name_override`.
fn hosts(name: &str) -> BTreeSet<String> {
    ["localhost", "127.0.0.1", "::1", name].map(str::to_owned).into()
}

fn create(
    ca: &Ca,
    paths: &TlsFiles,
    name: &str,
    lifetime: Duration,
    now: OffsetDateTime,
) -> Result<Validity, CertsError> {
    let failed = |source| CertsError::Create { name: name.to_owned(), source };
    let mut validity = Validity::starting(now, lifetime);
    // The certificate must not outlive its CA, because peers reject a certificate whose CA has expired.
    validity.not_after = validity.not_after.min(ca.validity.not_after);

    let mut params = CertificateParams::new(hosts(name).into_iter().collect::<Vec<_>>()).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // A process can be both a server and a client: the agent is a server for the services and a client of the gateway.
    // Each certificate therefore allows both roles.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (validity.not_before, validity.not_after);

    let key = KeyPair::generate().map_err(failed)?;
    let cert = ca.sign(name, &params, &key)?;
    // Replace the key first and the certificate last. The documentation of the `certs` module explains why.
    files::replace(&paths.key, &key.serialize_pem(), Access::Owner)?;
    files::replace(&paths.cert, &cert, Access::Public)?;
    Ok(validity)
}
