//! How long ten thousand names take to be heard again after the server was killed.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use trunkline_bench_peers::redis::Durability;
use trunkline_engine_redis::multiplexer_options;
use trunkline_mpx::{Connect as _, Event, Multiplexer, MultiplexerOptions, RedisAddress};

use super::{Server, Since, Waits, start_runtime};
use crate::measure::{Measure, Unit};
use crate::workloads::Context;

const NAMES: usize = 10_000;
/// How often the server is killed.
const KILLS: usize = 5;
/// How long it stays away: waits between attempts have grown to the longest by then.
const AWAY: Duration = Duration::from_millis(1_500);
/// Longest wait for all names, so that a lost one ends the run.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The longest of some times, in milliseconds.
pub(super) fn run(context: &Context<'_>, since: Since, waits: Waits) -> Result<Measure> {
    let mut server = Server::start(context, Durability::Memory)?;
    let runtime = start_runtime()?;
    let inside = runtime.enter();
    let names = Arc::new(Names::default());
    let options = match waits {
        Waits::Program => multiplexer_options(),
        Waits::Library => MultiplexerOptions::default(),
    };
    let (address, accepted) = (RedisAddress::new(server.url())?, names.clone());
    let connect = move || {
        let (connecting, names) = (address.connect(), accepted.clone());
        async move {
            let stream = connecting.await?;
            names.change(|state| state.accepted = Some(Instant::now()));
            Ok(stream)
        }
    };
    let mpx = Multiplexer::new(connect, options);
    let heard = names.clone();
    let subscription = mpx.channels(move |event| match event {
        Event::Active { .. } => heard.activate(),
        Event::Lost { .. } => heard.change(|state| *state = State::default()),
        _ => {}
    });
    subscription.add((0..NAMES).map(|n| format!("name:{n}")))?;
    names.wait_until_all()?;
    let mut times = Vec::new();
    for _ in 0..KILLS {
        server.process.kill()?;
        names.wait_until_lost()?;
        thread::sleep(AWAY);
        let answered = server.restart()?;
        let (accepted, complete) = names.wait_until_all()?;
        let since = match since {
            Since::Accepted => accepted,
            Since::Answered => answered,
        };
        times.push(complete.saturating_duration_since(since).as_secs_f64() * 1_000.0);
    }
    drop((subscription, mpx, inside));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let longest = times.iter().copied().fold(0.0, f64::max);
    let times: Vec<String> = times.iter().map(|time| format!("{time:.0}")).collect();
    let note = format!("after each kill {} ms", times.join(", "));
    Ok(Measure::of_value(Unit::Milliseconds, longest).noting(note))
}

/// What the multiplexer has told on its connection.
#[derive(Default)]
struct Names {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    active: usize,
    accepted: Option<Instant>,
    complete: Option<Instant>,
}

impl Names {
    fn activate(&self) {
        let mut state = self.lock();
        state.active += 1;
        if state.active == NAMES {
            state.complete = Some(Instant::now());
            drop(state);
            self.changed.notify_all();
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait_until_lost(&self) -> Result<()> {
        self.wait(|state| state.active == 0).map(drop)
    }

    /// When the connection was there, and when all names were.
    fn wait_until_all(&self) -> Result<(Instant, Instant)> {
        let state = self.wait(|state| state.complete.is_some())?;
        let times = state.accepted.zip(state.complete);
        Ok(times.expect("names are active on a connection"))
    }

    fn wait(&self, is: impl Fn(&State) -> bool) -> Result<MutexGuard<'_, State>> {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), SILENCE_MAX, |state| !is(state));
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let active = state.active;
        ensure!(!timeout.timed_out(), "{active} of {NAMES} names are back");
        Ok(state)
    }

    // No code that can panic runs under the lock, so a poisoned one is still consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
