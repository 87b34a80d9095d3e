//! Engines end and start.

use super::{World, number_of};
use crate::{
    clock::SimClock,
    ledger::{End, Found, Ledger},
    rng::Rng,
    rule::{Checked, Rule, Violation, hold},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use trunkline_engine_embedded::{Drive, Embedded, EmbeddedConfig, Location, OpenError};
use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_model::{Admin, Engine, Outcome, Timestamp, TopicInfo};

/// The smallest that there are, so that many are filled and freed.
const SEGMENT_BYTES: u32 = 256 << 10;
/// So little, that most bodies are read from the disk.
const CACHE_BYTES: usize = 32 << 10;
/// Starts that may fail one after the other, each for a reason.
const STARTS_MAX: usize = 20;
/// Bits that one probe flips, each on a copy of its own.
const FLIPS: u64 = 2;

/// How an engine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// The power goes; the seed says what survives.
    Power(u64),
    /// The process dies.
    Kill,
    /// It is stopped.
    Stop,
}

pub(super) fn open(disk: &FaultDisk, clock: &Arc<SimClock>) -> Result<Arc<Embedded>, OpenError> {
    let mut config = EmbeddedConfig::new(Location::Disk(Arc::new(disk.clone())));
    config.auto_create = false;
    config.journal.segment_bytes = SEGMENT_BYTES;
    config.journal.ready_segments = 1;
    config.journal.cache_bytes = CACHE_BYTES;
    config.journal.read_ahead_bytes = 16 << 10;
    config.clock = Some(clock.clone());
    config.drive = Drive::ByHand;
    clock.restart(Timestamp::ZERO);
    let engine = Embedded::open(config)?;
    // As the machine's own clock does once the journal is read.
    let last = engine.recovery().map_or(0, |report| report.last_now);
    clock.restart(Timestamp::from_micros(last));
    Ok(engine)
}

impl World {
    /// Starts again what died by itself: of a power loss that was planned, of a failed disk.
    pub(super) fn recover_if_gone(&mut self) -> Checked {
        if self.is_power_gone() {
            let seed = self.power.map_or(0, |(_, seed)| seed);
            return self.restart(Restart::Power(seed));
        }
        if self.engine.is_some() && self.has_failed() {
            return self.restart(Restart::Kill);
        }
        Ok(())
    }

    pub(super) fn restart(&mut self, how: Restart) -> Checked {
        self.end_engine(how)?;
        self.start()
    }

    /// Ends the engine; says how it ended after all.
    pub(super) fn end_engine(&mut self, how: Restart) -> Checked<Restart> {
        let how = match how {
            Restart::Stop => self.stop()?,
            other => {
                self.collect()?;
                other
            }
        };
        self.transcript.event(|| match how {
            Restart::Power(seed) => format!("the power is gone; survival {seed}"),
            Restart::Kill => "the process is dead".to_owned(),
            Restart::Stop => "stopped".to_owned(),
        });
        self.drop_engine(how);
        Ok(how)
    }

    /// Stops properly, if the disk allows it; says what came of it.
    fn stop(&mut self) -> Checked<Restart> {
        if let Some(engine) = &self.engine {
            engine.close(Duration::ZERO);
        }
        let synced = self.disk.plan();
        self.collect()?;
        if self.is_power_gone() {
            return Ok(Restart::Power(self.power.map_or(0, |(_, seed)| seed)));
        }
        // A fault that struck during the stop: like a process that died in it.
        let has_failed = [
            (synced.fail_write, self.disk.writes()),
            (synced.fail_sync, self.disk.syncs()),
        ];
        let struck = |(at, count): &(Option<u64>, u64)| at.is_some_and(|at| at <= *count);
        match has_failed.iter().any(struck) {
            true => Ok(Restart::Kill),
            false => Ok(Restart::Stop),
        }
    }

