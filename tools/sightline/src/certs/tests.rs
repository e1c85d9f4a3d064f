//! Tests of the certificates: TLS handshakes with rustls, and checks of the files.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::*;

fn request(dir: &Path) -> Request {
    Request::new(dir, vec!["agent".to_owned(), "order-service".to_owned()])
}

fn outcomes(report: &Report) -> Vec<&Outcome> {
    std::iter::once(&report.ca).chain(&report.identities).map(|entry| &entry.outcome).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn roots(files: &TlsFiles) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.ca).unwrap()).unwrap();
    Arc::new(roots)
}

fn chain_and_key(files: &TlsFiles) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    (
        vec![CertificateDer::from_pem_file(&files.cert).unwrap()],
        PrivateKeyDer::from_pem_file(&files.key).unwrap(),
    )
}

/// Performs a mutual TLS handshake in memory.
fn handshake(server: &TlsFiles, client: &TlsFiles, host: &str) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (chain, key) = chain_and_key(server);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(server), provider.clone()).build().unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    let (chain, key) = chain_and_key(client);
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(client))
        .with_client_auth_cert(chain, key)?;
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let mut client =
        ClientConnection::new(Arc::new(client), ServerName::try_from(host.to_owned()).unwrap()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn identities_connect_with_mutual_tls() {
    let dir = tempfile::tempdir().unwrap();
    let report = ensure(&request(dir.path())).unwrap();
    assert_eq!(outcomes(&report), [&Outcome::Created; 3]);
    let agent = TlsFiles::in_dir(&dir.path().join("agent"));
    let order = TlsFiles::in_dir(&dir.path().join("order-service"));
    for host in ["localhost", "127.0.0.1", "::1", "agent"] {
        handshake(&agent, &order, host).unwrap();
    }
    handshake(&agent, &order, "gateway").unwrap_err();
}

#[test]
fn certificates_of_another_ca_are_rejected() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    ensure(&request(ours.path())).unwrap();
    ensure(&request(theirs.path())).unwrap();
    let server = TlsFiles::in_dir(&ours.path().join("agent"));
    let mut client = TlsFiles::in_dir(&theirs.path().join("order-service"));
    handshake(&server, &client, "localhost").unwrap_err();
    // The client now trusts the server's CA. The server must still reject the client's certificate.
    client.ca = server.ca.clone();
    handshake(&server, &client, "localhost").unwrap_err();
}

#[test]
fn keys_and_directories_are_readable_by_the_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let certs = dir.path().join("state/certs");
    ensure(&request(&certs)).unwrap();
    assert_eq!(mode(&certs), 0o700);
    assert_eq!(mode(&certs.join("agent")), 0o700);
    assert_eq!(mode(&certs.join("ca/ca.key")), 0o600);
    assert_eq!(mode(&certs.join("agent/tls.key")), 0o600);
    fs::set_permissions(certs.join("agent/tls.key"), fs::Permissions::from_mode(0o644)).unwrap();
    ensure(&request(&certs)).unwrap();
    assert_eq!(mode(&certs.join("agent/tls.key")), 0o600);
    let files: Vec<_> = fs::read_dir(certs.join("agent")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files.len(), 3, "temporary files are left: {files:?}");
}

#[test]
fn valid_certificates_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    ensure(&request(dir.path())).unwrap();
    let before = fs::read(dir.path().join("agent/tls.crt")).unwrap();
    let report = ensure(&request(dir.path())).unwrap();
    assert_eq!(outcomes(&report), [&Outcome::Kept; 3]);
    assert_eq!(fs::read(dir.path().join("agent/tls.crt")).unwrap(), before);
}

#[test]
fn certificates_are_renewed_in_the_last_third_of_their_lifetime() {
    let dir = tempfile::tempdir().unwrap();
    let now = OffsetDateTime::now_utc();
    let first = ensure_at(&request(dir.path()), now).unwrap();
    let kept = ensure_at(&request(dir.path()), now + Duration::days(59)).unwrap();
    assert_eq!(outcomes(&kept), [&Outcome::Kept; 3]);
    let later = first.renew_at();
    let renewed = ensure_at(&request(dir.path()), later).unwrap();
    assert_eq!(renewed.ca.outcome, Outcome::Kept);
    assert_eq!(renewed.identities[0].outcome, Outcome::Renewed(Reason::Expiring));
    assert!(renewed.renew_at() > later);
    let read = ensure_at(&request(dir.path()), later).unwrap();
    assert_eq!(read.identities[0].validity, renewed.identities[0].validity);
}

