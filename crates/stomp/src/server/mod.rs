//! The server's side of a connection.
//!
//! [`ServerSession`] is here with what the shell calls; what frames do is in `connect`, `publish`,
//! `subscribe`, `settle` and `transact`.

mod connect;
mod delivery;
mod effect;
mod failure;
mod frames;
mod name;
mod receipts;
mod settings;
mod settle;
mod subscribe;
mod subscriptions;
mod tags;
mod transact;
mod transactions;

pub use delivery::{Delivery, NotDelivered};
pub use effect::{
    AckMode, CloseReason, ConnectRequest, Effect, SendRequest, Settle, Step, SubscribeRequest,
    SubscriptionNumber, Token, Verdict,
};
pub use failure::{Failure, Refusal};
pub use name::{SessionName, SessionNameError};
pub use settings::ServerSettings;
pub use tags::Tags;

use crate::pulse::Pulse;
use crate::{Command, Decoder, HeartBeat, Version, Writer};
use bytes::BytesMut;
use compact_str::CompactString;
use delivery::Recipient;
use receipts::{Entry, Receipts, State};
use std::collections::VecDeque;
use std::fmt;
use subscriptions::Subscriptions;
use transactions::Transactions;
use trunkline_model::Timestamp;

/// One client's session, from its first byte to its last (STOMP 1.2, "Server Frames" and "Client
/// Frames").
///
/// The shell hands in what it reads and what became of commands, together with *now*, then takes
/// [effects](Self::next_effect) and [output](Self::take_output). Output and effects of one call
/// don't depend on each other, except that output is written before [`Effect::Close`].
///
/// `now` may count from any moment; it must not go back.
///
/// It is bounded by its settings; the shell bounds what it reads at a time, and takes the output
/// before it hands in more.
pub struct ServerSession {
    settings: ServerSettings,
    phase: Phase,
    decoder: Decoder,
    /// Bytes that an earlier call left in the input: they don't count as received again.
    left: usize,
    version: Option<Version>,
    name: CompactString,
    client_beat: HeartBeat,
    pulse: Pulse,
    receipts: Receipts,
    subscriptions: Subscriptions,
    transactions: Transactions,
    out: BytesMut,
    effects: VecDeque<Effect>,
    acks_not_held: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until when CONNECT has to come.
    Waiting(Timestamp),
    /// The shell was asked.
    Asked,
    Open,
    /// After DISCONNECT or a failure: nothing is read, commands may complete until then.
    Ending(Timestamp),
    Closed,
}

/// Where it stands; what it has to write and to hand on are the users' own.
impl fmt::Debug for ServerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSession")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("phase", &self.phase)
            .field("subscriptions", &self.subscriptions.len())
            .field("unanswered", &self.receipts.len())
            .field("out_bytes", &self.out.len())
            .finish_non_exhaustive()
    }
}

impl ServerSession {
    /// A session of a connection that has just been made.
    #[must_use]
    pub fn new(settings: ServerSettings, now: Timestamp) -> Self {
        Self {
            phase: Phase::Waiting(now.after(settings.connect_timeout)),
            decoder: Decoder::new(settings.frame.clone()),
            left: 0,
            version: None,
            name: CompactString::default(),
            client_beat: HeartBeat::NONE,
            pulse: Pulse::none(now),
            receipts: Receipts::default(),
            subscriptions: Subscriptions::default(),
            transactions: Transactions::new(
                settings.transactions_max,
                settings.transaction_frames_max,
                settings.transactions_bytes_max,
            ),
            out: BytesMut::new(),
            effects: VecDeque::new(),
            acks_not_held: 0,
            settings,
        }
    }

