//! The wires that categories of calls name.

use super::{StartError, engine};
use crate::config::{CONSUMER_GROUPS, Config, ConfigError, RPCPROCESSOR, redis_url};
use compact_str::CompactString;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};
use trunkline_engine_redis::{ConsumerGroups, Deployment, RpcProcessor};
use trunkline_gateway::Dependency;
use trunkline_model::{CallWire, Clock, Health};

/// Between two looks at a Redis that is waited for.
const AGAIN: Duration = Duration::from_secs(1);

/// A wire besides the engine's own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WireInfo {
    /// Its name, as in `calls.categories.NAME.wire`.
    pub name: &'static str,
    /// Where it is, without credentials.
    pub url: String,
    /// The categories that use it.
    pub categories: Vec<String>,
}

/// The wires of a server, and what they are.
#[derive(Default)]
pub(super) struct Wires {
    pub(super) wires: BTreeMap<CompactString, Arc<dyn CallWire>>,
    pub(super) infos: Vec<WireInfo>,
    /// The Redis of each.
    pub(super) dependencies: Vec<Dependency>,
}

/// Makes the wires that are used, once their Redis is there and can be used: that takes 5 s at most, or with `wait`
/// as long as it does. Whatever is lost later comes back by itself.
pub(super) async fn make(
    config: &Config,
    clock: &Arc<dyn Clock>,
    wait: bool,
) -> Result<Wires, StartError> {
    let mut made = Wires::default();
    let sections = &config.calls.wires;
    for (name, key, url) in [
        (
            CONSUMER_GROUPS,
            "consumer_groups",
            &sections.consumer_groups.url,
        ),
        (RPCPROCESSOR, "rpcprocessor", &sections.rpcprocessor.url),
    ] {
        let users = config.calls.of_wire(name);
        let categories: Vec<String> = users.map(|(name, _)| name.to_string()).collect();
        if categories.is_empty() {
            continue;
        }
        let url = if url.is_empty() {
            &config.engine.url
        } else {
            url
        };
        let wrong = |reason: String| ConfigError::Meaning {
            key: format!("calls.wires.{key}"),
            reason,
        };
        let url = redis_url(url).map_err(wrong)?;
        let info = WireInfo {
            name,
            url: url.to_string(),
            categories,
        };
        let deployment = Deployment::new(url).map_err(|error| wrong(error.to_string()))?;
        let wire = one(config, name, deployment.clone(), clock).map_err(wrong)?;
        let wire = reach(wire, &deployment, &info, wait).await?;
        made.wires.insert(name.into(), wire);
        let mut health = deployment.health();
        // It has just answered, and does so again at once.
        let known = health.wait_for(|health| !matches!(health, Health::Starting(_)));
        let _ = timeout(engine::REACH_WITHIN, known).await;
        made.dependencies.push(Dependency {
            what: format!("calls over {}", used_by(&info)),
            health,
        });
        made.infos.push(info);
    }
    Ok(made)
}

/// One that is made, and can be asked whether its Redis lets it do what it does.
enum Made {
    Streams(ConsumerGroups),
    Lists(RpcProcessor),
}

fn one(
    config: &Config,
    name: &str,
    deployment: Deployment,
    clock: &Arc<dyn Clock>,
) -> Result<Made, String> {
    let (sections, clock) = (&config.calls.wires, clock.clone());
    if name == RPCPROCESSOR {
        let options = sections.rpcprocessor.options();
        let options = options.map_err(|error| error.to_string())?;
        return Ok(Made::Lists(RpcProcessor::new(deployment, options, clock)));
    }
    let options = sections.consumer_groups.options();
    Ok(Made::Streams(ConsumerGroups::new(
        deployment, options, clock,
    )))
}

/// A wire whose Redis can be used.
async fn reach(
    made: Made,
    deployment: &Deployment,
    info: &WireInfo,
    wait: bool,
) -> Result<Arc<dyn CallWire>, StartError> {
    let categories: Vec<&str> = info.categories.iter().map(String::as_str).collect();
    let look = async || {
        let looked = async {
            match &made {
                Made::Streams(wire) => wire.check(&categories).await,
                Made::Lists(wire) => wire.check().await,
            }
        };
        match timeout(engine::REACH_WITHIN, looked).await {
            Ok(looked) => looked.map_err(|failure| failure.to_string()),
            Err(_) => Err(engine::silent()),
        }
    };
    let mut told = String::new();
    while let Err(reason) = look().await {
        if !wait {
            return Err(StartError::Wire {
                wire: used_by(info),
                url: deployment.url().to_string(),
                reason,
            });
        }
        if reason != told {
            let wire = used_by(info);
            tracing::warn!("calls over {wire} wait for their Redis: {reason}");
            told = reason;
        }
        sleep(AGAIN).await;
    }
    Ok(match made {
        Made::Streams(wire) => Arc::new(wire),
        Made::Lists(wire) => Arc::new(wire),
    })
}

/// A wire and who uses it, for people.
fn used_by(info: &WireInfo) -> String {
    let word = match info.categories.len() {
        1 => "category",
        _ => "categories",
    };
    format!("{} ({word} {})", info.name, info.categories.join(", "))
}
