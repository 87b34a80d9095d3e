//! The suite that every engine passes, on a real server. Its groups run beside each other.

use std::sync::Arc;
use std::time::Duration;
use trunkline_conformance::{BoxFuture, Factory, Fixture, run};
use trunkline_engine_redis::{RedisConfig, RedisEngine};
use trunkline_model::{Engine, Health};
use trunkline_test_servers::Redis;

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

/// Runs the cases of some groups.
async fn passes(name: &'static str, groups: &[&str]) {
    let Some(server) = Redis::start() else {
        return;
    };
    let factory = Server {
        name,
        url: server.url(),
    };
    let asked = std::env::var("TRUNKLINE_CASE").ok();
    for group in groups {
        if asked.as_ref().is_none_or(|asked| asked.starts_with(group)) {
            let only = asked.clone().unwrap_or_else(|| format!("{group}: "));
            let report = run(&factory, Some(&only)).await;
            println!("{report}");
            assert!(report.is_ok(), "{report}");
        }
    }
}

macro_rules! groups {
    ($($test:ident: $groups:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                passes("redis", &$groups).await;
            }
        )*
    };
}

groups! {
    redis_passes_order_and_acks: ["order", "acks", "batches", "admin"];
    redis_passes_timing_and_delays: ["timing", "delays"];
    redis_passes_dead_letters: ["dead letters", "looking"];
    redis_passes_dedupe: ["dedupe", "groups", "altering"];
    redis_passes_subscriptions_and_flow: ["subscriptions", "flow", "bounds"];
    redis_passes_lifecycle: ["lifecycle", "channels"];
}
