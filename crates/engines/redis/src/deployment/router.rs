//! Which connection leads to a key.

use super::cluster::Cluster;
use super::dial::{self, Dialer};
use super::failure::Failure;
use super::lane::{Lane, Way};
use super::open::Patience;
use super::sentinel::Sentinels;
use super::url::{Host, Place, RedisUrl};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Connections to all servers of a deployment that are needed.
#[derive(Debug)]
pub(super) enum Router {
    /// To one server.
    One(Arc<Lane>),
    /// To whoever is the master.
    Master(Arc<Lane>),
    /// To the owners of slots.
    Cluster(Box<Cluster>),
}

/// How connections of a router are made.
#[derive(Debug)]
pub(super) struct LaneMaker {
    pub(super) dialer: Arc<Dialer>,
    pub(super) name: Option<String>,
    pub(super) answer_timeout: Duration,
    /// Of connections whose commands may take any time: the router whose don't, to ask whether a server is there.
    pub(super) asking: Option<Arc<Router>>,
}

impl LaneMaker {
    /// A connection to a node of a cluster.
    pub(super) fn node(&self, host: &Host) -> Lane {
        let patience = match self.asking.as_deref() {
            Some(Router::Cluster(cluster)) => {
                Patience::Asking(self.answer_timeout, cluster.lane_to(host))
            }
            _ => self.patience(),
        };
        self.lane(Way::To(Box::new(self.dialer.host(host))), patience, true)
    }

    fn patience(&self) -> Patience {
        match self.asking.as_deref() {
            Some(Router::One(lane) | Router::Master(lane)) => {
                Patience::Asking(self.answer_timeout, lane.clone())
            }
            Some(Router::Cluster(_)) | None => Patience::Bound(self.answer_timeout),
        }
    }

    fn lane(&self, way: Way, patience: Patience, several: bool) -> Lane {
        let name = self.name.clone();
        Lane::new(self.dialer.clone(), way, name, patience, several)
    }
}

impl Router {
    pub(super) fn new(url: &RedisUrl, maker: LaneMaker) -> Self {
        let way = match &url.place {
            Place::Sentinel { sentinels, service } => {
                let sentinels = Sentinels::new(sentinels.clone(), service.clone());
                Way::Master(Arc::new(sentinels))
            }
            Place::Cluster(nodes) => {
                let cluster = Cluster::new(nodes.clone(), maker);
                return Self::Cluster(Box::new(cluster));
            }
            place => {
                let only = dial::only(&maker.dialer, place);
                Way::To(Box::new(only.expect("all others are one server")))
            }
        };
        let several = matches!(way, Way::Master(_));
        let lane = Arc::new(maker.lane(way, maker.patience(), several));
        if several {
            Self::Master(lane)
        } else {
            Self::One(lane)
        }
    }

    /// The connection for a slot.
    ///
    /// # Errors
    /// [`Failure::NotSent`]: it isn't known whose it is.
    pub(super) async fn lane(&self, slot: u16, deadline: Instant) -> Result<Arc<Lane>, Failure> {
        match self {
            Self::One(lane) | Self::Master(lane) => Ok(lane.clone()),
            Self::Cluster(cluster) => cluster.lane(slot, deadline).await,
        }
    }

    /// The nodes of a cluster.
    pub(super) fn nodes(&self) -> Vec<Host> {
        match self {
            Self::One(_) | Self::Master(_) => Vec::new(),
            Self::Cluster(cluster) => cluster.nodes(),
        }
    }

    /// A server did not do as was thought of it.
    pub(super) fn doubt(&self) {
        if let Self::Cluster(cluster) = self {
            cluster.doubt();
        }
    }

    /// Whether somebody else may be the master now.
    pub(super) const fn has_several(&self) -> bool {
        matches!(self, Self::Master(_) | Self::Cluster(_))
    }
}
