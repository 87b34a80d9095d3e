//! Connections for what listens: to the one server, to the master of the moment, or to any node of a cluster.

use super::url::Place;
use super::{Deployment, dial, sentinel::Sentinels};
use crate::deployment::Failure;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use trunkline_model::Backoff;
use trunkline_mpx::{Connect, LinkError, MultiplexerOptions};

/// How the multiplexers of this crate behave, for channels and for answers to calls: as the library's do unless told, but
/// with waits of at most 100 ms between attempts to connect, with full jitter. So ten thousand names are heard again
/// within 200 ms of Redis being back, however long it was away.
#[must_use]
pub fn multiplexer_options() -> MultiplexerOptions {
    MultiplexerOptions {
        backoff: Backoff {
            max: Duration::from_millis(100),
            ..Backoff::RECONNECT
        },
        ..MultiplexerOptions::default()
    }
}

impl Deployment {
    /// Makes connections for a multiplexer. With sentinels, each is to the master that they name then; on a cluster, where
    /// every node hears what is published on any, the next node has its turn after each.
    pub(crate) fn connector(&self) -> Arc<dyn Connect> {
        let dialer = self.shared.dialer.clone();
        match &self.shared.url.place {
            Place::Sentinel { sentinels, service } => {
                let sentinels = Arc::new(Sentinels::new(sentinels.clone(), service.clone()));
                Arc::new(move || {
                    let (dialer, sentinels) = (dialer.clone(), sentinels.clone());
                    async move {
                        let master = sentinels.master(&dialer).await.map_err(link_error)?;
                        let stream = master.address.connect().await?;
                        Ok(master.guard(stream))
                    }
                })
            }
            Place::Cluster(_) => {
                let (commands, turn) = (self.shared.commands.clone(), AtomicUsize::new(0));
                Arc::new(move || {
                    let nodes = commands.nodes();
                    let turn = turn.fetch_add(1, Ordering::Relaxed);
                    let node = nodes[turn % nodes.len().max(1)].clone();
                    dialer.host(&node).connect()
                })
            }
            place => Arc::new(dial::only(&dialer, place).expect("all others are one server")),
        }
    }
}

fn link_error(failure: Failure) -> LinkError {
    let address = match &failure {
        Failure::NotSent { server, .. }
        | Failure::Unanswered { server, .. }
        | Failure::Refused { server, .. }
        | Failure::Replicas { server, .. }
        | Failure::Unconfirmed { server, .. }
        | Failure::Answer { server, .. } => server.clone(),
    };
    LinkError::Connect {
        address,
        source: Arc::new(io::Error::other(failure.to_string())),
    }
}