    /// Lets go of the engine without a last word to the disk.
    fn drop_engine(&mut self, how: Restart) {
        let end = match how {
            Restart::Power(_) => End::Power,
            Restart::Kill => End::Process,
            Restart::Stop => End::Stop,
        };
        self.end = self.end.max(Some(end));
        let plan = self.disk.plan();
        self.disk.set_plan(Plan {
            power_loss_at: Some(0),
            ..plan.clone()
        });
        // One by one, so that a panic in one of them leaves the others alone.
        while let Some((_, taker)) = self.takers.pop_first() {
            taker.handle.cancel();
        }
        self.engine = None;
        self.answers.clear();
        drop(self.inbox.take());
        let mut left = Vec::new();
        self.queue.drain_into(&mut left);
        // What was planned for the disk of the last run is over with it.
        let plan = Plan {
            power_loss_at: None,
            fail_write: None,
            fail_sync: None,
            fail_read: None,
            ..plan
        };
        match how {
            Restart::Power(seed) => {
                self.disk = self.disk.survivor(seed);
                self.power = None;
                self.disk.set_plan(plan);
            }
            Restart::Kill | Restart::Stop => {
                let power_loss_at = self.power.map(|(at, _)| at);
                self.disk.set_plan(Plan {
                    power_loss_at,
                    ..plan
                });
            }
        }
    }

    /// Opens what is there and compares it with what the ledger knows, until that was done
    /// without another end.
    pub(super) fn start(&mut self) -> Checked {
        for _ in 0..STARTS_MAX {
            self.tally.starts += 1;
            match open(&self.disk, &self.clock) {
                Ok(engine) => {
                    self.engine = Some(engine);
                    self.forget_what_is_not_durable();
                    let now = self.now();
                    self.ledger.happens(now);
                    self.ledger.reopened();
                    self.ledger.happens(now);
                    if self.compare()? {
                        return Ok(());
                    }
                }
                Err(error) if self.is_power_gone() => {
                    self.transcript.event(|| format!("not opened: {error}"));
                }
                Err(error) => {
                    let text = error.to_string();
                    self.transcript.event(|| format!("not opened: {text}"));
                    hold!(!self.is_sound(), Opens, "it doesn't open: {text}");
                    // Without what was in its way it must.
                    self.heal();
                    continue;
                }
            }
            let how = match self.is_power_gone() {
                true => Restart::Power(self.power.map_or(0, |(_, seed)| seed)),
                false => Restart::Kill,
            };
            self.transcript
                .event(|| "gone again before it was compared".to_owned());
            self.drop_engine(how);
        }
        Err(Violation::new(
            Rule::Opens,
            format!("{STARTS_MAX} starts in a row failed"),
        ))
    }

    /// An engine has opened: of all ends since the last one, the worst says what may be gone.
    fn forget_what_is_not_durable(&mut self) {
        if let Some(end) = self.end.take() {
            self.ledger.crashed(end);
        }
    }

    /// Nothing is wrong with the disk any more, and nothing will be.
    pub(super) fn heal(&mut self) {
        self.power = None;
        self.ledger.set_short(false);
        self.disk.set_plan(Plan {
            ignore_syncs: self.disk.plan().ignore_syncs,
            ..Plan::default()
        });
    }

    /// Whether nothing is wrong with the disk.
    fn is_sound(&self) -> bool {
        let plan = self.disk.plan();
        plan.capacity == u64::MAX && self.power.is_none()
    }

    /// Compares everything that is there with what should be; false if the engine ended meanwhile.
    pub(super) fn compare(&mut self) -> Checked<bool> {
        let command = Admin::List {
            after: None,
            limit: usize::MAX,
        };
        let Some(Ok(Outcome::Topics(topics))) = self.ask(command)? else {
            return Ok(false);
        };
        let graves = topics.iter().filter_map(|info| number_of(&info.name, 'd'));
        let graves: BTreeSet<u8> = graves.collect();
        let found: BTreeMap<u8, (TopicInfo, Vec<u8>)> = topics
            .into_iter()
            .filter_map(|info| {
                let subs = info.subscriptions.iter();
                let subs = subs.filter_map(|sub| number_of(&sub.name, 's')).collect();
                Some((number_of(&info.name, 't')?, (info, subs)))
            })
            .collect();
        self.ledger.compare_definitions(&found, &graves)?;
        if !self.look_at_graves()? {
            return Ok(false);
        }
        let mut audit = Found::default();
        for (topic, subs) in self.ledger.places() {
            for sub in subs {
                let sub = self.ledger.subscription(sub);
                let Some(shown) = self.peek(topic, sub)? else {
                    if self.has_failed() || self.is_power_gone() {
                        return Ok(false);
                    }
                    continue;
                };
                self.ledger.looked(topic, sub, &shown, true)?;
                self.ledger.adopt(topic, sub, &shown, &mut audit)?;
            }
        }
        self.ledger.compare_batches(&audit)?;
        self.await_letters()?;
        Ok(!self.is_power_gone() && !self.has_failed())
    }

