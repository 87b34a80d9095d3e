//! Connections through TLS.

use crate::setup::{next, soon, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use trunkline_mpx::{
    ClusterAddress, Connect, Event, Multiplexer, MultiplexerOptions, QueueOptions, RedisAddress,
    ShardedMultiplexer, ShardedOptions,
};
use trunkline_test_servers::{Redis, RedisCluster, ports};

/// A server with a port for TLS beside its plain one.
struct Secure {
    server: Redis,
    port: u16,
    authority: CertifiedIssuer<'static, KeyPair>,
    /// With its certificate.
    _directory: tempfile::TempDir,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // What it signs would look as if it had signed itself, had it the same name.
    params
        .distinguished_name
        .push(DnType::CommonName, "authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn trusting(authority: &CertifiedIssuer<'static, KeyPair>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

impl Secure {
    /// Its certificate is for 127.0.0.1. `None` where there is no Redis to test with.
    fn start() -> Option<Self> {
        let authority = authority();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let [port] = ports();
        let server = Redis::start_with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &file("server.crt", certificate.pem()),
            "--tls-key-file",
            &file("server.key", key.serialize_pem()),
            "--tls-ca-cert-file",
            &file("authority.crt", authority.pem()),
            "--tls-auth-clients",
            "no",
        ])?;
        Some(Self {
            server,
            port,
            authority,
            _directory: directory,
        })
    }

    /// Trusts whom `authority` vouches for.
    fn address(&self, url: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> RedisAddress {
        let address = RedisAddress::new(url)
            .unwrap()
            .with_tls(trusting(authority));
        address.with_timeout(Duration::from_millis(500))
    }

    /// Why there is no connection to a URL.
    async fn refusal(&self, url: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> String {
        let attempt = soon(self.address(url, authority).connect()).await;
        attempt.err().expect("it is not to be trusted").to_string()
    }
}

#[tokio::test]
async fn messages_travel_through_tls() {
    let Some(on) = Secure::start() else { return };
    for query in ["", "?protocol=resp3"] {
        let url = format!("rediss://127.0.0.1:{}/{query}", on.port);
        let address = on.address(&url, &on.authority);
        let mpx = Multiplexer::new(address, MultiplexerOptions::default());
        let (subscription, mut events) = mpx.channels_stream(QueueOptions::default());
        subscription.add(["c"]).unwrap();
        assert_eq!(next(&mut events).await, "active:c");
        let client = redis::Client::open(on.server.url()).unwrap();
        let mut publisher = client.get_multiplexed_async_connection().await.unwrap();
        // More than TLS takes at once.
        let payload: Vec<u8> = (0..1_u32 << 20).map(|n| (n * 7 % 256) as u8).collect();
        let mut publish = redis::cmd("PUBLISH");
        publish.arg("c").arg(&payload);
        let () = publish.query_async(&mut publisher).await.unwrap();
        match soon(futures_util::StreamExt::next(&mut events)).await {
            Some(Event::Message { payload: got, .. }) => assert!(got == payload),
            other => panic!("{other:?}"),
        }
        // As many names as no socket takes at once.
        let names = (0..10_000).map(|n| format!("{n:0>200}"));
        let drain = tokio::spawn(async move {
            while futures_util::StreamExt::next(&mut events).await.is_some() {}
        });
        subscription.add(names).unwrap();
        until("the names", async || mpx.counters().active_now == 10_001).await;
        drain.abort();
    }
}

#[tokio::test]
async fn whom_nobody_vouches_for_is_not_spoken_to() {
    let Some(on) = Secure::start() else { return };
    let url = format!("rediss://127.0.0.1:{}/", on.port);
    let begins = format!("can't speak TLS with 127.0.0.1:{}: ", on.port);
    let unknown = on.refusal(&url, &authority()).await;
    assert!(unknown.starts_with(&begins), "{unknown}");
    assert!(unknown.contains("invalid peer certificate"), "{unknown}");

    let url = format!("rediss://localhost:{}/", on.port);
    let misnamed = on.refusal(&url, &on.authority).await;
    let says = "not valid for name \"localhost\"";
    assert!(misnamed.contains(says), "{misnamed}");
}

#[tokio::test]
async fn a_port_without_tls_is_said_to_be_one() {
    let Some(on) = Secure::start() else { return };
    // What TLS begins with is no command; whether Redis says so depends on the random bytes in it.
    let plain = on.server.url().replace("redis://", "rediss://");
    let text = on.refusal(&plain, &on.authority).await;
    let says = "if this is its port without TLS, use redis://";
    assert!(text.ends_with(says), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_of_a_cluster_speak_it() {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let start = || RedisCluster::start_over_tls(directory.path());
    let Some(cluster) = tokio::task::block_in_place(start) else {
        return;
    };
    let url = cluster.url().replace("redis-cluster", "rediss-cluster");
    let address: ClusterAddress = url.parse().unwrap();
    let address = address.with_tls(trusting(&authority));
    let mpx = ShardedMultiplexer::new(address, ShardedOptions::default());
    let (subscription, mut events) = mpx.shards_stream(QueueOptions::default());
    subscription.add(["a", "b", "c", "d"]).unwrap();
    let mut active = Vec::new();
    for _ in 0..4 {
        active.push(next(&mut events).await);
    }
    active.sort();
    assert_eq!(active, ["active:a", "active:b", "active:c", "active:d"]);
    assert_eq!(mpx.counters().shards_now, 3);
    // MOVED names the port for TLS, too.
    tokio::task::block_in_place(|| {
        let slot = cluster.slot("a");
        cluster.migrate_slot(slot, (cluster.owner(slot) + 1) % RedisCluster::MASTERS);
    });
    let event = soon(futures_util::StreamExt::next(&mut events)).await;
    assert!(matches!(event, Some(Event::Withdrawn { .. })), "{event:?}");
    assert_eq!(next(&mut events).await, "active:a");
}
