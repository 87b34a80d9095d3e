use std::{fmt, sync::Arc};
use tokio::sync::watch;
use trunkline_auth::Access;
use trunkline_model::{Clock, Engine, Health};
use trunkline_rpc::Calls;

/// Something besides the engine that part of what clients ask for needs, such as the Redis of a wire of calls.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// What can't be done without it, for people: the beginning of a sentence.
    pub what: String,
    /// Whether it is there, as it changes.
    pub health: watch::Receiver<Health>,
}

impl Dependency {
    /// What is wrong with it, if it isn't ready.
    pub fn trouble(&self) -> Option<String> {
        let why = match &*self.health.borrow() {
            Health::Ready => return None,
            Health::Starting(why)
            | Health::Degraded(why)
            | Health::ReadOnly(why)
            | Health::Failed(why) => why.clone(),
            _ => "closed".to_owned(),
        };
        Some(format!("{}: {why}", self.what))
    }
}

/// What the gateway is the front of.
#[derive(Clone)]
pub struct Services {
    /// Topics and channels.
    pub engine: Arc<dyn Engine>,
    /// Calls and workers.
    pub calls: Arc<Calls>,
    /// Who may do what.
    pub access: Arc<Access>,
    /// The time, for what clients are told.
    pub clock: Arc<dyn Clock>,
    /// The server's version, as `rpc.info` tells it.
    pub version: &'static str,
    /// The engine, as `rpc.info` tells it: its URL without credentials.
    pub engine_url: String,
    /// What else is needed. As long as one of them isn't there, `/readyz` has a warning.
    pub dependencies: Vec<Dependency>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services")
            .field("version", &self.version)
            .field("engine_url", &self.engine_url)
            .finish_non_exhaustive()
    }
}