    /// Flips bits on copies of the disk: an engine on such a copy refuses to open, or shows
    /// everything, but for what it says that it can't read.
    pub(super) fn probe(&mut self, seed: u64) -> Checked {
        let mut rng = Rng::new(seed);
        for _ in 0..FLIPS {
            let copy = self.disk.killed();
            let Some(what) = flip(&copy, &mut rng) else {
                continue;
            };
            self.transcript.event(|| format!("on a copy, {what}"));
            let text = match self.probe_one(copy) {
                Ok(text) => text,
                Err(broken) => {
                    return Err(Violation::new(Rule::Damage, format!("{what}: {broken}")));
                }
            };
            self.transcript.event(|| text);
        }
        Ok(())
    }

    fn probe_one(&mut self, copy: FaultDisk) -> Checked<String> {
        let mut world = self.copy_on(copy);
        world.is_damaged = true;
        let engine = match open(&world.disk, &world.clock) {
            Ok(engine) => engine,
            Err(error) => return Ok(format!("which is refused: {error}")),
        };
        world.engine = Some(engine);
        world.forget_what_is_not_durable();
        world.ledger.happens(world.now());
        let compared = world.compare();
        world.drop_engine(Restart::Kill);
        compared.map(|_| "which does no harm".to_owned())
    }
}

impl World {
    /// The same world, on another disk of another machine, as far as it is known.
    fn copy_on(&self, disk: FaultDisk) -> World {
        let transcript = crate::transcript::Transcript::default();
        let clock = Arc::new(self.clock.fork());
        let mut copy = World::on(disk, clock, self.ledger.clone(), transcript);
        copy.end = self.end;
        copy.ledger.forget_unrecorded();
        copy
    }

    /// Copies the store while it runs; an engine on the copy has everything that was durable.
    pub(super) fn backup(&mut self) -> Checked {
        let has_read_fault = self.disk.plan().fail_read.is_some();
        let snapshot = match self.ask(Admin::Backup)? {
            Some(Ok(Outcome::Snapshot(snapshot))) => snapshot,
            Some(Err(error)) => {
                self.transcript.event(|| format!("no copy: {error}"));
                hold!(
                    has_read_fault || self.may_refuse(),
                    Answers,
                    "a copy was refused: {error}"
                );
                return Ok(());
            }
            _ => return Ok(()),
        };
        // What was confirmed until here is in the copy.
        self.collect()?;
        let disk = FaultDisk::new();
        for (index, file) in snapshot.files().iter().enumerate() {
            let mut bytes = vec![0; file.bytes as usize];
            match snapshot.read(index, 0, &mut bytes) {
                Ok(read) if read == bytes.len() => disk.set_content(&file.name, bytes),
                // A read that was to fail.
                _ if has_read_fault || self.is_power_gone() => return Ok(()),
                other => {
                    hold!(false, Answers, "{} can't be copied: {other:?}", file.name);
                }
            }
        }
        let mut copy = self.copy_on(disk);
        copy.end = Some(End::Power);
        let compared = copy.start();
        copy.drop_engine(Restart::Kill);
        self.transcript.event(|| "copied, and compared".to_owned());
        compared
    }
}

/// Flips one bit somewhere in what was written of a file.
fn flip(disk: &FaultDisk, rng: &mut Rng) -> Option<String> {
    let files = disk.files();
    let files: Vec<&String> = files
        .iter()
        .filter(|name| name.ends_with(".seg") || name.contains(".ckpt"))
        .collect();
    let name = *files.get(rng.below(files.len().max(1) as u64) as usize)?;
    let content = disk.content(name)?;
    let end = content.iter().rposition(|byte| *byte != 0)?;
    let (offset, bit) = (rng.below(end as u64 + 1) as usize, rng.below(8) as u8);
    disk.flip(name, offset, bit)
        .then(|| format!("bit {bit} of byte {offset} of {name} is flipped"))
}

impl Ledger {
    /// A subscription by its number, or none for what a topic without subscriptions keeps.
    pub(super) fn subscription(&self, sub: u8) -> Option<u8> {
        (sub != crate::ledger::KEPT).then_some(sub)
    }
}
