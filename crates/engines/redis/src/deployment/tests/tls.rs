//! Over TLS.

use super::super::{Deployment, Failure, RedisUrl, RedisUrlError};
use super::{active, deployment, hears, multiplexer, soon};
use futures_util::StreamExt;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::fs;
use std::path::Path;
use trunkline_mpx::{Event, QueueOptions};
use trunkline_test_servers::{Redis, RedisCluster, RedisSentinel, ports};

/// A root, and a server's certificate for `localhost` and 127.0.0.1, as files.
fn certificates(directory: &Path) {
    let mut root = CertificateParams::new(Vec::new()).expect("no names");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // What it signs would look as if it had signed itself, had it the same name.
    root.distinguished_name.push(DnType::CommonName, "root");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_and_their_master_are_reached_and_followed() {
    let directory = tempfile::tempdir().expect("a directory");
    certificates(directory.path());
    let start = || RedisSentinel::start_over_tls(directory.path());
    let Some(trio) = tokio::task::block_in_place(start) else {
        return;
    };
    let ca = directory.path().join("ca.pem").display().to_string();
    let redis = deployment(&format!(
        "{}?tls=true&ca={ca}&connect_timeout=30s",
        trio.url()
    ));
    let () = redis.say(&["SET", "a", "1"]).await.expect("it is set");
    let mpx = multiplexer(&redis);
    let (news, mut events) = mpx.channels_stream(QueueOptions::default());
    news.add(["news"]).expect("it is open");
    active(&mut events).await;
    hears(&redis, &mut events, "before").await;
    let _ = tokio::task::block_in_place(|| trio.failover());
    let lost = soon(events.next()).await;
    assert!(matches!(lost, Some(Event::Lost { .. })), "{lost:?}");
    active(&mut events).await;
    hears(&redis, &mut events, "after").await;
    let plain = deployment(&format!("{}?connect_timeout=2s", trio.url()));
    let failure = soon(plain.say::<()>(&["SET", "a", "1"])).await;
    let failure = failure.expect_err("they speak TLS");
    assert!(matches!(failure, Failure::NotSent { .. }), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_of_a_cluster_are_reached() {
    let directory = tempfile::tempdir().expect("a directory");
    certificates(directory.path());
    let start = || RedisCluster::start_over_tls(directory.path());
    let Some(cluster) = tokio::task::block_in_place(start) else {
        return;
    };
    let ca = directory.path().join("ca.pem").display().to_string();
    let redis = deployment(&format!(
        "{}?tls=true&ca={ca}&connect_timeout=30s",
        cluster.url()
    ));
    let set = async |key: &str| {
        let () = redis.say(&["SET", key, key]).await.expect("it is set");
        let is: String = redis.say(&["GET", key]).await.expect("it is there");
        assert_eq!(is, key);
    };
    for key in ["a", "b", "c", "d", "e", "f"] {
        set(key).await;
    }
    let mpx = multiplexer(&redis);
    let (news, mut events) = mpx.channels_stream(QueueOptions::default());
    news.add(["news"]).expect("it is open");
    active(&mut events).await;
    hears(&redis, &mut events, "here").await;
    // MOVED names the port for TLS, too.
    tokio::task::block_in_place(|| {
        let slot = cluster.slot("a");
        cluster.migrate_slot(slot, (cluster.owner(slot) + 1) % RedisCluster::MASTERS);
    });
    set("a").await;
}
