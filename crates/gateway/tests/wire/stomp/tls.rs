//! `stomp+ssl`.

use super::{super::server, StompClient};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use server::{on_free_ports, services};
use std::{fs, net::SocketAddr, path::Path, sync::Arc};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use trunkline_engine_embedded::{Embedded, EmbeddedConfig};
use trunkline_gateway::{BindError, Gateway, GatewayConfig};
use trunkline_model::Span;

/// Writes a new certificate for `localhost` and its key; a client that trusts no other.
fn certify(dir: &Path) -> TlsConnector {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

fn with_tls(dir: &Path) -> GatewayConfig {
    let mut config = on_free_ports();
    config.stomp.tls.listen = "127.0.0.1:0".parse().unwrap();
    config.stomp.tls.certificate = dir.join("cert.pem");
    config.stomp.tls.key = dir.join("key.pem");
    config
}

async fn bind(config: GatewayConfig) -> Result<Gateway, BindError> {
    let engine = Embedded::open(EmbeddedConfig::memory()).unwrap();
    Gateway::bind(config, services(engine)).await
}

async fn connect(
    connector: &TlsConnector,
    address: SocketAddr,
) -> std::io::Result<StompClient<TlsStream<TcpStream>>> {
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).await?;
    let mut client = StompClient::over(connector.connect(name, stream).await?);
    client.log_in().await;
    Ok(client)
}

#[tokio::test]
async fn sessions_run_over_tls_and_a_new_certificate_is_taken_up() {
    let dir = TempDir::new().unwrap();
    let old = certify(dir.path());
    let gateway = bind(with_tls(dir.path())).await.unwrap();
    let (address, counters) = (gateway.stomp_tls_addr().unwrap(), gateway.counters());
    let reload = gateway.tls_reload().unwrap();
    let running = tokio::spawn(gateway.run(std::future::pending()));

    let mut client = connect(&old, address).await.unwrap();
    let large = "x".repeat(1 << 20);
    client
        .send(&format!(
            "SEND\ndestination:/queue/q\nreceipt:1\n\n{large}\0"
        ))
        .await;
    assert_eq!(client.receipt().await, "1");

    let new = certify(dir.path());
    assert!(connect(&new, address).await.is_err());
    reload().unwrap();
    connect(&new, address).await.unwrap();
    fs::write(dir.path().join("key.pem"), "nonsense").unwrap();
    let error = reload().unwrap_err().to_string();
    assert!(error.starts_with("no private key in "), "{error}");
    connect(&new, address).await.unwrap();
    assert!(counters.tls_failures.get() > 0);

    // Who was there already stays.
    client.send("DISCONNECT\nreceipt:2\n\n\0").await;
    assert_eq!(client.receipt().await, "2");
    assert!(client.next().await.is_none());
    running.abort();
}

#[tokio::test]
async fn who_does_not_speak_tls_is_closed() {
    let dir = TempDir::new().unwrap();
    certify(dir.path());
    let mut config = with_tls(dir.path());
    config.stomp.connect_timeout = Span(std::time::Duration::from_millis(20));
    let gateway = bind(config).await.unwrap();
    let address = gateway.stomp_tls_addr().unwrap();
    let running = tokio::spawn(gateway.run(std::future::pending()));
    let dial = async || StompClient::over(TcpStream::connect(address).await.unwrap());
    // One says nothing, the other the wrong thing.
    let (silent, mut plain) = (dial().await, dial().await);
    plain.send("CONNECT\naccept-version:1.2\n\n\0").await;
    for mut client in [silent, plain] {
        let mut rest = Vec::new();
        // An alert may come before the end, which may be a reset.
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut client.stream, &mut rest).await;
        assert!(!rest.starts_with(b"CONNECTED"));
    }
    running.abort();
}

#[tokio::test]
async fn files_that_can_not_be_used_are_named() {
    let dir = TempDir::new().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let mut config = with_tls(dir.path());
    let refused = async |config: &GatewayConfig| {
        let error = bind(config.clone()).await.unwrap_err();
        assert!(matches!(error, BindError::Tls(_)), "{error:?}");
        error.to_string()
    };
    let said = refused(&config).await;
    let says = format!("stomp.tls: can't read certificate {}: ", cert.display());
    assert!(said.starts_with(&says), "{said}");

    certify(dir.path());
    config.stomp.tls.certificate = key.clone();
    let said = refused(&config).await;
    let says = format!("stomp.tls: no certificate in {}; ", key.display());
    assert!(said.starts_with(&says), "{said}");

    // The key of another certificate.
    config.stomp.tls.certificate = cert.clone();
    let kept = fs::read(&cert).unwrap();
    certify(dir.path());
    fs::write(&cert, kept).unwrap();
    let said = refused(&config).await;
    assert!(said.contains("can't be used"), "{said}");
    assert!(said.contains(&*key.to_string_lossy()), "{said}");

    // Without a certificate nothing listens.
    config.stomp.tls.certificate = "".into();
    assert_eq!(bind(config).await.unwrap().stomp_tls_addr(), None);
}
