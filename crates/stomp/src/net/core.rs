//! A client's session with those who wait for something of it.

use super::cluster::{NodeErrorCall, Probe};
use super::driver::{Machine, Steer};
use super::events::{Announcer, Event, Events};
use super::inbox::{Inbox, Room};
use super::outcome::{Outcome, Settled, Teller, outcome};
use super::session::{Said, Session};
use super::socket::Address;
use super::{Message, NodeInfo, OnError, OnNodeError};
use crate::{ClientEffect, ClientError, Health, Lost, Operation, OperationId};
use bytes::BytesMut;
use compact_str::CompactString;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use trunkline_model::Timestamp;

/// How long a client that is not used any more waits for what it has begun.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// The machine of a client.
pub(crate) struct Core {
    pub(super) session: Session,
    /// Of the server, or of the nodes of the cluster.
    pub(super) addresses: Vec<Address>,
    room: Room,
    /// The driver.
    changed: Arc<Notify>,
    pub(super) steers: VecDeque<Steer>,
    /// Who probes nodes; each is probed once at a time.
    pub(super) probes: Option<UnboundedSender<Probe>>,
    tellers: BTreeMap<OperationId, Teller>,
    subscriptions: BTreeMap<OperationId, Taker>,
    /// Those whose messages nobody takes fast enough.
    full: Vec<Arc<Inbox>>,
    pub(super) announcer: Announcer,
    on_error: Option<OnError>,
    /// For `on_error`.
    errors: Vec<ClientError>,
    pub(super) on_node_error: Option<OnNodeError>,
    /// Of operations with a function of their own.
    pub(super) watchers: BTreeMap<OperationId, OnNodeError>,
    pub(super) node_errors: Vec<NodeErrorCall>,
    /// The last user is gone; until then it may go on.
    leaving_until: Option<Timestamp>,
}

/// Who takes the messages of a subscription.
struct Taker {
    id: CompactString,
    inbox: Arc<Inbox>,
}

impl Core {
    pub(crate) fn new(
        session: Session,
        addresses: Vec<Address>,
        room: Room,
        changed: Arc<Notify>,
    ) -> Self {
        let mut core = Self {
            session,
            addresses,
            room,
            changed,
            steers: VecDeque::new(),
            probes: None,
            tellers: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            full: Vec::new(),
            announcer: Announcer::new(),
            on_error: None,
            errors: Vec::new(),
            on_node_error: None,
            watchers: BTreeMap::new(),
            node_errors: Vec::new(),
            leaving_until: None,
        };
        core.spend();
        core
    }

    /// Where nodes go that are to be probed.
    pub(crate) fn set_prober(&mut self, probes: UnboundedSender<Probe>) {
        self.probes = Some(probes);
    }

    /// Connects, if the session doesn't by itself.
    pub(crate) fn connect(&mut self, now: Timestamp) {
        if let Session::Cluster(session) = &mut self.session {
            session.connect(now);
            self.spend();
        }
    }

    pub(crate) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Where operations go.
    pub(crate) fn address(&self) -> &Address {
        &self.addresses[self.session.active()]
    }

    pub(crate) fn nodes(&self) -> Vec<NodeInfo> {
        let info = |number: usize, health: Health| {
            let active = number == self.session.active();
            NodeInfo {
                host: self.addresses[number].host.clone(),
                port: self.addresses[number].port,
                active,
                connected: active && self.session.is_ready(),
                health,
            }
        };
        match &self.session {
            Session::One(session) if session.is_ready() => vec![info(0, Health::Up)],
            Session::One(_) => vec![info(0, Health::Unknown)],
            Session::Cluster(session) => {
                let nodes = session.nodes().enumerate();
                nodes
                    .map(|(number, node)| info(number, node.health))
                    .collect()
            }
        }
    }

    /// The events for a user: from the beginning, for the first.
    pub(crate) fn events(&mut self) -> Events {
        self.announcer.events()
    }

    /// The events from now on.
    pub(crate) fn listen(&self) -> Events {
        self.announcer.listen()
    }

