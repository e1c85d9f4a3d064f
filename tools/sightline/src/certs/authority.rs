//! The authority: made once, kept, renewed with the key it has.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;

use super::files::{self, Access};
use super::{AUTHORITY_LIFE, CertsError, Entry, Outcome, Reason, Validity, inspect};

/// A good authority: its certificate, and its key where we have it.
pub(super) struct Authority {
    pub(super) pem: String,
    pub(super) validity: Validity,
    dir: PathBuf,
    /// Missing when someone keeps it elsewhere. Good certificates are then kept, but none can be signed.
    key: Option<KeyPair>,
}

impl Authority {
    /// Reads the authority in this directory, making or renewing it where needed.
    pub(super) fn ensure(dir: &Path, now: OffsetDateTime) -> Result<(Self, Entry), CertsError> {
        files::make_dir(dir)?;
        let (cert_path, key_path) = (dir.join("ca.crt"), dir.join("ca.key"));
        let unusable = |problem| CertsError::Authority { dir: dir.to_owned(), problem };

        let key = files::read(&key_path)?
            .map(|pem| KeyPair::from_pem(&pem).map_err(|_| unusable("has a ca.key that is no private key")))
            .transpose()?;
        if key.is_some() {
            files::restrict(&key_path)?;
        }
        let found = files::read(&cert_path)?
            .map(|pem| {
                let validity = check(&pem, key.as_ref()).map_err(unusable)?;
                Ok((pem, validity))
            })
            .transpose()?;

        let (key, pem, validity, outcome) = match (found, key) {
            (Some((pem, validity)), key) if now < validity.renew_at() => (key, pem, validity, Outcome::Kept),
            (Some((pem, validity)), None) if now < validity.not_after => (None, pem, validity, Outcome::Kept),
            (Some(_), None) => return Err(unusable("has expired and its key is not there")),
            // A key without a certificate is what a kill between the two writes leaves: nobody trusts it yet.
            (found, key) => {
                let key = match key {
                    Some(key) => key,
                    None => generate(&key_path)?,
                };
                let validity = Validity::starting(now, AUTHORITY_LIFE);
                let pem = self_sign(&key, validity)?;
                files::replace(&cert_path, &pem, Access::Public)?;
                let outcome = found.map_or(Outcome::Made, |_| Outcome::Renewed(Reason::Expiring));
                (Some(key), pem, validity, outcome)
            }
        };
        let entry = Entry { name: "ca".to_owned(), dir: dir.to_owned(), outcome, validity };
        Ok((Self { pem, validity, dir: dir.to_owned(), key }, entry))
    }

    /// Signs a certificate; `None` of a key is an error here and nowhere else.
    pub(super) fn sign(
        &self,
        name: &str,
        params: &CertificateParams,
        leaf_key: &KeyPair,
    ) -> Result<String, CertsError> {
        let key = self.key.as_ref().ok_or_else(|| CertsError::Authority {
            dir: self.dir.clone(),
            problem: "has no ca.key, and a certificate must be signed",
        })?;
        let failed = |source| CertsError::Make { name: name.to_owned(), source };
        let issuer = Issuer::from_ca_cert_pem(&self.pem, key).map_err(failed)?;
        Ok(params.signed_by(leaf_key, &issuer).map_err(failed)?.pem())
    }
}

fn generate(path: &Path) -> Result<KeyPair, CertsError> {
    let key = KeyPair::generate().map_err(failed)?;
    files::replace(path, &key.serialize_pem(), Access::Owner)?;
    Ok(key)
}

fn self_sign(key: &KeyPair, validity: Validity) -> Result<String, CertsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Sightline local authority");
    // It signs certificates of processes, and no further authority.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (validity.not_before, validity.not_after);
    Ok(params.self_signed(key).map_err(failed)?.pem())
}

fn failed(source: rcgen::Error) -> CertsError {
    CertsError::Make { name: "the authority".to_owned(), source }
}

/// Its validity, or what is wrong with it.
fn check(pem: &str, key: Option<&KeyPair>) -> Result<Validity, &'static str> {
    let pem = inspect::parse(pem).ok_or("has a ca.crt that is no certificate")?;
    let certificate = pem.parse_x509().map_err(|_| "has a ca.crt that is no certificate")?;
    if !certificate.is_ca() {
        return Err("has a ca.crt that may not sign");
    }
    if key.is_some_and(|key| !inspect::is_key_of(key, &certificate)) {
        return Err("has a ca.key that belongs to another ca.crt");
    }
    inspect::validity(&certificate).ok_or("has a ca.crt with impossible dates")
}
