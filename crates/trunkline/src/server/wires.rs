//! The wires that categories of calls name.

use super::StartError;
use crate::config::{CONSUMER_GROUPS, Config, ConfigError, RPCPROCESSOR, redis_url};
use compact_str::CompactString;
use std::{collections::BTreeMap, sync::Arc};
use trunkline_engine_redis::{ConsumerGroups, Deployment, RedisUrl, RpcProcessor};
use trunkline_model::{CallWire, Clock};

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
pub(super) type Wires = (BTreeMap<CompactString, Arc<dyn CallWire>>, Vec<WireInfo>);

/// Makes the wires that are used. They connect when there is something to do, and again whenever
/// that is lost.
pub(super) fn make(config: &Config, clock: &Arc<dyn Clock>) -> Result<Wires, StartError> {
    let (mut wires, mut infos): Wires = Default::default();
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
        let shown = url.to_string();
        let wire = one(config, name, url, clock.clone()).map_err(wrong)?;
        wires.insert(name.into(), wire);
        infos.push(WireInfo {
            name,
            url: shown,
            categories,
        });
    }
    Ok((wires, infos))
}

fn one(
    config: &Config,
    name: &str,
    url: RedisUrl,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn CallWire>, String> {
    let sections = &config.calls.wires;
    let deployment = Deployment::new(url).map_err(|error| error.to_string())?;
    if name == RPCPROCESSOR {
        let options = sections.rpcprocessor.options();
        let options = options.map_err(|error| error.to_string())?;
        return Ok(Arc::new(RpcProcessor::new(deployment, options, clock)));
    }
    let options = sections.consumer_groups.options();
    Ok(Arc::new(ConsumerGroups::new(deployment, options, clock)))
}