    pub(crate) fn set_on_error(&mut self, on_error: Option<OnError>) {
        self.on_error = on_error;
    }

    pub(crate) fn set_on_node_error(&mut self, on_node_error: Option<OnNodeError>) {
        self.on_node_error = on_node_error;
    }

    pub(crate) fn execute(
        &mut self,
        now: Timestamp,
        operation: Operation,
        watcher: Option<OnNodeError>,
    ) -> Outcome {
        self.ask(now, operation, watcher).1
    }

    fn ask(
        &mut self,
        now: Timestamp,
        operation: Operation,
        watcher: Option<OnNodeError>,
    ) -> (OperationId, Outcome) {
        let id = self.session.execute(now, operation, watcher.is_some());
        let (teller, outcome) = outcome();
        self.tellers.insert(id, teller);
        if let Some(watcher) = watcher {
            self.watchers.insert(id, watcher);
        }
        self.spend();
        (id, outcome)
    }

    /// A subscription under an id.
    pub(crate) fn subscribe(
        &mut self,
        now: Timestamp,
        id: CompactString,
        operation: Operation,
        watcher: Option<OnNodeError>,
    ) -> (OperationId, Arc<Inbox>, Outcome) {
        let (number, outcome) = self.ask(now, operation, watcher);
        let inbox = Inbox::new(self.room, Arc::clone(&self.changed));
        let taker = Taker {
            id,
            inbox: Arc::clone(&inbox),
        };
        self.subscriptions.insert(number, taker);
        self.spend();
        (number, inbox, outcome)
    }

    /// Nobody takes a subscription's messages any more: it ends, and nobody waits for that.
    pub(crate) fn abandon(&mut self, now: Timestamp, subscription: OperationId) {
        let Some(taker) = self.subscriptions.remove(&subscription) else {
            return;
        };
        self.watchers.remove(&subscription);
        self.session.abandon(now, subscription, &taker.id);
        self.spend();
    }

    pub(crate) fn force_disconnect(&mut self, now: Timestamp) {
        self.session.force_disconnect(now);
        self.spend();
    }

    /// The last user is gone.
    pub(crate) fn retire(&mut self, now: Timestamp) {
        self.leaving_until = Some(now.after(LEAVE_WITHIN));
        if !self.session.is_idle() {
            self.session.execute(now, Operation::disconnect(), false);
        }
        self.spend();
    }

    /// Spends what the session has decided.
    pub(super) fn spend(&mut self) {
        while let Some(said) = self.session.next_effect() {
            let effect = match said {
                Said::ByOne(effect) => effect,
                Said::ByCluster(effect) => {
                    self.spend_of_cluster(effect);
                    continue;
                }
            };
            match effect {
                ClientEffect::Open => self.open(0),
                ClientEffect::Close => self.steers.push_back(Steer::Close),
                ClientEffect::Connected => self.announcer.announce(Event::Connected),
                ClientEffect::Ready { version, session } => {
                    self.announcer.announce(Event::Ready { version, session });
                }
                ClientEffect::Message {
                    subscription,
                    tag,
                    frame,
                } => self.message(subscription, Message::new(tag, frame)),
                ClientEffect::Done { operation, receipt } => self.settle(operation, Ok(receipt)),
                ClientEffect::Failed { operation, error } => {
                    self.end(operation, Some(error.clone()));
                    self.settle(operation, Err(error));
                }
                ClientEffect::Error(error) => self.error(error),
                ClientEffect::SubscriptionLost {
                    subscription,
                    error,
                } => self.lose_subscription(subscription, error),
                ClientEffect::Unsubscribed { subscription } => {
                    self.end(subscription, None);
                }
                ClientEffect::Disconnected => {
                    for (_, taker) in std::mem::take(&mut self.subscriptions) {
                        taker.inbox.end(None);
                    }
                    self.announcer.announce(Event::Disconnected);
                }
            }
        }
    }

    pub(super) fn open(&mut self, node: usize) {
        let mut address = self.addresses[node].clone();
        address.timeout = self.session.settings().connection_timeout;
        self.steers.push_back(Steer::Open(address));
    }

