//! The engine of a server: opened here, or somewhere else.

use super::StartError;
use crate::{Config, config::EngineUrl};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use trunkline_engine_embedded::{Embedded, EmbeddedConfig, Location};
use trunkline_engine_redis::{Deployment, RedisConfig, RedisEngine, RedisUrl, redis};
use trunkline_journal::{Config as JournalConfig, RecoveryReport};
use trunkline_model::{Clock, Engine, Health, SystemClock, Timestamp};

/// Longest wait for a Redis at the start, unless the start is to wait: connecting takes 5 s at most, and then
/// it is known why it failed.
pub(super) const REACH_WITHIN: Duration = Duration::from_secs(7);

/// An engine that can be used.
pub(crate) struct Opened {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) recovery: Option<RecoveryReport>,
}

/// What a server is doing until its engine is there, and the Redis of wires of calls if it has such.
pub(super) fn doing(url: &EngineUrl, wires: bool) -> &'static str {
    match url {
        EngineUrl::Embedded(_) if wires => "recovering the store, and waiting for Redis",
        EngineUrl::Embedded(_) => "recovering the store",
        EngineUrl::Redis(_) => "waiting for Redis",
    }
}

/// Opens the engine that the configuration names. One that is elsewhere has 5 s to answer, or with
/// `wait` as long as it takes.
pub(crate) async fn open(
    config: &Config,
    url: EngineUrl,
    wait: bool,
) -> Result<Opened, StartError> {
    match url {
        EngineUrl::Embedded(location) => {
            let engine = embedded(embedded_config(config, location)).await?;
            Ok(Opened {
                clock: engine.clock(),
                recovery: engine.recovery().cloned(),
                engine,
            })
        }
        EngineUrl::Redis(url) => on_redis(config, *url, wait).await,
    }
}

/// Opens a store where waiting disturbs nobody: recovery reads files.
///
/// Where that is possible, this is the calling thread, which for a program is mostly its main one:
/// glibc enlarges the heap of any other thread page by page, with a system call each, and a
/// backlog of a million messages needs thousands of them.
async fn embedded(config: EmbeddedConfig) -> Result<Arc<Embedded>, StartError> {
    let flavor = tokio::runtime::Handle::current().runtime_flavor();
    if flavor == tokio::runtime::RuntimeFlavor::MultiThread {
        return Ok(tokio::task::block_in_place(|| Embedded::open(config))?);
    }
    let opening = tokio::task::spawn_blocking(move || Embedded::open(config));
    Ok(opening.await.expect("opening doesn't panic")?)
}

fn embedded_config(config: &Config, location: Location) -> EmbeddedConfig {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let section = &config.engine;
    EmbeddedConfig {
        auto_create: config.topics.auto_create,
        defaults: config.topics.defaults.clone(),
        journal: JournalConfig {
            segment_bytes: u32::try_from(section.segment_bytes.0).unwrap_or(u32::MAX),
            cache_bytes: size(section.cache_bytes.0),
            ..JournalConfig::default()
        },
        ..EmbeddedConfig::new(location)
    }
}

/// Asks a Redis for a sign of life, for 5 s or so.
///
/// # Errors
/// What is wrong, for people.
pub(crate) async fn reach(url: &RedisUrl) -> Result<Deployment, String> {
    let deployment = Deployment::new(url.clone()).map_err(|error| error.to_string())?;
    let ping = redis::cmd("PING");
    match timeout(REACH_WITHIN, deployment.one::<redis::Value>(b"", &ping)).await {
        Ok(Ok(_)) => Ok(deployment),
        Ok(Err(failure)) => Err(failure.to_string()),
        Err(_) => Err(silent()),
    }
}

/// What the server can't do though its URL asks for it.
async fn lacks(url: &RedisUrl) -> Option<String> {
    let deployment = Deployment::new(url.clone()).ok()?;
    let features = timeout(REACH_WITHIN, deployment.features()).await.ok()?;
    // What can't be known now is said when it happens.
    features.ok()?.lacks(url)
}

/// What is said of a Redis that says nothing.
pub(super) fn silent() -> String {
    format!("no answer within {} s", REACH_WITHIN.as_secs())
}

/// Starts on a Redis once it answers: in 5 s at most, or with `wait` however long that takes.
async fn on_redis(config: &Config, url: RedisUrl, wait: bool) -> Result<Opened, StartError> {
    let shown = url.to_string();
    let unreachable = |reason: String| StartError::Unreachable {
        engine: shown.clone(),
        reason,
    };
    if !wait {
        reach(&url).await.map_err(unreachable)?;
    }
    let engine = RedisEngine::start(RedisConfig {
        auto_create: config.topics.auto_create,
        defaults: config.topics.defaults.clone(),
        lease: config.engine.lease.0,
        ..RedisConfig::new(url.clone())
    });
    let engine = engine.map_err(|error| unreachable(error.to_string()))?;
    let mut health = engine.health();
    let mut why = "it didn't answer".to_owned();
    let reached = async {
        loop {
            match health.borrow_and_update().clone() {
                Health::Ready | Health::Degraded(_) | Health::ReadOnly(_) => return true,
                Health::Failed(reason) | Health::Starting(reason) => why = reason,
                _ => return false,
            }
            if health.changed().await.is_err() {
                return false;
            }
        }
    };
    let reached = if wait {
        reached.await
    } else {
        timeout(REACH_WITHIN, reached).await.unwrap_or(false)
    };
    if !reached {
        engine.close(Duration::ZERO);
        return Err(unreachable(why));
    }
    if let Some(lacks) = lacks(&url).await {
        engine.close(Duration::ZERO);
        return Err(unreachable(format!("it {lacks}")));
    }
    Ok(Opened {
        engine,
        clock: Arc::new(SystemClock::new(Timestamp::ZERO)),
        recovery: None,
    })
}
