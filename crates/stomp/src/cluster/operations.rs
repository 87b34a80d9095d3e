//! The table of operations: what is unfinished, and the subscriptions.

use super::ClusterEffect;
use crate::{ClientError, Command, Operation, OperationId};
use std::collections::{BTreeMap, BTreeSet};

/// Operations in the order in which they were asked.
#[derive(Debug, Default)]
pub(super) struct Operations {
    entries: BTreeMap<u64, Entry>,
    /// Those that wait for a node.
    waiting: BTreeSet<u64>,
    bytes: usize,
    next: u64,
}

/// An operation that is not finished, or a subscription.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) operation: Operation,
    pub(super) state: State,
    /// It wants to hear of the errors of nodes that it meets.
    pub(super) watched: bool,
    /// A SUBSCRIBE that was told to be done: from then on it is a subscription.
    pub(super) told: bool,
    /// A subscription that nobody wants any more: it is not made again.
    pub(super) abandoned: bool,
    /// How often it failed since it succeeded last.
    pub(super) failures: u32,
    pub(super) transaction: Option<u64>,
}

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// For a node.
    Waiting,
    /// Handed to the session with the active node, under this name.
    Sent(OperationId),
    /// A subscription that gets messages, by this name of its SUBSCRIBE.
    Active(OperationId),
}

impl Entry {
    pub(super) fn command(&self) -> Command {
        self.operation.command()
    }

    /// Whether it can be sent again after it may have been sent.
    pub(super) fn is_repeatable(&self) -> bool {
        match self.command() {
            Command::Send => self.operation.headers.get("transaction").is_none(),
            Command::Subscribe => !self.abandoned,
            _ => false,
        }
    }
}

impl Operations {
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn add(&mut self, id: u64, entry: Entry) {
        self.bytes += entry.operation.weight();
        self.waiting.insert(id);
        self.entries.insert(id, entry);
    }

    pub(super) fn get(&self, id: u64) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.bytes -= entry.operation.weight();
        self.waiting.remove(&id);
        Some(entry)
    }

    pub(super) fn any_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The first that waits after another.
    pub(super) fn waiting_after(&self, id: u64) -> Option<u64> {
        self.waiting.range(id + 1..).next().copied()
    }

    pub(super) fn sent(&mut self, id: u64, name: OperationId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.state = State::Sent(name);
            self.waiting.remove(&id);
        }
    }

    pub(super) fn wait_again(&mut self, id: u64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.state = State::Waiting;
            self.waiting.insert(id);
        }
    }

    /// The RECEIPT of a SUBSCRIBE came; whether it came before.
    pub(super) fn subscribed(&mut self, id: u64, name: OperationId) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else {
            return false;
        };
        entry.state = State::Active(name);
        entry.failures = 0;
        std::mem::replace(&mut entry.told, true)
    }

    /// What is not a subscription that gets messages.
    pub(super) fn unfinished(&self) -> Vec<u64> {
        let unfinished = |(_, entry): &(&u64, &Entry)| !matches!(entry.state, State::Active(_));
        let ids = self.entries.iter().filter(unfinished);
        ids.map(|(id, _)| *id).collect()
    }

    pub(super) fn active(&self) -> Vec<u64> {
        let active = |(_, entry): &(&u64, &Entry)| matches!(entry.state, State::Active(_));
        let ids = self.entries.iter().filter(active);
        ids.map(|(id, _)| *id).collect()
    }
}

/// How the end of an operation with an error is told.
pub(super) fn failure(id: u64, entry: &Entry, error: ClientError) -> ClusterEffect {
    match entry.told {
        true => ClusterEffect::SubscriptionLost {
            subscription: OperationId(id),
            error,
        },
        false => ClusterEffect::Failed {
            operation: OperationId(id),
            error,
        },
    }
}
