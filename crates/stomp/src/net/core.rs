//! A client's session with those who wait for something of it.

use super::driver::{Machine, Steer};
use super::events::{Announcer, Event, Events};
use super::inbox::{Inbox, Room};
use super::outcome::{Outcome, Settled, Teller, outcome};
use super::socket::Address;
use super::{Message, OnError};
use crate::{
    ClientEffect, ClientError, ClientSession, ClientSettings, Lost, Operation, OperationId,
};
use bytes::BytesMut;
use compact_str::CompactString;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use trunkline_model::Timestamp;

/// How long a client that is not used any more waits for what it has begun.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// The machine of a client of one server.
pub(crate) struct Core {
    session: ClientSession,
    address: Address,
    room: Room,
    /// The driver.
    changed: Arc<Notify>,
    steers: VecDeque<Steer>,
    tellers: BTreeMap<OperationId, Teller>,
    subscriptions: BTreeMap<OperationId, Taker>,
    /// Those whose messages nobody takes fast enough.
    full: Vec<Arc<Inbox>>,
    announcer: Announcer,
    on_error: Option<OnError>,
    /// For `on_error`.
    errors: Vec<ClientError>,
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
        settings: ClientSettings,
        address: Address,
        room: Room,
        on_error: Option<OnError>,
        changed: Arc<Notify>,
    ) -> Self {
        let mut core = Self {
            session: ClientSession::new(settings, Timestamp::ZERO),
            address,
            room,
            changed,
            steers: VecDeque::new(),
            tellers: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            full: Vec::new(),
            announcer: Announcer::new(),
            on_error,
            errors: Vec::new(),
            leaving_until: None,
        };
        core.spend();
        core
    }

    pub(crate) fn session(&mut self) -> &mut ClientSession {
        &mut self.session
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
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

    pub(crate) fn execute(&mut self, now: Timestamp, operation: Operation) -> Outcome {
        let id = self.session.execute(now, operation);
        let (teller, outcome) = outcome();
        self.tellers.insert(id, teller);
        self.spend();
        outcome
    }

    /// A subscription under an id.
    pub(crate) fn subscribe(
        &mut self,
        now: Timestamp,
        id: CompactString,
        operation: Operation,
    ) -> (OperationId, Arc<Inbox>, Outcome) {
        let number = self.session.execute(now, operation);
        let (teller, outcome) = outcome();
        self.tellers.insert(number, teller);
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
        self.session
            .execute(now, Operation::unsubscribe().with("id", &taker.id));
        self.spend();
    }

    pub(crate) fn force_disconnect(&mut self) {
        self.session.force_disconnect();
        self.spend();
    }

    /// The last user is gone.
    pub(crate) fn retire(&mut self, now: Timestamp) {
        self.leaving_until = Some(now.after(LEAVE_WITHIN));
        if !self.session.is_idle() {
            self.session.execute(now, Operation::disconnect());
        }
        self.spend();
    }

    /// Spends what the session has decided.
    fn spend(&mut self) {
        while let Some(effect) = self.session.next_effect() {
            match effect {
                ClientEffect::Open => {
                    let mut address = self.address.clone();
                    address.timeout = self.session.settings().connection_timeout;
                    self.steers.push_back(Steer::Open(address));
                }
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
                } => {
                    let id = self.end(subscription, Some(error.clone()));
                    self.announcer.announce(Event::SubscriptionLost {
                        subscription,
                        id: id.unwrap_or_default(),
                        error,
                    });
                }
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

    fn message(&mut self, subscription: OperationId, message: Message) {
        if let Some(taker) = self.subscriptions.get(&subscription) {
            taker.inbox.push(message);
            if taker.inbox.is_full() && !self.full.iter().any(|it| Arc::ptr_eq(it, &taker.inbox)) {
                self.full.push(Arc::clone(&taker.inbox));
            }
        }
    }

    /// A subscription is no more; its id.
    fn end(
        &mut self,
        subscription: OperationId,
        error: Option<ClientError>,
    ) -> Option<CompactString> {
        let taker = self.subscriptions.remove(&subscription)?;
        taker.inbox.end(error);
        Some(taker.id)
    }

    fn settle(&mut self, operation: OperationId, settled: Settled) {
        let Some(teller) = self.tellers.remove(&operation) else {
            return;
        };
        if let Err(Err(error)) = teller.tell(settled) {
            self.error(error);
        }
    }

    fn error(&mut self, error: ClientError) {
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
            self.session.destroy();
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

    fn written(&mut self, _now: Timestamp) {
        self.session.written();
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
        if self.errors.is_empty() {
            return None;
        }
        let errors = std::mem::take(&mut self.errors);
        let on_error = self.on_error.clone();
        let peer = self.session.settings().peer.clone();
        Some(Box::new(move || {
            for error in errors {
                match &on_error {
                    Some(on_error) => on_error(&error),
                    None => eprintln!("STOMP client of {peer}: {error}"),
                }
            }
        }))
    }
}
