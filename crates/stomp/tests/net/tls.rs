//! Connections through TLS.

use crate::scripted::soon;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use trunkline_stomp::{Client, ErrorCode, Tls, TlsError};

/// Who signs everything here.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
struct Own {
    chain: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn certify(&self, name: &str) -> Own {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        Own {
            chain: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

/// A server that lets the client in, and says what it was sent up to the end of one body.
async fn serve(own: &Own, clients: Option<&Authority>) -> (u16, JoinHandle<Option<String>>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        Some(authority) => {
            let roots = Arc::new(authority.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let chain = vec![CertificateDer::from_pem_slice(own.chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(config).accept(stream).await.ok()?;
        let mut read = Vec::new();
        read_to(&mut stream, &mut read, b"\0").await;
        let connected = b"CONNECTED\nversion:1.2\n\n\0";
        stream.write_all(connected).await.unwrap();
        stream.flush().await.unwrap();
        read_to(&mut stream, &mut read, b"secret\0").await;
        Some(String::from_utf8(read).unwrap())
    });
    (port, serving)
}

/// Reads until these bytes have come.
async fn read_to(stream: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>, end: &[u8]) {
    let mut seen = 0;
    while !read[seen..].windows(end.len()).any(|bytes| bytes == end) {
        seen = read.len().saturating_sub(end.len());
        let more = stream.read_buf(read).await.unwrap();
        assert!(more > 0, "the client has gone before");
    }
}

async fn send(port: u16, tls: Tls) {
    let client = Client::builder("127.0.0.1", port).tls(tls);
    let client = soon(client.connect()).await.unwrap();
    // More than TLS takes at once.
    let body = "x".repeat(1 << 20) + "secret";
    soon(client.send("/queue/a", body).into_future())
        .await
        .unwrap();
}

#[tokio::test]
async fn frames_travel_through_tls() {
    let authority = Authority::new();
    let (port, served) = serve(&authority.certify("127.0.0.1"), None).await;
    let tls = Tls::with_roots_pem(authority.pem().as_bytes()).unwrap();
    send(port, tls).await;
    let read = soon(served).await.unwrap().unwrap();
    assert!(read.starts_with("CONNECT\n"), "{read}");
}

#[tokio::test]
async fn a_server_may_have_another_name_and_clients_a_certificate() {
    let authority = Authority::new();
    let (port, served) = serve(&authority.certify("broker.example"), Some(&authority)).await;
    let own = authority.certify("me.example");
    let tls = Tls::with_own_certificate_pem(
        authority.pem().as_bytes(),
        own.chain.as_bytes(),
        own.key.as_bytes(),
    );
    send(port, tls.unwrap().server_name("broker.example").unwrap()).await;
    assert!(soon(served).await.unwrap().is_some());
}

#[tokio::test]
async fn whom_nobody_vouches_for_is_code_1() {
    let (authority, other) = (Authority::new(), Authority::new());
    for (name, roots) in [("127.0.0.1", &other), ("broker.example", &authority)] {
        let (port, served) = serve(&authority.certify(name), None).await;
        let roots = [roots.0.der().to_vec()];
        let client = Client::builder("127.0.0.1", port).tls(Tls::with_roots_der(roots).unwrap());
        let error = soon(client.connect()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::CantConnect);
        let beginning = format!("Can't connect to 127.0.0.1:{port}: TLS: invalid peer certificate");
        assert!(error.message.starts_with(&beginning), "{error}");
        assert_eq!(soon(served).await.unwrap(), None);
    }
}

#[test]
fn certificates_that_are_none_are_named() {
    let authority = Authority::new();
    let roots = authority.pem();
    let text = |tls: Result<Tls, TlsError>| tls.expect_err("it can't be used").to_string();
    assert!(text(Tls::with_roots_pem(b"")).contains("no certificate among the trusted roots"));
    assert!(text(Tls::with_roots_der([])).contains("no certificate among the trusted roots"));
    assert!(text(Tls::with_roots_der([b"x".to_vec()])).contains("the trusted roots can't be read"));
    let own = authority.certify("me");
    let keyless = Tls::with_own_certificate_pem(roots.as_bytes(), own.chain.as_bytes(), b"secret");
    let keyless = text(keyless);
    assert!(keyless.contains("key of the own certificate") && !keyless.contains("secret"));
    let named = Tls::with_roots_pem(roots.as_bytes())
        .unwrap()
        .server_name("a b");
    assert_eq!(named.err(), Some(TlsError::ServerName("a b".into())));
}
