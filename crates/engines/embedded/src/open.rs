//! Opening: the journal is replayed, the state machine stands where it stood.

use crate::{
    bodies::BodyAt,
    capabilities::capabilities,
    config::{Drive, EmbeddedConfig, Location},
    error::OpenError,
    live::Live,
    log::Log,
    outgoing::Outgoing,
    shared::Shared,
    state::State,
};
use std::{
    sync::{Arc, Weak},
    thread,
};
use trunkline_journal::{
    Disk, Group, Journal, RealDisk, RecordKind, Recover, RecoveryReport, ReplayError, Replayed,
};
use trunkline_model::{Clock, Durability, SystemClock, Timestamp};
use trunkline_queue::{BodyRef, Core, CoreConfig, KIND_ADVANCE, Record, RecordError};

/// Opens an engine: what it shares, and what recovery found.
pub(crate) fn open(
    config: EmbeddedConfig,
) -> Result<(Arc<Shared>, Option<RecoveryReport>), OpenError> {
    let disk: Option<Arc<dyn Disk>> = match &config.location {
        Location::Memory => None,
        Location::Directory(path) => {
            let disk = RealDisk::create(path).map_err(|cause| OpenError::Directory {
                path: path.display().to_string(),
                cause,
            })?;
            Some(Arc::new(disk))
        }
        Location::Disk(disk) => Some(disk.clone()),
    };
    let core = core_config(&config, disk.is_some())?;
    match disk {
        None => {
            let shared = start(config, Core::new(core), None, Timestamp::ZERO)?;
            Ok((shared, None))
        }
        Some(disk) => recover(config, core, disk),
    }
}

/// Without a journal, what isn't said to be durable is in memory; what is said to be
/// durable is refused.
fn core_config(config: &EmbeddedConfig, durable: bool) -> Result<CoreConfig, OpenError> {
    let mut defaults = config.defaults.clone();
    if !durable {
        match defaults.durability {
            None | Some(Durability::Memory) => defaults.durability = Some(Durability::Memory),
            Some(other) => {
                let text = format!("durability {other:?} needs a directory; memory: has none");
                return Err(OpenError::Defaults(text.to_lowercase()));
            }
        }
    }
    defaults.resolve().map_err(OpenError::Defaults)?;
    Ok(CoreConfig {
        auto_create: config.auto_create,
        defaults,
    })
}

fn recover(
    config: EmbeddedConfig,
    core: CoreConfig,
    disk: Arc<dyn Disk>,
) -> Result<(Arc<Shared>, Option<RecoveryReport>), OpenError> {
    let opened_at = match &config.clock {
        Some(clock) => clock.now(),
        None => SystemClock::new(Timestamp::ZERO).now(),
    };
    let name = disk.name();
    let mut recovering = Recovering {
        core: Core::new(core.clone()),
        config: core,
        live: Live::default(),
    };
    let (journal, report) = Journal::open_with(
        disk,
        config.journal.clone(),
        opened_at.as_micros(),
        &mut recovering,
    )?;
    let core = recovering.core;
    report_recovery(&name, &report);
    // Definitions are durable again before a segment that holds them is freed: a log without
    // them has lost its start, which the journal can't tell from a start that was freed.
    match core.orphans() {
        0 => {}
        messages => {
            return Err(OpenError::Orphaned {
                directory: name,
                messages,
            });
        }
    }
    // A checkpoint knows messages whose segments were moved away, too.
    match bodies_before(&core, journal.oldest_segment()) {
        0 => {}
        messages => {
            return Err(OpenError::Lost {
                directory: name,
                messages,
            });
        }
    }
    let last_now = Timestamp::from_micros(report.last_now);
    let log = Log::new(Arc::new(journal), recovering.live);
    Ok((start(config, core, Some(log), last_now)?, Some(report)))
}

/// The state machine, to the journal.
struct Recovering {
    config: CoreConfig,
    core: Core,
    /// Knows of each segment what was put there, not yet what is alive.
    live: Live,
}

impl Recover for Recovering {
    fn load(&mut self, state: &[u8]) -> Result<(), ReplayError> {
        let mut core = Core::new(self.config.clone());
        core.load(state)?;
        self.core = core;
        Ok(())
    }

    fn record(&mut self, record: Replayed<'_>) -> Result<(), ReplayError> {
        replay(&mut self.core, &mut self.live, record)
    }
}

/// How many messages lie in segments before `oldest`.
fn bodies_before(core: &Core, oldest: u32) -> u64 {
    let mut lost = 0;
    core.upper_halves(&mut |half, count, _| {
        let is_before = segment_of(half).is_some_and(|segment| segment < oldest);
        lost += count * u64::from(is_before);
    });
    lost
}

