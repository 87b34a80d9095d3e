//! What the session with the active node says.

use super::failover::is_stopping;
use super::operations::failure;
use super::{ClusterEffect, ClusterSession, Health};
use crate::{ClientEffect, ClientError, Command, ErrorCode, Frame, Lost, MessageTag, OperationId};
use trunkline_model::Timestamp;

impl ClusterSession {
    /// Does what follows from what happened, until nothing does.
    pub(super) fn go_on(&mut self, now: Timestamp) {
        loop {
            while let Some(effect) = self.next_of_session() {
                self.spend(now, effect);
            }
            self.leave_node_that_stops(now);
            let closed = self.link.as_ref().map(|link| link.session.is_idle());
            let more = match closed {
                Some(true) => {
                    self.end(now);
                    true
                }
                Some(false) => self.hand_over(now) || self.move_back(now),
                None => self.want_connection(now),
            };
            if !more {
                return;
            }
        }
    }

    /// It closes as well, but what waits had better not wait for that.
    fn leave_node_that_stops(&mut self, now: Timestamp) {
        if let Some(link) = &mut self.link
            && std::mem::take(&mut link.node_stops)
            && link.error.is_none()
        {
            self.effects.push_back(ClusterEffect::Close);
            link.session.lost(now, Lost::Closed);
            while let Some(effect) = self.next_of_session() {
                self.spend(now, effect);
            }
        }
    }

    fn next_of_session(&mut self) -> Option<ClientEffect> {
        self.link.as_mut()?.session.next_effect()
    }

    fn spend(&mut self, now: Timestamp, effect: ClientEffect) {
        let Some(link) = &mut self.link else {
            return;
        };
        let node = link.node;
        match effect {
            ClientEffect::Open => self.effects.push_back(ClusterEffect::Open { node }),
            ClientEffect::Close => self.effects.push_back(ClusterEffect::Close),
            ClientEffect::Connected => {
                self.effects
                    .push_back(ClusterEffect::NodeConnected { node });
            }
            ClientEffect::Ready { version, session } => {
                link.ready_at = Some(now);
                self.connecting = None;
                self.nodes[node].health = Health::Up;
                self.nodes[node].rests_until = Timestamp::ZERO;
                self.plan_probes(now);
                self.effects.push_back(ClusterEffect::NodeReady {
                    node,
                    version,
                    session,
                });
            }
            ClientEffect::Message {
                subscription,
                tag,
                frame,
            } => self.message(subscription, tag, frame),
            ClientEffect::Done { operation, receipt } => self.done(operation, receipt),
            ClientEffect::Failed { operation, error } => self.failed(operation, error),
            ClientEffect::Error(error) => {
                link.error = Some(error.clone());
                self.effects.push_back(ClusterEffect::NodeError {
                    node,
                    error,
                    operation: None,
                });
            }
            ClientEffect::SubscriptionLost {
                subscription,
                error,
            } => {
                if let Some(id) = link.names.remove(&subscription) {
                    self.interrupt(id, error);
                }
            }
            ClientEffect::Unsubscribed { subscription } => {
                if let Some(id) = link.names.get(&subscription).copied() {
                    self.end_subscription(id);
                }
            }
            ClientEffect::Disconnected => {
                // What a loss did away with is told before.
                link.tells_end = true;
                if link.error.is_none() {
                    self.tell_end();
                }
            }
        }
    }

    /// Says once that the connection is no more, if it ever was one.
    pub(super) fn tell_end(&mut self) {
        if let Some(link) = &mut self.link
            && std::mem::take(&mut link.tells_end)
        {
            let node = link.node;
            self.effects
                .push_back(ClusterEffect::NodeDisconnected { node });
        }
    }

    fn message(&mut self, subscription: OperationId, tag: MessageTag, frame: Frame) {
        let Some(link) = &self.link else {
            return;
        };
        let number = link.messages_before + tag.number;
        self.messages = number;
        if let Some(id) = link.names.get(&subscription) {
            self.effects.push_back(ClusterEffect::Message {
                subscription: OperationId(*id),
                tag: MessageTag {
                    subscription: *id,
                    number,
                },
                frame,
            });
        }
    }

    fn done(&mut self, name: OperationId, receipt: Option<Frame>) {
        let Some(link) = &mut self.link else {
            return;
        };
        if link.moves == Some(name) {
            link.left = true;
            return;
        }
        let Some(id) = link.names.get(&name).copied() else {
            return;
        };
        link.sent -= 1;
        let node = link.node;
        let operation = OperationId(id);
        let command = self.operations.get(id).map(|entry| entry.command());
        if command == Some(Command::Subscribe) {
            let effect = match self.operations.subscribed(id, name) {
                false => ClusterEffect::Done { operation, receipt },
                true => ClusterEffect::Resubscribed {
                    subscription: operation,
                    node,
                    receipt,
                },
            };
            self.effects.push_back(effect);
            return;
        }
        link.names.remove(&name);
        if command == Some(Command::Disconnect) {
            link.left = true;
        }
        self.remove(id);
        self.effects
            .push_back(ClusterEffect::Done { operation, receipt });
    }

    /// Of an operation that the server or the session refused, or that was lost.
    fn failed(&mut self, name: OperationId, error: ClientError) {
        let Some(link) = &mut self.link else {
            return;
        };
        if link.moves == Some(name) {
            return;
        }
        let Some(id) = link.names.remove(&name) else {
            return;
        };
        link.sent -= 1;
        let stops = is_stopping(&error);
        link.node_stops |= stops;
        if stops || link.error.is_some() && error.code != ErrorCode::ClosedByClient {
            link.failed.push((id, error));
        } else {
            self.fail(id, error);
        }
    }

    /// Takes an operation out of the table, and tells its error.
    pub(super) fn fail(&mut self, id: u64, error: ClientError) {
        if let Some(entry) = self.remove(id) {
            if let (Command::Begin, Some(transaction)) = (entry.command(), entry.transaction) {
                self.transactions.lose(transaction);
            }
            self.effects.push_back(failure(id, &entry, error));
        }
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<super::operations::Entry> {
        let entry = self.operations.remove(id)?;
        if let Some(transaction) = entry.transaction {
            self.transactions.finish(transaction);
        }
        Some(entry)
    }

    /// Of a subscription that will be made again, unless nobody wants it.
    pub(super) fn interrupt(&mut self, id: u64, error: ClientError) {
        if self.operations.get(id).is_some_and(|it| it.abandoned) {
            self.end_subscription(id);
            return;
        }
        self.operations.wait_again(id);
        self.effects.push_back(ClusterEffect::Interrupted {
            subscription: OperationId(id),
            error,
        });
    }

    pub(super) fn end_subscription(&mut self, id: u64) {
        if let Some(link) = &mut self.link {
            link.names.retain(|_, it| *it != id);
        }
        self.operations.remove(id);
        self.effects.push_back(ClusterEffect::Ended {
            subscription: OperationId(id),
        });
    }
}
