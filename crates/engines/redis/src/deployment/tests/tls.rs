//! Over TLS.

use super::super::{Deployment, Failure, RedisUrl, RedisUrlError};
use super::{deployment, soon};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::path::Path;
use trunkline_test_servers::{Redis, ports};

/// A root, and a server's certificate for `localhost` and 127.0.0.1, as files.
fn certificates(directory: &Path) {
    let mut root = CertificateParams::new(Vec::new()).expect("no names");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let root = CertifiedIssuer::self_signed(root, key).expect("a root");
    let names = ["localhost", "127.0.0.1"].map(ToOwned::to_owned);
    let server = CertificateParams::new(names).expect("names");
    let key = KeyPair::generate().expect("a key");
    let certificate = server.signed_by(&key, &root).expect("a certificate");
    for (name, text) in [
        ("ca.pem", root.pem()),
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        fs::write(directory.join(name), text).expect("it is written");
    }
}

#[tokio::test]
async fn a_server_is_trusted_by_the_roots_of_the_url() {
    let directory = tempfile::tempdir().expect("a directory");
    certificates(directory.path());
    let [port] = ports();
    let file = |name| directory.path().join(name).display().to_string();
    let Some(_server) = Redis::start_with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file("server.pem"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-ca-cert-file",
        &file("ca.pem"),
        "--tls-auth-clients",
        "no",
    ]) else {
        return;
    };
    let ca = file("ca.pem");
    for host in ["localhost", "127.0.0.1"] {
        let redis = deployment(&format!("rediss://{host}:{port}?ca={ca}"));
        let () = redis.say(&["SET", "a", "1"]).await.expect(host);
    }
    let stranger = deployment(&format!("rediss://localhost:{port}?connect_timeout=500ms"));
    let failure = stranger.say::<()>(&["SET", "a", "1"]).await;
    let failure = failure.expect_err("the system doesn't know the root");
    assert!(matches!(failure, Failure::NotSent { .. }), "{failure}");
    assert!(failure.to_string().contains("certificate"), "{failure}");

    let plain = deployment(&format!("redis://localhost:{port}?connect_timeout=500ms"));
    let failure = soon(plain.say::<()>(&["SET", "a", "1"])).await;
    let failure = failure.expect_err("it isn't spoken there");
    assert!(matches!(failure, Failure::NotSent { .. }), "{failure}");

    for file in ["server.key", "none.pem"] {
        let file = directory.path().join(file).display().to_string();
        let url: RedisUrl = format!("rediss://localhost?ca={file}")
            .parse()
            .expect("a URL");
        let error = Deployment::new(url).expect_err("no root is in it");
        assert!(matches!(error, RedisUrlError::Ca { .. }));
        assert!(error.to_string().contains(&file), "{error}");
    }
}
