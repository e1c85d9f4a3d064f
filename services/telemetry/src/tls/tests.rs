use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::fs;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for localhost and its key, both in PEM.
fn leaf(authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn write(folder: &TempDir, authority: &Authority) -> TlsFiles {
    let (certificate, key) = leaf(authority);
    let path = |name| folder.path().join(name);
    fs::write(path("ca.crt"), authority.pem()).unwrap();
    fs::write(path("tls.crt"), certificate).unwrap();
    fs::write(path("tls.key"), key).unwrap();
    TlsFiles { authorities: Some(path("ca.crt")), identity: Some((path("tls.crt"), path("tls.key"))) }
}

/// Whether this client and a server of `authority`, which asks for a client's certificate, come to terms.
async fn shakes_hands(client: ClientConfig, authority: &Authority) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let (certificate, key) = leaf(authority);
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let outcome = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(stream).await?;
        stream.write_all(b"welcome").await?;
        stream.shutdown().await
    });
    let greeted = async {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await?;
        let mut text = String::new();
        // A server of TLS 1.3 refuses a client only after the client believes the handshake done.
        stream.read_to_string(&mut text).await.map(|_| text == "welcome")
    };
    let greeted = greeted.await.unwrap_or(false);
    outcome.await.unwrap().is_ok() && greeted
}

#[tokio::test]
async fn a_client_follows_its_files() {
    let (old, new, folder) = (authority(), authority(), TempDir::new().unwrap());
    let watched = Watched::open(write(&folder, &old)).unwrap();
    let client = watched.client_config().unwrap();
    assert!(shakes_hands(client.clone(), &old).await);
    assert!(!shakes_hands(client.clone(), &new).await);

    write(&folder, &new);
    assert!(watched.reload().unwrap());
    // The same configuration, as the exporter holds it for its whole life.
    assert!(shakes_hands(client.clone(), &new).await);
    assert!(!shakes_hands(client, &old).await);
    assert!(!watched.reload().unwrap(), "nothing changed since");
}

#[tokio::test]
async fn files_that_are_being_replaced_do_not_disturb() {
    let (authority, folder) = (authority(), TempDir::new().unwrap());
    let watched = Watched::open(write(&folder, &authority)).unwrap();
    let client = watched.client_config().unwrap();

    let (certificate, key) = leaf(&authority);
    fs::write(folder.path().join("tls.crt"), certificate).unwrap();
    assert!(matches!(watched.reload(), Err(TlsError::Mismatch { .. })), "the key is still the former one");
    assert!(shakes_hands(client.clone(), &authority).await);

    fs::write(folder.path().join("tls.key"), key).unwrap();
    assert!(watched.reload().unwrap());
    assert!(shakes_hands(client, &authority).await);
}

#[test]
fn what_is_wrong_is_said_with_its_path() {
    let (authority, folder) = (authority(), TempDir::new().unwrap());
    let files = write(&folder, &authority);
    for (name, content) in [("ca.crt", "no PEM"), ("tls.crt", ""), ("tls.key", "no PEM")] {
        let path = folder.path().join(name);
        let sound = fs::read(&path).unwrap();
        fs::write(&path, content).unwrap();
        let error = Watched::open(files.clone()).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        fs::write(&path, sound).unwrap();
    }
    fs::remove_file(folder.path().join("tls.key")).unwrap();
    assert!(matches!(Watched::open(files), Err(TlsError::Read { .. })));
}

#[test]
fn a_private_key_is_in_no_debug_output() {
    let (authority, folder) = (authority(), TempDir::new().unwrap());
    let files = write(&folder, &authority);
    let key = fs::read(folder.path().join("tls.key")).unwrap();
    let shown = format!("{:?}", Watched::open(files).unwrap());
    assert!(!shown.contains(&format!("{:?}", &key[40..60]).trim_matches(['[', ']']).to_owned()));
}