    pub(super) fn lose_subscription(&mut self, subscription: OperationId, error: ClientError) {
        let id = self.end(subscription, Some(error.clone()));
        self.announcer.announce(Event::SubscriptionLost {
            subscription,
            id: id.unwrap_or_default(),
            error,
        });
    }

    /// The `id` of a subscription.
    pub(super) fn subscription_id(&self, subscription: OperationId) -> CompactString {
        let taker = self.subscriptions.get(&subscription);
        taker.map(|taker| taker.id.clone()).unwrap_or_default()
    }

    pub(super) fn message(&mut self, subscription: OperationId, message: Message) {
        if let Some(taker) = self.subscriptions.get(&subscription) {
            taker.inbox.push(message);
            if taker.inbox.is_full() && !self.full.iter().any(|it| Arc::ptr_eq(it, &taker.inbox)) {
                self.full.push(Arc::clone(&taker.inbox));
            }
        }
    }

    /// A subscription is no more; its id.
    pub(super) fn end(
        &mut self,
        subscription: OperationId,
        error: Option<ClientError>,
    ) -> Option<CompactString> {
        self.watchers.remove(&subscription);
        let taker = self.subscriptions.remove(&subscription)?;
        taker.inbox.end(error);
        Some(taker.id)
    }

    pub(super) fn settle(&mut self, operation: OperationId, settled: Settled) {
        if !self.subscriptions.contains_key(&operation) {
            self.watchers.remove(&operation);
        }
        let Some(teller) = self.tellers.remove(&operation) else {
            return;
        };
        if let Err(Err(error)) = teller.tell(settled) {
            self.error(error);
        }
    }

    pub(super) fn error(&mut self, error: ClientError) {
        self.announcer.announce(Event::Error(error.clone()));
        if self.on_error.is_some() || !self.announcer.is_heard() {
            self.errors.push(error);
        }
    }
}

impl Machine for Core {
    fn steer(&mut self) -> Option<Steer> {
        self.steers.pop_front()
    }

    fn wants_steering(&self) -> bool {
        !self.steers.is_empty()
    }

    fn opened(&mut self, now: Timestamp) {
        self.session.opened(now);
        self.spend();
    }

    fn open_failed(&mut self, now: Timestamp, why: &str) {
        self.session.open_failed(now, why);
        self.spend();
    }

    fn receive(&mut self, now: Timestamp, input: &mut BytesMut) {
        self.session.receive(now, input);
        self.spend();
    }

    fn lost(&mut self, now: Timestamp, lost: Lost) {
        self.session.lost(now, lost);
        self.spend();
    }

    fn tick(&mut self, now: Timestamp) {
        self.session.tick(now);
        if self.leaving_until.is_some_and(|until| until <= now) {
            self.session.destroy(now);
        }
        self.spend();
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        let due = [self.session.next_deadline(), self.leaving_until];
        due.into_iter().flatten().min()
    }

    fn take_output(&mut self) -> BytesMut {
        self.session.take_output()
    }

    fn written(&mut self, now: Timestamp) {
        self.session.written(now);
        self.spend();
    }

    fn has_room(&mut self) -> bool {
        self.full.retain(|inbox| inbox.is_full());
        self.full.is_empty()
    }

    fn paused(&mut self, now: Timestamp) {
        self.session.paused(now);
    }

    fn is_over(&self) -> bool {
        self.leaving_until.is_some() && self.session.is_idle()
    }

    /// Errors go to the user's function, or to stderr if nobody else hears of them.
    fn after_unlock(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        if self.errors.is_empty() && self.node_errors.is_empty() {
            return None;
        }
        let errors = std::mem::take(&mut self.errors);
        let of_nodes = std::mem::take(&mut self.node_errors);
        let on_error = self.on_error.clone();
        let peer = self.session.peer();
        Some(Box::new(move || {
            for call in of_nodes {
                call.call();
            }
            for error in errors {
                match &on_error {
                    Some(on_error) => on_error(&error),
                    None => eprintln!("STOMP client of {peer}: {error}"),
                }
            }
        }))
    }
}