#[test]
fn a_renewed_ca_keeps_its_key_and_stays_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let long_ago = OffsetDateTime::now_utc() - Duration::days(3000);
    let mut request = request(dir.path());
    request.lifetime = Duration::days(3650);
    ensure_at(&request, long_ago).unwrap();
    let old = dir.path().join("old-ca.crt");
    fs::copy(dir.path().join("ca/ca.crt"), &old).unwrap();
    let key = fs::read(dir.path().join("ca/ca.key")).unwrap();

    let report = ensure(&request).unwrap();
    assert_eq!(report.ca.outcome, Outcome::Renewed(Reason::Expiring));
    assert_eq!(fs::read(dir.path().join("ca/ca.key")).unwrap(), key);
    let agent = TlsFiles::in_dir(&dir.path().join("agent"));
    let mut order = TlsFiles::in_dir(&dir.path().join("order-service"));
    assert_ne!(fs::read(&old).unwrap(), fs::read(&agent.ca).unwrap());
    handshake(&agent, &order, "localhost").unwrap();
    order.ca = old;
    handshake(&agent, &order, "localhost").unwrap();
}

#[test]
fn damaged_or_mismatched_certificates_are_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let agent = dir.path().join("agent");
    let outcome = || ensure(&request(dir.path())).unwrap().identities.remove(0).outcome;
    ensure(&request(dir.path())).unwrap();

    fs::remove_file(agent.join("tls.key")).unwrap();
    assert_eq!(outcome(), Outcome::Renewed(Reason::Damaged));
    fs::write(agent.join("tls.crt"), "not a certificate").unwrap();
    assert_eq!(outcome(), Outcome::Renewed(Reason::Damaged));
    fs::copy(dir.path().join("order-service/tls.key"), agent.join("tls.key")).unwrap();
    assert_eq!(outcome(), Outcome::Renewed(Reason::Damaged));
    for file in ["tls.crt", "tls.key"] {
        fs::copy(dir.path().join("order-service").join(file), agent.join(file)).unwrap();
    }
    assert_eq!(outcome(), Outcome::Renewed(Reason::OtherNames));
    fs::remove_dir_all(dir.path().join("ca")).unwrap();
    assert_eq!(outcome(), Outcome::Renewed(Reason::OtherCa));
    assert_eq!(outcome(), Outcome::Kept);
}

#[test]
fn a_ca_without_its_key_is_neither_used_to_sign_nor_replaced() {
    let dir = tempfile::tempdir().unwrap();
    ensure(&request(dir.path())).unwrap();
    fs::remove_file(dir.path().join("ca/ca.key")).unwrap();
    assert_eq!(outcomes(&ensure(&request(dir.path())).unwrap()), [&Outcome::Kept; 3]);
    fs::remove_file(dir.path().join("agent/tls.crt")).unwrap();
    let error = ensure(&request(dir.path())).unwrap_err().to_string();
    assert!(error.contains("no ca.key"), "{error}");

    fs::copy(dir.path().join("order-service/tls.key"), dir.path().join("ca/ca.key")).unwrap();
    let error = ensure(&request(dir.path())).unwrap_err().to_string();
    assert!(error.contains("ca.key does not match ca.crt"), "{error}");
}

#[test]
fn a_ca_key_without_a_certificate_gets_a_new_certificate() {
    let dir = tempfile::tempdir().unwrap();
    ensure(&request(dir.path())).unwrap();
    fs::remove_file(dir.path().join("ca/ca.crt")).unwrap();
    let report = ensure(&request(dir.path())).unwrap();
    // The CA keeps its key, so the certificates that it signed stay valid.
    assert_eq!(outcomes(&report), [&Outcome::Created, &Outcome::Kept, &Outcome::Kept]);
}

#[test]
fn rejects_names_that_are_not_dns_names() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["", "ca", "..", "../x", "a/b", ".hidden", "UPPER", "a..b", "-a", "a-", "ä", "a b", "*.x"] {
        let request = Request::new(dir.path().join("certs"), vec![name.to_owned()]);
        assert!(matches!(ensure(&request), Err(CertsError::Name(_))), "{name:?}");
    }
    assert!(!dir.path().join("certs").exists());
    for name in ["grafana", "otel.example.com", "a-1"] {
        check_name(name).unwrap();
    }
}

#[test]
fn rejects_an_impossible_lifetime() {
    let dir = tempfile::tempdir().unwrap();
    for days in [-1, 0, 3651] {
        let request = Request { lifetime: Duration::days(days), ..Request::new(dir.path(), Vec::new()) };
        assert!(matches!(ensure(&request), Err(CertsError::Lifetime(_))));
    }
}
