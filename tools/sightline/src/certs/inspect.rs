//! Reads the contents of an existing certificate.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rcgen::{KeyPair, PublicKeyData as _};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use super::Validity;

/// Returns the first certificate of a PEM file.
pub(super) fn parse(pem: &str) -> Option<Pem> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    (pem.label == "CERTIFICATE").then_some(pem)
}

/// Returns the validity period of a certificate, or `None` if a date is out of range.
pub(super) fn validity(certificate: &X509Certificate<'_>) -> Option<Validity> {
    let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();
    let validity = certificate.validity();
    Some(Validity {
        not_before: at(validity.not_before.timestamp())?,
        not_after: at(validity.not_after.timestamp())?,
    })
}

/// Returns the DNS names and IP addresses of the subject alternative name extension, as text.
pub(super) fn names(certificate: &X509Certificate<'_>) -> BTreeSet<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return BTreeSet::new();
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(octets) => address(octets).map(|address| address.to_string()),
            _ => None,
        })
        .collect()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Whether this private key belongs to the certificate.
pub(super) fn is_key_of(key: &KeyPair, certificate: &X509Certificate<'_>) -> bool {
    certificate.public_key().raw == key.subject_public_key_info()
}
