//! The CA, which is created once and later renewed with the same key.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;

use super::files::{self, Access};
use super::{CA_LIFETIME, CertsError, Entry, Outcome, Reason, Validity, inspect};

/// A usable CA: its certificate, and its key if the key is available.
pub(super) struct Ca {
    pub(super) pem: String,
    pub(super) validity: Validity,
    dir: PathBuf,
    /// `None` if the key is kept elsewhere. Without the key, valid certificates are kept, but no new certificate can be
    /// signed.
    key: Option<KeyPair>,
}

impl Ca {
    /// Reads the CA from this directory. Creates the CA if it is missing, and renews it if it expires soon.
    pub(super) fn ensure(dir: &Path, now: OffsetDateTime) -> Result<(Self, Entry), CertsError> {
        files::create_dir(dir)?;
        let (cert_path, key_path) = (dir.join("ca.crt"), dir.join("ca.key"));
        let unusable = |problem| CertsError::Ca { dir: dir.to_owned(), problem };

        let key = files::read(&key_path)?
            .map(|pem| KeyPair::from_pem(&pem).map_err(|_| unusable("ca.key is not a private key")))
            .transpose()?;
        if key.is_some() {
            files::restrict(&key_path)?;
        }
        let existing = files::read(&cert_path)?
            .map(|pem| {
                let validity = check(&pem, key.as_ref()).map_err(unusable)?;
                Ok((pem, validity))
            })
            .transpose()?;

        let (key, pem, validity, outcome) = match (existing, key) {
            (Some((pem, validity)), key) if now < validity.renew_at() => (key, pem, validity, Outcome::Kept),
            (Some((pem, validity)), None) if now < validity.not_after => (None, pem, validity, Outcome::Kept),
            (Some(_), None) => return Err(unusable("the certificate has expired and ca.key is missing")),
            // There can be a key without a certificate if an earlier process was killed after it wrote the key. No
            // process trusts this CA yet, so the key can be used.
            (existing, key) => {
                let key = match key {
                    Some(key) => key,
                    None => generate_key(&key_path)?,
                };
                let validity = Validity::starting(now, CA_LIFETIME);
                let pem = self_sign(&key, validity)?;
                files::replace(&cert_path, &pem, Access::Public)?;
                let outcome = existing.map_or(Outcome::Created, |_| Outcome::Renewed(Reason::Expiring));
                (Some(key), pem, validity, outcome)
            }
        };
        let entry = Entry { name: "ca".to_owned(), dir: dir.to_owned(), outcome, validity };
        Ok((Self { pem, validity, dir: dir.to_owned(), key }, entry))
    }

    /// Signs a certificate and returns it as PEM. Fails if the CA has no key.
    pub(super) fn sign(
        &self,
        name: &str,
        params: &CertificateParams,
        leaf_key: &KeyPair,
    ) -> Result<String, CertsError> {
        let key = self.key.as_ref().ok_or_else(|| CertsError::Ca {
            dir: self.dir.clone(),
            problem: "there is no ca.key to sign a new certificate with",
        })?;
        let failed = |source| CertsError::Create { name: name.to_owned(), source };
        let issuer = Issuer::from_ca_cert_pem(&self.pem, key).map_err(failed)?;
        Ok(params.signed_by(leaf_key, &issuer).map_err(failed)?.pem())
    }
}

fn generate_key(path: &Path) -> Result<KeyPair, CertsError> {
    let key = KeyPair::generate().map_err(failed)?;
    files::replace(path, &key.serialize_pem(), Access::Owner)?;
    Ok(key)
}

fn self_sign(key: &KeyPair, validity: Validity) -> Result<String, CertsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Sightline local CA");
    // With a path length of 0, this CA can sign certificates of processes, but not the certificate of another CA.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (validity.not_before, validity.not_after);
    Ok(params.self_signed(key).map_err(failed)?.pem())
}

fn failed(source: rcgen::Error) -> CertsError {
    CertsError::Create { name: "the CA".to_owned(), source }
}

/// Returns the validity of the CA certificate, or the problem that makes it unusable.
fn check(pem: &str, key: Option<&KeyPair>) -> Result<Validity, &'static str> {
    let pem = inspect::parse(pem).ok_or("ca.crt is not a certificate")?;
    let certificate = pem.parse_x509().map_err(|_| "ca.crt is not a certificate")?;
    if !certificate.is_ca() {
        return Err("ca.crt is not a CA certificate");
    }
    if key.is_some_and(|key| !inspect::is_key_of(key, &certificate)) {
        return Err("ca.key does not match ca.crt");
    }
    inspect::validity(&certificate).ok_or("ca.crt has invalid dates")
}
