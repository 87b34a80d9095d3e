//! A store over a disk that fails, a clock that somebody sets, and clients that write down what
//! they were told.

mod finale;
mod graves;
mod operate;
mod restart;
mod sink;

use crate::{
    clock::SimClock,
    ledger::{End, Ledger},
    op::Op,
    rule::{Checked, hold},
    transcript::Transcript,
};
pub(crate) use graves::grave_name;
use sink::{Inbox, Taker, Told};
use std::{collections::BTreeMap, sync::Arc};
use trunkline_engine_embedded::Embedded;
use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_model::{
    Admin, Caller, Clock, Completed, Completion, CompletionQueue, Engine, Error, ErrorCode, Health,
    Outcome, Timestamp, Wake,
};

/// Steps after which a command has its answer.
const STEPS_MAX: usize = 1_000;

/// How a world differs from an honest one, for the proof that its checks can fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    /// It doesn't.
    #[default]
    None,
    /// The disk says that it synced, and didn't.
    LyingDisk,
    /// The ledger forgets acknowledgements.
    ForgottenAcks,
    /// The oldest dead letter is never shown.
    HiddenLetter,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Operations.
    pub operations: u64,
    /// Messages published.
    pub published: u64,
    /// Deliveries.
    pub delivered: u64,
    /// Starts after a power loss, a dead process or a stop.
    pub starts: u64,
    /// Dead letters that arrived.
    pub buried: u64,
    /// Segments that were freed.
    pub freed: u64,
}

impl Tally {
    /// Adds another run.
    pub fn add(&mut self, other: Tally) {
        self.operations += other.operations;
        self.published += other.published;
        self.delivered += other.delivered;
        self.starts += other.starts;
        self.buried += other.buried;
        self.freed += other.freed;
    }
}

pub(crate) struct World {
    disk: FaultDisk,
    clock: Arc<SimClock>,
    engine: Option<Arc<Embedded>>,
    queue: Arc<CompletionQueue>,
    last_token: u64,
    answers: BTreeMap<u64, Result<Outcome, Error>>,
    takers: BTreeMap<u8, Taker>,
    inbox: Arc<Inbox>,
    ledger: Ledger,
    /// The worst end since an engine opened last.
    end: Option<End>,
    /// The boundary at which the power goes, and what survives.
    power: Option<(u64, u64)>,
    /// Bits of this world are flipped: what can't be read may be refused.
    is_damaged: bool,
    flaw: Flaw,
    pub(crate) tally: Tally,
    pub(crate) transcript: Transcript,
}

impl World {
    /// A new disk, and a store on it.
    pub(crate) fn begin(flaw: Flaw, transcript: Transcript) -> Checked<Self> {
        let disk = FaultDisk::with_plan(Plan {
            ignore_syncs: flaw == Flaw::LyingDisk,
            ..Plan::default()
        });
        let ledger = match flaw {
            Flaw::ForgottenAcks => Ledger::forgetful(),
            _ => Ledger::default(),
        };
        let mut world = Self::on(disk, Arc::new(SimClock::default()), ledger, transcript);
        world.flaw = flaw;
        world.start()?;
        Ok(world)
    }

    fn on(disk: FaultDisk, clock: Arc<SimClock>, ledger: Ledger, transcript: Transcript) -> Self {
        Self {
            disk,
            clock,
            engine: None,
            queue: CompletionQueue::new(Wake::new()),
            last_token: 0,
            answers: BTreeMap::new(),
            takers: BTreeMap::new(),
            inbox: Arc::default(),
            ledger,
            end: None,
            power: None,
            is_damaged: false,
            flaw: Flaw::None,
            tally: Tally::default(),
            transcript,
        }
    }

    /// Runs one operation, and everything that follows from it.
    pub(crate) fn run(&mut self, op: &Op) -> Checked {
        self.tally.operations += 1;
        self.transcript.operation(self.now(), op);
        self.ledger.happens(self.now());
        self.operate(op)?;
        self.ends()
    }

    /// After an operation: what came of it, and whether the engine survived.
    fn ends(&mut self) -> Checked {
        self.collect()?;
        self.recover_if_gone()?;
        let is_idle = self.engine.as_ref().is_some_and(|engine| engine.is_idle());
        self.ledger.operation_ends(is_idle)
    }

    /// The engine's time.
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn is_power_gone(&self) -> bool {
        self.power
            .is_some_and(|(at, _)| self.disk.boundaries() >= at)
    }

    fn has_failed(&self) -> bool {
        let health = self.engine.as_ref().map(|engine| engine.health());
        health.is_none_or(|health| matches!(*health.borrow(), Health::Failed(_) | Health::Closed))
    }

    fn completion(&mut self) -> (u64, Completion) {
        self.last_token += 1;
        let token = self.last_token;
        (token, Completion::new(self.queue.clone(), token))
    }

