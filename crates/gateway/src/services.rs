use std::{fmt, sync::Arc};
use trunkline_auth::Access;
use trunkline_model::{Clock, Engine};
use trunkline_rpc::Calls;

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
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services")
            .field("version", &self.version)
            .field("engine_url", &self.engine_url)
            .finish_non_exhaustive()
    }
}
