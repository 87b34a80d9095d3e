//! The suite that every engine passes, on real servers. Its groups run beside each other.

use std::sync::Arc;
use std::time::Duration;
use trunkline_conformance::{BoxFuture, Factory, Fixture, run};
use trunkline_engine_redis::{RedisConfig, RedisEngine};
use trunkline_model::{Engine, Health};
use trunkline_test_servers::{Redis, RedisCluster, RedisSentinel};

/// What is kept in memory alone is a reason to warn, and an engine that warns isn't quite ready.
const AOF: &[&str] = &["--appendonly", "yes"];

/// A server, and where engines find it.
struct Server {
    name: &'static str,
    url: String,
}

struct Subject {
    engine: Arc<RedisEngine>,
    url: String,
}

fn start(url: &str) -> Arc<RedisEngine> {
    let config = RedisConfig::new(url.parse().expect("a URL"));
    RedisEngine::start(config).expect("it starts")
}

impl Factory for Server {
    fn name(&self) -> String {
        self.name.into()
    }

    fn restarts(&self) -> bool {
        true
    }

    fn make(&self) -> BoxFuture<'_, Box<dyn Fixture>> {
        let url = self.url.clone();
        let engine = start(&url);
        Box::pin(async { Box::new(Subject { engine, url }) as Box<dyn Fixture> })
    }
}

impl Fixture for Subject {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // What one process does to another has no end that could be awaited: long enough to be there.
            let mut idle = 0;
            while idle < 10 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                idle = if self.engine.is_idle() { idle + 1 } else { 0 };
            }
        })
    }

    fn restart(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.engine.close(Duration::from_secs(10));
            let mut health = self.engine.health();
            let closed = health.wait_for(|health| *health == Health::Closed).await;
            assert!(closed.is_ok());
            drop(closed);
            self.engine = start(&self.url);
        })
    }
}

/// All groups, in portions that take about equally long.
const PORTIONS: [&[&str]; 6] = [
    &["order", "acks", "batches", "admin"],
    &["timing", "delays"],
    &["dead letters", "looking"],
    &["dedupe", "groups", "altering"],
    &["subscriptions", "flow", "bounds"],
    &["lifecycle", "channels"],
];

/// Runs the suite, several portions beside each other.
async fn passes(name: &'static str, url: String) {
    let server = Arc::new(Server { name, url });
    let portions = PORTIONS.map(|groups| {
        let server = server.clone();
        tokio::spawn(async move {
            for group in groups {
                portion(&server, group).await;
            }
        })
    });
    for portion in portions {
        portion.await.expect("all of it passes");
    }
}

async fn portion(server: &Server, group: &str) {
    let asked = std::env::var("TRUNKLINE_CASE").ok();
    if asked.as_ref().is_none_or(|asked| asked.starts_with(group)) {
        let only = asked.unwrap_or_else(|| format!("{group}: "));
        let report = run(server, Some(&only)).await;
        println!("{report}");
        assert!(report.is_ok(), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_passes() {
    let Some(server) = Redis::start_with(AOF) else {
        return;
    };
    passes("redis://", server.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_with_sentinels_passes() {
    let Some(servers) = RedisSentinel::start_with(AOF) else {
        return;
    };
    passes("redis-sentinel://", servers.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_passes() {
    let Some(servers) = RedisCluster::start_with(AOF) else {
        return;
    };
    passes("redis-cluster://", servers.url()).await;
}