/// The segment that bodies with this upper half of their reference are in, if it is one.
fn segment_of(half: u32) -> Option<u32> {
    match BodyAt::of(BodyRef(u64::from(half) << 32)) {
        BodyAt::Journal(place) => Some(place.segment()),
        BodyAt::Memory(_) => None,
    }
}

fn replay(core: &mut Core, live: &mut Live, record: Replayed<'_>) -> Result<(), ReplayError> {
    let RecordKind(kind) = record.kind;
    match Record::decode(kind, record.payload) {
        Ok(decoded) => {
            let body = match &decoded {
                Record::Put(put) => {
                    let bytes = Group::record_len(record.payload.len());
                    live.read(record.place, put.payload_bytes, bytes);
                    BodyAt::Journal(record.place).body_ref()
                }
                _ => BodyRef::UNSET,
            };
            Ok(core.replay(decoded, body)?)
        }
        Err(RecordError::UnknownKind(_)) if record.kind.is_skippable() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn report_recovery(directory: &str, report: &RecoveryReport) {
    let RecoveryReport {
        records,
        segments,
        bytes,
        clean,
        ..
    } = report;
    let checkpoint = report.checkpoint.map(|lsn| lsn.0);
    tracing::info!(
        directory,
        records,
        segments,
        bytes,
        clean,
        checkpoint,
        "journal opened"
    );
    for why in &report.ignored {
        tracing::warn!(
            directory,
            why,
            "a checkpoint is not used; the log is read instead"
        );
    }
    if let Some(torn) = &report.torn {
        tracing::warn!(
            file = torn.file,
            offset = torn.offset,
            "the last write was cut short by a crash; none of it was confirmed, and it was cut off"
        );
    }
}

/// Puts everything together, returns what was in flight, and starts the threads.
fn start(
    config: EmbeddedConfig,
    core: Core,
    log: Option<Log>,
    last_now: Timestamp,
) -> Result<Arc<Shared>, OpenError> {
    let clock: Arc<dyn Clock> = match config.clock {
        Some(clock) => clock,
        None => Arc::new(SystemClock::new(last_now)),
    };
    let capabilities = capabilities(log.is_some());
    let shared = Shared::new(
        State::new(core, log),
        clock,
        last_now,
        config.drive,
        capabilities,
    );
    let shared = Arc::new(shared);
    if shared.locked(recovered) {
        shared.sync();
    }
    if config.drive == Drive::Threads {
        spawn(&shared).map_err(OpenError::Thread)?;
    }
    Ok(shared)
}

/// What was in flight goes back, what expired meanwhile goes; then what is left is what
/// keeps its segments. Whether something must be durable before a command is taken.
fn recovered(state: &mut State, now: Timestamp, out: &mut Outgoing) -> bool {
    let mut effects = state.effects();
    state.core.recovered(now, &mut effects);
    let reserves = effects.log.iter().any(|(kind, _)| kind == KIND_ADVANCE);
    // Their places were never counted.
    effects.freed.clear();
    state.record_lazily(&mut effects, now, out);
    state.recycle(effects);
    if let Some(log) = &mut state.log {
        state.core.upper_halves(&mut |half, count, payload| {
            if let Some(segment) = segment_of(half) {
                log.live.found(segment, count, payload);
            }
        });
        log.live.trim();
        out.clean = true;
        log.reserve(state.core.waiting_units());
    }
    // What was given up before and has no dead letter yet.
    state.pump(now, out);
    reserves
}

fn spawn(shared: &Arc<Shared>) -> std::io::Result<()> {
    let journal = shared.locked(|state, _, _| {
        let log = state.log.as_ref();
        log.map(|log| log.journal.clone())
    });
    let mut threads = shared
        .threads
        .lock()
        .expect("no code panics while it holds the threads");
    if let Some(journal) = journal {
        // Weak, since the handle of the writer is kept in what they would keep.
        let (progress, poison): (Weak<Shared>, Weak<Shared>) =
            (Arc::downgrade(shared), Arc::downgrade(shared));
        threads.writer = Some(journal.spawn_writer(
            move |_| {
                if let Some(shared) = progress.upgrade() {
                    shared.release();
                }
            },
            move |error| {
                if let Some(shared) = poison.upgrade() {
                    shared.poisoned(&error);
                }
            },
        )?);
        let reader = shared.clone();
        let builder = thread::Builder::new().name("engine-read".into());
        threads
            .others
            .push(builder.spawn(move || reader.reader.run(&reader))?);
        let cleaner = shared.clone();
        let builder = thread::Builder::new().name("engine-clean".into());
        threads
            .others
            .push(builder.spawn(move || cleaner.cleaner.run(&cleaner))?);
    }
    let timer = shared.clone();
    let builder = thread::Builder::new().name("engine-time".into());
    threads
        .others
        .push(builder.spawn(move || timer.timer.run(&timer))?);
    Ok(())
}
