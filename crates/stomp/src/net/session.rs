//! What decides for a client: a session with one server, or with a cluster.

use crate::{
    ClientEffect, ClientSession, ClientSettings, ClusterEffect, ClusterSession, Lost, NodeSettings,
    Operation, OperationId,
};
use bytes::BytesMut;
use std::time::Duration;
use trunkline_model::Timestamp;

/// One or the other.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a client has one")]
pub(crate) enum Session {
    One(ClientSession),
    Cluster(ClusterSession),
}

/// What either says.
pub(crate) enum Said {
    ByOne(ClientEffect),
    ByCluster(ClusterEffect),
}

/// The same of either.
macro_rules! either {
    ($self:ident, $session:ident => $act:expr) => {
        match $self {
            Session::One($session) => $act,
            Session::Cluster($session) => $act,
        }
    };
}

impl Session {
    /// `watched` matters to a cluster only.
    pub(crate) fn execute(
        &mut self,
        now: Timestamp,
        operation: Operation,
        watched: bool,
    ) -> OperationId {
        match self {
            Self::One(session) => session.execute(now, operation),
            Self::Cluster(session) => session.execute(now, operation, watched),
        }
    }

    /// Ends a subscription of an `id`; nobody waits for that.
    pub(crate) fn abandon(&mut self, now: Timestamp, subscription: OperationId, id: &str) {
        match self {
            Self::One(session) => {
                session.execute(now, Operation::unsubscribe().with("id", id));
            }
            Self::Cluster(session) => session.abandon(now, subscription),
        }
    }

    pub(crate) fn opened(&mut self, now: Timestamp) {
        either!(self, session => session.opened(now));
    }

    pub(crate) fn open_failed(&mut self, now: Timestamp, why: &str) {
        either!(self, session => session.open_failed(now, why));
    }

    pub(crate) fn receive(&mut self, now: Timestamp, input: &mut BytesMut) {
        either!(self, session => session.receive(now, input));
    }

    pub(crate) fn lost(&mut self, now: Timestamp, lost: Lost) {
        either!(self, session => session.lost(now, lost));
    }

    pub(crate) fn tick(&mut self, now: Timestamp) {
        either!(self, session => session.tick(now));
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        either!(self, session => session.next_deadline())
    }

    pub(crate) fn take_output(&mut self) -> BytesMut {
        either!(self, session => session.take_output())
    }

    pub(crate) fn paused(&mut self, now: Timestamp) {
        either!(self, session => session.paused(now));
    }

    pub(crate) fn is_ready(&self) -> bool {
        either!(self, session => session.is_ready())
    }

    pub(crate) fn is_idle(&self) -> bool {
        either!(self, session => session.is_idle())
    }

    pub(crate) fn set_connection_timeout(&mut self, timeout: Option<Duration>) {
        either!(self, session => session.set_connection_timeout(timeout));
    }

    pub(crate) fn set_reconnect_interval(&mut self, interval: Option<Duration>) {
        either!(self, session => session.set_reconnect_interval(interval));
    }

    pub(crate) fn written(&mut self, now: Timestamp) {
        match self {
            Self::One(session) => session.written(),
            Self::Cluster(session) => session.written(now),
        }
    }

    pub(crate) fn force_disconnect(&mut self, now: Timestamp) {
        match self {
            Self::One(session) => session.force_disconnect(),
            Self::Cluster(session) => session.force_disconnect(now),
        }
    }

    /// The client is not used any more.
    pub(crate) fn destroy(&mut self, now: Timestamp) {
        match self {
            Self::One(session) => session.destroy(),
            Self::Cluster(session) => session.force_disconnect(now),
        }
    }

    pub(crate) fn next_effect(&mut self) -> Option<Said> {
        match self {
            Self::One(session) => session.next_effect().map(Said::ByOne),
            Self::Cluster(session) => session.next_effect().map(Said::ByCluster),
        }
    }

    /// What holds for all servers.
    pub(crate) fn settings(&self) -> &ClientSettings {
        match self {
            Self::One(session) => session.settings(),
            Self::Cluster(session) => &session.settings().client,
        }
    }

    /// Whom it talks to, for people.
    pub(crate) fn peer(&self) -> String {
        match self {
            Self::One(session) => session.settings().peer.clone(),
            Self::Cluster(session) => {
                let nodes = session.settings().nodes.iter().map(NodeSettings::peer);
                nodes.collect::<Vec<_>>().join(",")
            }
        }
    }

    /// The number of the server that it talks to, or would.
    pub(crate) fn active(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Cluster(session) => session.active(),
        }
    }
}
