//! One channel, a thousand listeners in this process, one subscription on the wire.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use trunkline_bench_peers::redis::{Connection, Durability, encode};
use trunkline_mpx::{Event, Multiplexer, QueueOptions};

use super::{Server, start_runtime};
use crate::measure::Measure;
use crate::peers::{Pipeline, payload};
use crate::workloads::{Context, fan_out};

const LISTENERS: usize = 1_000;
const CHANNEL: &[u8] = b"bench";
/// Messages that are on their way at most; as many have room in a queue.
const WINDOW: u32 = 1_000;
/// Longest wait for anything, so that a lost message ends the run.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The multiplexer, and a task for each of its streams.
pub(super) fn run(context: &Context<'_>) -> Result<Measure> {
    let server = Server::start(context, Durability::Memory)?;
    let runtime = start_runtime()?;
    let progress = Arc::new(Progress::default());
    let inside = runtime.enter();
    let mpx = Multiplexer::open(server.url())?;
    let mut kept = Vec::new();
    for _ in 0..LISTENERS {
        let (subscription, mut events) = mpx.channels_stream(QueueOptions::default());
        subscription.add([CHANNEL])?;
        kept.push(subscription);
        let mut listener = Count::new(&progress);
        runtime.spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Event::Active { .. } => listener.ready(),
                    Event::Message { payload, .. } => listener.heard(&payload),
                    other => listener.fail(format!("{other:?}")),
                }
            }
        });
    }
    drop(inside);
    progress.wait_until_ready()?;
    let measure = measure(context, &server, &progress)?;
    drop((kept, mpx));
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(measure)
}

/// A thread that reads, a bounded queue for each listener, and a task that takes from it.
pub(super) fn run_bare(context: &Context<'_>) -> Result<Measure> {
    let server = Server::start(context, Durability::Memory)?;
    let runtime = start_runtime()?;
    let progress = Arc::new(Progress::default());
    let mut queues = Vec::new();
    for _ in 0..LISTENERS {
        let (sender, mut receiver) = mpsc::channel::<Bytes>(WINDOW as usize);
        queues.push(sender);
        let mut listener = Count::new(&progress);
        runtime.spawn(async move {
            listener.ready();
            while let Some(payload) = receiver.recv().await {
                listener.heard(&payload);
            }
        });
    }
    progress.wait_until_ready()?;
    let mut connection = Connection::open(server.address)?;
    connection.ask(&[b"SUBSCRIBE", CHANNEL])?;
    let closer = connection.closer()?;
    let reader = thread::Builder::new().name("reader".to_owned());
    let reader = reader.spawn(move || read(connection, &queues))?;
    let measure = measure(context, &server, &progress);
    closer.close();
    // It ends with its connection, which is no news.
    let read = reader.join().expect("the reader returns its errors");
    runtime.shutdown_timeout(Duration::from_secs(1));
    measure.map_err(|error| match read {
        Err(reason) => error.context(format!("the reader ended: {reason:#}")),
        Ok(()) => error,
    })
}

/// Hands every message to everybody.
fn read(mut connection: Connection, queues: &[mpsc::Sender<Bytes>]) -> Result<()> {
    let mut message = Vec::new();
    let payload = Bytes::from(payload());
    encode(&mut message, &[b"message", CHANNEL, &payload]);
    loop {
        connection.fill()?;
        while connection.take_exact(&message)? {
            let payload = Bytes::copy_from_slice(&payload);
            for queue in queues {
                let queued = match queue.try_send(payload.clone()) {
                    Err(TrySendError::Full(payload)) => queue.blocking_send(payload).is_ok(),
                    queued => queued.is_ok(),
                };
                ensure!(queued, "a listener has gone");
            }
        }
    }
}

fn measure(context: &Context<'_>, server: &Server, progress: &Arc<Progress>) -> Result<Measure> {
    let payload = payload();
    let words: [&[u8]; 3] = [b"PUBLISH", CHANNEL, payload.as_bytes()];
    let publisher = Pipeline::open(server.address, &words)?;
    let all = Everybody {
        progress: progress.clone(),
        read: 0,
    };
    let context = context.on(&server.process);
    let measure = fan_out::measure(&context, publisher, vec![all], WINDOW)?;
    let subscribers = Connection::open(server.address)?.ask(&[b"PUBSUB", b"NUMSUB", CHANNEL])?;
    let told = server.calls_of("subscribe")?;
    ensure!(
        subscribers.ends_with(b":1\r\n") && told == 1,
        "{told} SUBSCRIBEs, and these subscribers: {}",
        String::from_utf8_lossy(&subscribers)
    );
    let messages = measure.value / LISTENERS as f64;
    Ok(measure.noting(format!("{messages:.0} messages/s into the process")))
}

/// Who has heard how much. Told once every half window by each listener, so that the telling costs
/// little.
#[derive(Default)]
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ready: usize,
    /// For each half window that somebody has heard, how many have.
    heard: Vec<usize>,
    failed: Option<String>,
}

impl Progress {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait_until_ready(&self) -> Result<()> {
        self.wait(|state| state.ready == LISTENERS)
    }

    /// Everybody has heard that many half windows.
    fn wait_until_heard(&self, halves: usize) -> Result<()> {
        self.wait(|state| state.heard.get(halves - 1) == Some(&LISTENERS))
    }

    fn wait(&self, is: impl Fn(&State) -> bool) -> Result<()> {
        let goes_on = |state: &mut State| state.failed.is_none() && !is(state);
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), SILENCE_MAX, goes_on);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(failed) = &state.failed {
            bail!("a listener heard {failed}");
        }
        ensure!(!timeout.timed_out(), "a listener misses messages");
        Ok(())
    }

    // No code that can panic runs under the lock, so a poisoned one is still consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one listener has heard.
struct Count {
    progress: Arc<Progress>,
    payload: Vec<u8>,
    heard: u32,
    halves: usize,
}

impl Count {
    fn new(progress: &Arc<Progress>) -> Count {
        Count {
            progress: progress.clone(),
            payload: payload().into_bytes(),
            heard: 0,
            halves: 0,
        }
    }

    fn ready(&self) {
        self.progress.change(|state| state.ready += 1);
    }

    fn fail(&self, why: String) {
        self.progress.change(|state| state.failed = Some(why));
    }

    fn heard(&mut self, payload: &[u8]) {
        if payload != self.payload {
            return self.fail("another message".to_owned());
        }
        self.heard += 1;
        if self.heard == WINDOW / 2 {
            self.heard = 0;
            let half = self.halves;
            self.halves += 1;
            self.progress.change(|state| {
                if state.heard.len() <= half {
                    state.heard.resize(half + 1, 0);
                }
                state.heard[half] += 1;
            });
        }
    }
}

/// All listeners as one.
struct Everybody {
    progress: Arc<Progress>,
    /// Half windows.
    read: usize,
}

impl fan_out::Listener for Everybody {
    fn read(&mut self) -> Result<u64> {
        self.read += 1;
        self.progress.wait_until_heard(self.read)?;
        Ok(u64::from(WINDOW / 2))
    }

    fn count(&self) -> u64 {
        LISTENERS as u64
    }
}