    /// Takes what was answered; each command is answered once.
    fn take_answers(&mut self) -> Checked {
        let mut completed = Vec::new();
        self.queue.drain_into(&mut completed);
        for Completed { token, result } in completed {
            let twice = self.answers.insert(token, result);
            hold!(
                twice.is_none(),
                Silent,
                "command {token} was answered twice"
            );
        }
        Ok(())
    }

    /// Why a command was refused, if it was, and nothing of it happened.
    fn refusal(&mut self, token: u64) -> Checked<Option<Error>> {
        self.take_answers()?;
        let refused = match self.answers.get(&token) {
            Some(Err(error)) if is_definite(error) => Some(error.clone()),
            _ => None,
        };
        if refused.is_some() {
            self.answers.remove(&token);
        }
        Ok(refused)
    }

    /// Everything that came out of the engine: deliveries before the answers that came with them.
    fn collect(&mut self) -> Checked {
        self.ledger.happens(self.now());
        loop {
            self.take_answers()?;
            let answers = std::mem::take(&mut self.answers);
            let told = self.inbox.take();
            let is_done = answers.is_empty() && told.is_empty();
            for (slot, told) in told {
                self.told(slot, told)?;
            }
            for (token, result) in answers {
                self.answered(token, result)?;
            }
            if is_done {
                return Ok(());
            }
        }
    }

    fn answered(&mut self, token: u64, result: Result<Outcome, Error>) -> Checked {
        match result {
            Ok(Outcome::Done(receipt)) => {
                let ids = receipt.ids.iter().map(ToString::to_string);
                let ids: Vec<String> = ids.collect();
                self.transcript.event(|| match ids.is_empty() {
                    false => format!("confirmed as {}", ids.join(" ")),
                    true => format!(
                        "done: {} acked, {} returned or given up, {} extended, {} skipped",
                        receipt.acked, receipt.nacked, receipt.extended, receipt.skipped
                    ),
                });
                self.ledger.confirmed(token, &receipt)
            }
            Ok(_) => Ok(()),
            Err(error) => {
                self.transcript.event(|| format!("failed: {error}"));
                self.ledger.given_up(token);
                Ok(())
            }
        }
    }

    /// What a consumer was told.
    fn told(&mut self, slot: u8, told: Told) -> Checked {
        if !self.takers.contains_key(&slot) {
            return Ok(());
        }
        let deliveries = match told {
            Told::Deliveries(deliveries) => deliveries,
            Told::Ended(error) => {
                self.transcript.event(|| format!("c{slot} ends: {error}"));
                self.takers.remove(&slot);
                return self.ledger.detached(slot, None);
            }
        };
        let mut weight = 0;
        for delivery in &deliveries {
            weight += delivery.weight();
            self.tally.delivered += 1;
            self.transcript.event(|| {
                let payload = &delivery.message.payload;
                let end = payload.iter().position(|byte| *byte == b' ');
                let name = String::from_utf8_lossy(&payload[..end.unwrap_or_default()]);
                let (id, tag, attempt) = (delivery.id, delivery.tag.0, delivery.attempt);
                format!("c{slot} gets {name} ({id}) as {tag}, attempt {attempt}")
            });
            let topic = number_of(&delivery.topic, 't');
            let Some(topic) = topic else { continue };
            self.ledger.delivered(slot, topic, delivery)?;
        }
        // The window empties at once.
        if let Some(taker) = self.takers.get(&slot) {
            taker.handle.taken(weight);
        }
        Ok(())
    }

    /// Sends a command that looks or manages, and waits for its answer; `None` if the engine is
    /// gone before.
    fn ask(&mut self, command: Admin) -> Checked<Option<Result<Outcome, Error>>> {
        let Some(engine) = self.engine.clone() else {
            return Ok(None);
        };
        let (token, completion) = self.completion();
        engine.admin(&Caller::system(), command, completion);
        for _ in 0..STEPS_MAX {
            self.take_answers()?;
            match self.answers.remove(&token) {
                Some(Err(error)) if !is_definite(&error) => return Ok(None),
                Some(result) => return Ok(Some(result)),
                None if self.has_failed() || self.is_power_gone() => return Ok(None),
                None => drop(engine.step()),
            }
        }
        hold!(
            false,
            Silent,
            "command {token} has no answer after {STEPS_MAX} rounds"
        );
        Ok(None)
    }
}

/// Whether an error says that nothing was done, and not that nobody knows.
fn is_definite(error: &Error) -> bool {
    let reason = error.data().and_then(|data| data.get("reason"));
    let has_failed = reason.is_some_and(|reason| reason == "journal_failed");
    !has_failed && error.code() != ErrorCode::ShuttingDown
}

/// The number in a name like `t3`.
fn number_of(name: &str, letter: char) -> Option<u8> {
    name.strip_prefix(letter)?.parse().ok()
}
