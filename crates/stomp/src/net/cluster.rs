//! What a cluster adds to a client: nodes by name, and probes of those that are not in use.

use super::core::Core;
use super::driver::{Shared, Steer};
use super::events::{Event, NodeEvent};
use super::socket::{self, Address};
use super::{Message, OnNodeError};
use crate::{
    ClientError, ClientSession, ClientSettings, ClusterEffect, Health, HeartBeat, Operation,
    OperationId,
};
use bytes::BytesMut;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use trunkline_model::Timestamp;

/// Longest time for a probe without a time-out of its own.
const PROBE_WITHIN: Duration = Duration::from_secs(10);

/// A server of a client, and how it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether operations go to it.
    pub active: bool,
    /// Whether a connection to it has accepted the login.
    pub connected: bool,
    /// What is known of it.
    pub health: Health,
}

/// A node to be probed.
pub(crate) struct Probe {
    node: usize,
    address: Address,
    settings: ClientSettings,
}

impl Core {
    /// Spends what a cluster's session has decided.
    pub(super) fn spend_of_cluster(&mut self, effect: ClusterEffect) {
        match effect {
            ClusterEffect::Open { node } => self.open(node),
            ClusterEffect::Close => self.steers.push_back(Steer::Close),
            ClusterEffect::Probe { node } => self.probe(node),
            ClusterEffect::NodeConnected { node } => {
                self.announce(node, NodeEvent::Connected);
                self.announcer.announce(Event::Connected);
            }
            ClusterEffect::NodeReady {
                node,
                version,
                session,
            } => {
                self.announce(node, NodeEvent::Ready);
                self.announcer.announce(Event::Ready { version, session });
            }
            ClusterEffect::NodeError {
                node,
                error,
                operation,
            } => self.node_error(node, error, operation),
            ClusterEffect::NodeDisconnected { node } => {
                self.announce(node, NodeEvent::Disconnected);
                self.announcer.announce(Event::Disconnected);
            }
            ClusterEffect::NotConnected { error } => self.error(error),
            ClusterEffect::Message {
                subscription,
                tag,
                frame,
            } => self.message(subscription, Message::new(tag, frame)),
            ClusterEffect::Done { operation, receipt } => self.settle(operation, Ok(receipt)),
            ClusterEffect::Failed { operation, error } => {
                self.end(operation, Some(error.clone()));
                self.settle(operation, Err(error));
            }
            ClusterEffect::Interrupted {
                subscription,
                error,
            } => {
                let id = self.subscription_id(subscription);
                self.announcer.announce(Event::SubscriptionInterrupted {
                    subscription,
                    id,
                    error,
                });
            }
            ClusterEffect::Resubscribed { subscription, .. } => {
                let id = self.subscription_id(subscription);
                self.announcer
                    .announce(Event::Resubscribed { subscription, id });
            }
            ClusterEffect::SubscriptionLost {
                subscription,
                error,
            } => self.lose_subscription(subscription, error),
            ClusterEffect::Ended { subscription } => {
                self.end(subscription, None);
            }
        }
    }

    fn announce(&self, node: usize, event: NodeEvent) {
        let address = &self.addresses[node];
        self.announcer.announce(Event::Node {
            host: address.host.clone(),
            port: address.port,
            event,
        });
    }

    fn node_error(&mut self, node: usize, error: ClientError, operation: Option<OperationId>) {
        let event = NodeEvent::Error {
            error: error.clone(),
            operation,
        };
        self.announce(node, event);
        let own = operation.and_then(|operation| self.watchers.get(&operation));
        if let Some(handler) = own.or(self.on_node_error.as_ref()) {
            let address = &self.addresses[node];
            self.node_errors.push(NodeErrorCall {
                handler: Arc::clone(handler),
                error,
                host: address.host.clone(),
                port: address.port,
            });
        }
    }

    fn probe(&mut self, node: usize) {
        if let (super::session::Session::Cluster(session), Some(probes)) =
            (&self.session, &self.probes)
        {
            let settings = session.probe_settings(node);
            let mut address = self.addresses[node].clone();
            address.timeout = settings.connection_timeout;
            // Only the end of the runtime ends who receives it.
            let _ = probes.send(Probe {
                node,
                address,
                settings,
            });
        }
    }

    fn probed(&mut self, now: Timestamp, node: usize, up: bool) {
        if let super::session::Session::Cluster(session) = &mut self.session {
            session.probed(now, node, up);
        }
        self.spend();
    }
}

/// A user's function that is to be called.
pub(super) struct NodeErrorCall {
    handler: OnNodeError,
    error: ClientError,
    host: String,
    port: u16,
}

impl NodeErrorCall {
    pub(super) fn call(self) {
        (self.handler)(&self.error, &self.host, self.port);
    }
}

/// Probes nodes until their client is gone.
#[expect(
    clippy::disallowed_methods,
    reason = "a node that hangs must not hold up the probe of another"
)]
pub(super) async fn probe_all(shared: Weak<Shared<Core>>, mut probes: UnboundedReceiver<Probe>) {
    while let Some(probe) = probes.recv().await {
        let shared = Weak::clone(&shared);
        tokio::spawn(async move {
            let within = probe.settings.connection_timeout.unwrap_or(PROBE_WITHIN);
            let node = probe.node;
            let up = timeout(within, accepts_login(probe)).await.unwrap_or(false);
            if let Some(shared) = shared.upgrade() {
                shared.with(|core, now| core.probed(now, node, up));
            }
        });
    }
}

/// Whether a node accepts the login, by a session that leaves at once.
async fn accepts_login(probe: Probe) -> bool {
    // It doesn't live long enough for time to matter.
    let now = Timestamp::ZERO;
    let mut settings = probe.settings;
    settings.heart_beat = HeartBeat::NONE;
    let mut session = ClientSession::new(settings, now);
    let Ok(mut socket) = socket::open(probe.address).await else {
        return false;
    };
    session.opened(now);
    let mut input = BytesMut::new();
    let mut was_ready = false;
    loop {
        let output = session.take_output();
        if socket.write_all(&output).await.is_err() || session.is_idle() {
            return was_ready;
        }
        match socket.read_buf(&mut input).await {
            Ok(0) | Err(_) => return was_ready,
            Ok(_) => session.receive(now, &mut input),
        }
        if session.is_ready() && !was_ready {
            was_ready = true;
            session.execute(now, Operation::disconnect());
        }
    }
}