    /// Takes frames out of what was read. What is left in `input` is the beginning of a frame, or
    /// what has to wait (see [`wants_input`](Self::wants_input)): hand it in again with what is
    /// read next, or once there is no more to wait for.
    pub fn receive(&mut self, now: Timestamp, input: &mut BytesMut) {
        if input.len() > self.left {
            self.pulse.on_received(now);
        }
        while self.wants_input() {
            match self.decoder.decode(input) {
                Ok(Some(frame)) => {
                    let receipt = frame.get("receipt").map(CompactString::new);
                    if let Err(refusal) = self.take(now, frame) {
                        self.end(now, receipt, Failure::from(&refusal));
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let receipt = error.receipt.clone();
                    self.end(now, receipt, Failure::from(&Refusal::from(error)));
                }
            }
        }
        if matches!(self.phase, Phase::Ending(_) | Phase::Closed) {
            input.clear();
        }
        self.left = input.len();
    }

    /// Whether frames are read now. They are not while the shell is asked about CONNECT, while too
    /// many commands are at work, and after the end.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        match self.phase {
            Phase::Waiting(_) => true,
            Phase::Open => {
                self.receipts.len() < self.settings.pending_max
                    && self.receipts.bytes() < self.settings.pending_bytes_max
            }
            Phase::Asked | Phase::Ending(_) | Phase::Closed => false,
        }
    }

    /// Says what became of a command. Once is enough: later ones change nothing, nor do those
    /// after the end.
    pub fn complete(&mut self, now: Timestamp, token: Token, result: Result<(), Failure>) {
        let failed = result.is_err();
        if !self.receipts.complete(token, result) {
            return;
        }
        if failed && self.phase == Phase::Open {
            // What follows is not read any more: its receipts would never be sent.
            self.phase = Phase::Ending(now.after(self.settings.end_timeout));
        }
        self.answer(now);
    }

    /// Writes a MESSAGE.
    ///
    /// # Errors
    /// [`NotDelivered`] says why it was not written: mostly that the client has ended the
    /// subscription meanwhile.
    pub fn deliver(
        &mut self,
        now: Timestamp,
        number: SubscriptionNumber,
        delivery: &Delivery<'_>,
    ) -> Result<(), NotDelivered> {
        let (out, mut recipient) = self.recipient(number)?;
        delivery::write(out, &mut recipient, delivery)?;
        self.pulse.on_sent(now);
        Ok(())
    }

    /// Writes a MESSAGE that needs no ACK and goes to many sessions: `tail` was written once for
    /// all of [this version](Self::version), by [`Delivery::tail`].
    ///
    /// # Errors
    /// As [`deliver`](Self::deliver).
    pub fn deliver_tail(
        &mut self,
        now: Timestamp,
        number: SubscriptionNumber,
        message_id: &str,
        destination: &str,
        tail: &[u8],
    ) -> Result<(), NotDelivered> {
        let (out, mut recipient) = self.recipient(number)?;
        delivery::write_with_tail(out, &mut recipient, message_id, destination, tail)?;
        self.pulse.on_sent(now);
        Ok(())
    }

    /// Who gets what is delivered on a subscription, and where to write it.
    fn recipient(
        &mut self,
        number: SubscriptionNumber,
    ) -> Result<(&mut BytesMut, Recipient<'_>), NotDelivered> {
        let (Phase::Open, Some(version)) = (self.phase, self.version) else {
            return Err(NotDelivered::Ended);
        };
        let subscription = self.subscriptions.get_mut(number);
        let recipient = Recipient {
            version,
            session: &self.name,
            number,
            subscription: subscription.ok_or(NotDelivered::Ended)?,
        };
        Ok((&mut self.out, recipient))
    }

    /// Ends the session with an ERROR: the server stops, say, or a subscription was deleted.
    /// What was asked before is answered before, if that comes in time.
    pub fn fail(&mut self, now: Timestamp, failure: Failure) {
        if !matches!(self.phase, Phase::Ending(_) | Phase::Closed) {
            self.end(now, None, failure);
        }
    }

    /// Says that the shell does not read at the moment: silence is then not the client's. To be said
    /// before [`tick`](Self::tick).
    pub fn paused(&mut self, now: Timestamp) {
        self.pulse.on_received(now);
    }

    /// Does what is due: heart-beats, and the end of who is silent. See
    /// [`next_deadline`](Self::next_deadline).
    pub fn tick(&mut self, now: Timestamp) {
        if !self.wants_input() {
            self.paused(now);
        }
        match self.phase {
            Phase::Waiting(until) if until <= now => {
                let limit = self.settings.connect_timeout;
                self.end(now, None, Failure::from(&Refusal::ConnectTimeout(limit)));
            }
            Phase::Open => {
                if let Some(silence) = self.pulse.silence(now) {
                    let ours = self.settings.heart_beat;
                    let agreed = failure::agreed_receive(ours, self.client_beat);
                    let refusal = Refusal::Silent { silence, agreed };
                    self.end(now, None, Failure::from(&refusal));
                }
            }
            Phase::Ending(until) if until <= now => self.end_without_waiting(),
            _ => {}
        }
        if self.phase == Phase::Open && self.pulse.is_beat_due(now) {
            self.out.extend_from_slice(b"\n");
            self.pulse.on_sent(now);
        }
    }

    /// When to call [`tick`](Self::tick), unless something happens before. It changes with every
    /// call.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Waiting(until) | Phase::Ending(until) => Some(until),
            Phase::Open => self.pulse.next(),
            Phase::Asked | Phase::Closed => None,
        }
    }

    /// What is to be written, in order. Several frames may be in it, and one never continues in
    /// the next output.
    pub fn take_output(&mut self) -> BytesMut {
        self.out.split()
    }

    /// How much waits to be taken as output, in bytes.
    #[must_use]
    pub fn output_bytes(&self) -> usize {
        self.out.len()
    }

    /// Whether the client waits for the RECEIPT of a command that is not completed. One that
    /// nobody waits for may be completed as soon as its order is fixed.
    #[must_use]
    pub fn is_awaited(&self, token: Token) -> bool {
        self.receipts.is_awaited(token)
    }

    /// The next thing to do.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The version that was agreed.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Whether every frame that was handed on is answered.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.receipts.len() == 0
    }

    /// Gives up memory of a burst that is over.
    pub fn rest(&mut self) {
        if self.out.is_empty() {
            self.out = BytesMut::new();
        }
        self.effects.shrink_to_fit();
        self.receipts.rest();
    }

    /// Whether [`Effect::Close`] was given out.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// ACKs and NACKs of deliveries that the session knew to be settled or returned. Others the
    /// engine skips and counts.
    #[must_use]
    pub fn acks_not_held(&self) -> u64 {
        self.acks_not_held
    }

    /// Answers with an ERROR once everything before is answered.
    fn end(&mut self, now: Timestamp, receipt: Option<CompactString>, failure: Failure) {
        let failed = State::Failed(Box::new(failure));
        self.receipts.push(Entry::new(failed, receipt));
        self.phase = Phase::Ending(now.after(self.settings.end_timeout));
        self.answer(now);
    }

    /// Answers all frames that can be, in their order.
    fn answer(&mut self, now: Timestamp) {
        while self.phase != Phase::Closed
            && let Some(entry) = self.receipts.pop()
        {
            self.pulse.on_sent(now);
            match entry.state {
                State::Failed(failure) => self.write_error(&failure, entry.receipt.as_deref()),
                State::Done | State::Pending => {
                    if let Some(receipt) = &entry.receipt {
                        let mut frame =
                            Writer::begin(&mut self.out, Command::Receipt, self.version);
                        frame.own("receipt-id:", receipt);
                        frame.end();
                    }
                    if let Some(number) = entry.start {
                        self.start(number);
                    }
                    if entry.last {
                        self.close(CloseReason::Disconnect);
                    }
                }
            }
        }
    }

    /// The time for what still runs is over.
    fn end_without_waiting(&mut self) {
        match self.receipts.give_up() {
            Some(Entry {
                state: State::Failed(failure),
                receipt,
                ..
            }) => self.write_error(&failure, receipt.as_deref()),
            _ => self.close(CloseReason::EndTimeout),
        }
    }

    fn write_error(&mut self, failure: &Failure, receipt: Option<&str>) {
        failure.write(&mut self.out, receipt, self.version);
        self.close(CloseReason::Error(failure.message().to_owned()));
    }

    fn close(&mut self, reason: CloseReason) {
        self.phase = Phase::Closed;
        self.subscriptions = Subscriptions::default();
        self.transactions.clear();
        self.receipts.give_up();
        self.effects.push_back(Effect::Close(reason));
    }
}
