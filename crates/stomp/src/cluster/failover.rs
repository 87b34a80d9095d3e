//! Which node is next, and what is repeated there.

use super::asking::lost_message;
use super::settings::{PAUSES, STABLE_AFTER};
use super::{ClusterEffect, ClusterSession, Health, Link};
use crate::{ClientError, ClientSession, Command, ErrorCode, OperationId};
use std::collections::BTreeMap;
use trunkline_model::Timestamp;

/// How a connection ended, or the attempt to make one.
struct Ending {
    node: usize,
    error: ClientError,
    /// Whether the node had accepted the login.
    was_ready: bool,
}

impl ClusterSession {
    /// Chooses a node, if anything waits for one. Whether a connection is asked for now.
    pub(super) fn want_connection(&mut self, now: Timestamp) -> bool {
        let wanted = self.operations.any_waiting() || self.connecting.is_some();
        if self.link.is_some() || self.open_at.is_some() || !wanted {
            return false;
        }
        let count = self.nodes.len();
        let in_order = (0..count).map(|step| (self.active + step) % count);
        let merit = |node: &usize| {
            let node = &self.nodes[*node];
            (node.rests_until.max(now), node.health == Health::Down)
        };
        // The first of those that rest shortest, which is not at all if it can be; of these, of
        // those that may be up.
        let next = in_order.min_by_key(merit).unwrap_or(self.active);
        let at = self.nodes[next].rests_until.max(self.paused_until);
        self.active = next;
        if at <= now {
            self.open(now);
            return true;
        }
        self.open_at = Some(at);
        false
    }

    pub(super) fn open(&mut self, now: Timestamp) {
        let settings = self.settings.client_of(self.active);
        self.link = Some(Link {
            node: self.active,
            session: ClientSession::new(settings, now),
            names: BTreeMap::new(),
            sent: 0,
            ready_at: None,
            messages_before: self.messages,
            error: None,
            failed: Vec::new(),
            tells_end: false,
            node_stops: false,
            left: false,
            moves: None,
        });
    }

    /// The connection to the active node is no more.
    pub(super) fn end(&mut self, now: Timestamp) {
        let Some(link) = &mut self.link else {
            return;
        };
        let (node, moves) = (link.node, link.moves.is_some());
        let ready_at = link.ready_at;
        self.late_messages += link.session.late_messages();
        self.forgotten_messages += link.session.forgotten_messages();
        self.returning = None;
        if link.left && moves {
            self.leave_for_first(node);
        } else if link.left {
            self.tell_end();
            self.leave();
        } else {
            let text = "Connection closed.";
            let unknown = || ClientError::new(ErrorCode::ClosedByRemoteHost, text);
            let ending = Ending {
                node,
                error: link.error.clone().unwrap_or_else(unknown),
                was_ready: ready_at.is_some(),
            };
            let lost = std::mem::take(&mut link.failed).into_iter().collect();
            self.go_to_next(now, ready_at, &ending);
            self.count_attempt(&ending);
            self.decide(&ending, lost);
        }
        self.tell_end();
        self.link = None;
        if !self.operations.any_waiting() && self.connecting.is_none() {
            // What is asked next begins a new round.
            self.ends_in_row = 0;
            self.paused_until = Timestamp::ZERO;
        }
    }

    /// The node rests, and the one after it is next.
    fn go_to_next(&mut self, now: Timestamp, ready_at: Option<Timestamp>, ending: &Ending) {
        let node = &mut self.nodes[ending.node];
        node.health = Health::Down;
        if let Some(interval) = self.settings.client.reconnect_interval {
            node.rests_until = now.after(interval);
        }
        self.active = (ending.node + 1) % self.nodes.len();
        if ready_at.is_some_and(|at| now.since(at) >= STABLE_AFTER) {
            self.ends_in_row = 0;
        }
        self.ends_in_row = self.ends_in_row.saturating_add(1);
        let count = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        if self.ends_in_row.is_multiple_of(count) {
            let round = self.ends_in_row / count - 1;
            let random = self.random_number();
            self.paused_until = now.after(PAUSES.delay(round, random));
        }
    }

    /// Of a connection that is wanted without an operation.
    fn count_attempt(&mut self, ending: &Ending) {
        let Some(failures) = &mut self.connecting else {
            return;
        };
        if self.settings.wait_for_nodes && is_unreachable(&ending.error) {
            return;
        }
        *failures += 1;
        let refused = ending.error.code == ErrorCode::Operation && !is_unreachable(&ending.error);
        if *failures >= self.settings.attempts() || refused {
            self.connecting = None;
            let error = ending.error.clone();
            self.effects
                .push_back(ClusterEffect::NotConnected { error });
        }
    }

    /// What becomes of everything that isn't finished, in the order in which it was asked.
    fn decide(&mut self, ending: &Ending, mut lost: BTreeMap<u64, ClientError>) {
        self.transactions.lose_started();
        for id in self.operations.unfinished() {
            let error = lost.remove(&id);
            self.decide_one(id, ending, error);
        }
        self.fail_lost_transactions(&ending.error);
    }

    /// What was asked before that which its transaction was lost with.
    fn fail_lost_transactions(&mut self, error: &ClientError) {
        for id in self.operations.unfinished() {
            if let Some(entry) = self.operations.get(id)
                && let Some(number) = entry.transaction
                && self.transactions.is_lost(number)
            {
                let command = entry.command();
                let error = self.transactions.loss(number, command, error);
                self.fail(id, error);
            }
        }
    }

