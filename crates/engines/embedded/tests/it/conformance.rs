//! The suite that every engine passes, on a clock that the suite moves.

use crate::support::START;
use std::{sync::Arc, time::Duration};
use tempfile::TempDir;
use trunkline_conformance::{BoxFuture, Factory, Fixture, run};
use trunkline_engine_embedded::{Embedded, EmbeddedConfig, Location};
use trunkline_model::{Engine, Health, ManualClock};

enum Kind {
    Memory,
    Embedded,
}

struct Subject {
    engine: Arc<Embedded>,
    clock: Arc<ManualClock>,
    directory: Option<TempDir>,
}

fn open(clock: &Arc<ManualClock>, directory: Option<&TempDir>) -> Arc<Embedded> {
    let location = directory.map_or(Location::Memory, |d| Location::Directory(d.path().into()));
    let mut config = EmbeddedConfig::new(location);
    config.clock = Some(clock.clone());
    config.journal.segment_bytes = 1 << 20;
    Embedded::open(config).expect("an empty directory opens")
}

impl Factory for Kind {
    fn name(&self) -> String {
        match self {
            Self::Memory => "memory:".into(),
            Self::Embedded => "embedded:".into(),
        }
    }

    fn restarts(&self) -> bool {
        matches!(self, Self::Embedded)
    }

    fn make(&self) -> BoxFuture<'_, Box<dyn Fixture>> {
        let directory = match self {
            Self::Memory => None,
            Self::Embedded => Some(TempDir::new().expect("a temporary directory")),
        };
        let clock = Arc::new(ManualClock::new(START));
        let subject = Subject {
            engine: open(&clock, directory.as_ref()),
            clock,
            directory,
        };
        Box::pin(async { Box::new(subject) as Box<dyn Fixture> })
    }
}

impl Fixture for Subject {
    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    fn advance(&self, span: Duration) -> bool {
        self.clock.advance(span);
        self.engine.tick();
        true
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            while !self.engine.is_idle() {
                tokio::time::sleep(Duration::from_millis(1)).await;
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
            self.engine = open(&self.clock, self.directory.as_ref());
        })
    }
}

async fn passes(kind: Kind) {
    let only = std::env::var("TRUNKLINE_CASE").ok();
    let report = run(&kind, only.as_deref()).await;
    println!("{report}");
    assert!(report.is_ok(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_passes() {
    passes(Kind::Memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_passes() {
    passes(Kind::Embedded).await;
}