    /// `sent` is the error of an operation that was handed over.
    fn decide_one(&mut self, id: u64, ending: &Ending, sent: Option<ClientError>) {
        let Some(entry) = self.operations.get_mut(id) else {
            return;
        };
        let (command, told) = (entry.command(), entry.told);
        let was_sent = sent.is_some();
        let error = sent.unwrap_or_else(|| {
            let why = &ending.error.message;
            let text = match told {
                true => format!("Subscription \"{}\" lost: {why}", entry.operation.key()),
                false => format!("Operation \"{command}\" aborted: {why}"),
            };
            ending.error.because(text)
        });
        let transaction = entry.transaction;
        if let Some(number) = transaction.filter(|it| self.transactions.is_lost(*it)) {
            let error = self.transactions.loss(number, command, &ending.error);
            self.tell_watched(id, ending);
            self.fail(id, error);
            return;
        }
        // What this node has not been asked can be asked of another, unless it is about this one.
        if !was_sent && ending.was_ready && entry.is_repeatable() {
            return;
        }
        let is_ack = matches!(command, Command::Ack | Command::Nack);
        if !was_sent && is_ack {
            self.fail_ack(id, command);
            return;
        }
        // A transaction of which nothing was sent waits as its BEGIN does.
        let whole = !was_sent && transaction.is_some();
        let again = match entry.is_repeatable() || whole {
            true => {
                let was_waiting = !was_sent && !ending.was_ready;
                let counts = !self.settings.wait_for_nodes
                    || was_sent
                    || ending.was_ready
                    || !is_unreachable(&ending.error);
                let alone = !whole || command == Command::Begin;
                entry.failures += u32::from(counts && alone && !(whole && ending.was_ready));
                let refused =
                    matches!(error.code, ErrorCode::Operation | ErrorCode::ClosedByClient)
                        && !is_stopping(&error)
                        && !(was_waiting && is_starting(&error));
                (told || !refused) && entry.failures < self.settings.attempts()
            }
            false => false,
        };
        self.tell_watched(id, ending);
        if again {
            self.operations.wait_again(id);
            return;
        }
        if let Some(number) = transaction {
            self.transactions.lose(number);
        }
        self.fail(id, error);
    }

    /// Of a message that went away with its connection. A transaction without it would not be
    /// whole.
    fn fail_ack(&mut self, id: u64, command: Command) {
        let transaction = self.operations.get(id).and_then(|it| it.transaction);
        if let Some(number) = transaction {
            self.transactions.lose(number);
        }
        self.fail(id, lost_message(command));
    }

    fn tell_watched(&mut self, id: u64, ending: &Ending) {
        let watched = self.operations.get(id).is_some_and(|it| it.watched);
        if watched || self.settings.node_errors_per_operation {
            self.effects.push_back(ClusterEffect::NodeError {
                node: ending.node,
                error: ending.error.clone(),
                operation: Some(OperationId(id)),
            });
        }
    }

    /// The client has closed: what is left ends with it.
    pub(super) fn leave(&mut self) {
        self.open_at = None;
        self.connecting = None;
        self.stop_probes();
        self.transactions.lose_started();
        let text = "Connection closed by client prematurely.";
        let error = ClientError::new(ErrorCode::ClosedByClient, text);
        let node = self.active;
        let left = self.operations.unfinished().into_iter();
        let (subscriptions, left): (Vec<u64>, Vec<u64>) =
            left.partition(|id| self.operations.get(*id).is_some_and(|it| it.told));
        if !left.is_empty() && self.link.as_ref().is_none_or(|it| it.error.is_none()) {
            self.effects.push_back(ClusterEffect::NodeError {
                node,
                error: error.clone(),
                operation: None,
            });
        }
        for id in self.operations.active().into_iter().chain(subscriptions) {
            self.end_subscription(id);
        }
        for id in left {
            let command = self.operations.get(id).map(|entry| entry.command());
            let command = command.unwrap_or(Command::Send);
            let text = format!("Operation \"{command}\" aborted: {text}");
            self.fail(id, error.because(text));
        }
    }

    /// The connection is closed in order to go on at the first node.
    fn leave_for_first(&mut self, node: usize) {
        let peer = self.settings.nodes[node].peer();
        let text = format!("The client left {peer} for the first node.");
        let error = ClientError::new(ErrorCode::ClosedByClient, text);
        for id in self.operations.active() {
            self.interrupt(id, error.clone());
        }
        for id in self.operations.unfinished() {
            let command = self.operations.get(id).map(|entry| entry.command());
            if let Some(command @ (Command::Ack | Command::Nack)) = command {
                self.fail_ack(id, command);
            }
        }
        self.fail_lost_transactions(&error);
        self.active = 0;
    }
}

/// Whether nothing but the node's absence stands in the way.
fn is_unreachable(error: &ClientError) -> bool {
    is_stopping(error)
        || is_starting(error)
        || !matches!(error.code, ErrorCode::Operation | ErrorCode::UnexpectedData)
}

/// Whether a Trunkline server says that it is shutting down, which is no fault of an operation.
pub(super) fn is_stopping(error: &ClientError) -> bool {
    says(error, trunkline_model::ErrorCode::ShuttingDown)
}

/// Whether a Trunkline server says that it can't serve anybody yet. Of an operation that was sent the
/// same code means that its engine can't take it.
fn is_starting(error: &ClientError) -> bool {
    says(error, trunkline_model::ErrorCode::Unavailable)
}

fn says(error: &ClientError, code: trunkline_model::ErrorCode) -> bool {
    let said = error.frame.as_ref().and_then(|it| it.get("trunkline-code"));
    said.and_then(|it| it.parse().ok()) == Some(code.number())
}
