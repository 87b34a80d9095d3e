//! The task of a multiplexer: one connection after the other.

use super::listener::Listener;
use super::multiplexer::{Shared, Wanted};
use super::{Connect, Event, Transport};
use crate::LinkError;
use crate::core::Happening;
use bytes::BytesMut;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use trunkline_model::Backoff;

/// What is read at a time, unless a message is larger.
const READ_BYTES: usize = 64 << 10;

/// Why a conversation is over.
enum Over {
    /// The connection is gone.
    Lost(LinkError),
    /// Somebody wants it closed.
    Told,
}

pub(super) async fn run(shared: Arc<Shared>, connect: Box<dyn Connect>) {
    let mut wanted = shared.wanted.subscribe();
    // Attempts in a row after which nothing was heard.
    let mut failures = 0_u32;
    loop {
        let want = *wanted.borrow_and_update();
        shared.stopped.send_replace(want != Wanted::Run);
        match want {
            Wanted::Run => {}
            Wanted::Stop => {
                failures = 0;
                if wanted.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Wanted::End => return,
        }
        let attempt = tokio::select! {
            biased;
            _ = wanted.changed() => continue,
            attempt = connect.connect() => attempt,
        };
        let stream = match attempt {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "can't connect to Redis; trying again");
                shared.counting.connect_failures.add(1);
                failures = failures.saturating_add(1);
                back_off(&shared, failures, &mut wanted).await;
                continue;
            }
        };
        shared.counting.connections.add(1);
        let mut conversation = Conversation::new(&shared);
        let over = conversation.run(stream, &mut wanted).await;
        failures = if conversation.heard {
            0
        } else {
            failures.saturating_add(1)
        };
        match over {
            Over::Lost(error) => {
                tell_of_loss(&error, failures);
                lose(&shared, error).await;
                back_off(&shared, failures, &mut wanted).await;
            }
            Over::Told => pause(&shared),
        }
    }
}

/// Waits before the next attempt, but for the first; less if something else is wanted meanwhile.
async fn back_off(shared: &Shared, failures: u32, wanted: &mut watch::Receiver<Wanted>) {
    let random = RandomState::new().hash_one(failures);
    let Some(delay) = delay(failures, shared.options.backoff, random) else {
        return;
    };
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        // Seen again by whoever looks next.
        _ = wanted.wait_for(|want| *want != Wanted::Run) => {}
    }
}

/// How long to wait after so many failures; not at all after the first.
fn delay(failures: u32, backoff: Backoff, random: u64) -> Option<Duration> {
    (failures > 1).then(|| backoff.delay(failures - 1, random))
}

/// Has the log say that a connection is gone, but not again for each one on which nothing was heard.
fn tell_of_loss(error: &LinkError, failures: u32) {
    if failures > 1 {
        tracing::debug!(%error, "Redis took a connection and said nothing; trying again");
    } else {
        tracing::info!(%error, "lost the pub/sub connection to Redis; connecting again");
    }
}

/// Tells everybody that the connection is gone.
async fn lose(shared: &Shared, error: LinkError) {
    shared.counting.losses.add(1);
    let everybody = {
        let mut core = shared.core();
        core.disconnect(shared.now());
        core.book.everybody()
    };
    let error = Arc::new(error);
    for listener in everybody {
        let error = error.clone();
        tell(shared, &listener, &Event::Lost { error }).await;
        listener.tell_together(&shared.counting);
    }
}

/// Has nobody told anything, but promises can't be made meanwhile.
fn pause(shared: &Shared) {
    let everybody = {
        let mut core = shared.core();
        core.disconnect(shared.now());
        core.book.everybody()
    };
    for listener in everybody {
        listener.pause();
    }
}

/// Hands an event to a subscription. One that has no room is waited for, unless the
/// multiplexer is to stop: what was read is handed out before that, and it is bounded.
async fn tell(shared: &Shared, listener: &Listener, event: &Event) {
    let keep = match listener.try_hear(event, &shared.counting) {
        Some(keep) => keep,
        None => tell_slow(shared, listener, event).await,
    };
    if !keep && let Some(id) = listener.subscription() {
        shared.close(id);
    }
}

async fn tell_slow(shared: &Shared, listener: &Listener, event: &Event) -> bool {
    let mut wanted = shared.wanted.subscribe();
    tokio::select! {
        biased;
        keep = listener.hear(event, &shared.counting) => keep,
        _ = wanted.wait_for(|want| *want != Wanted::Run) => {
            listener.hear_now(event.clone(), &shared.counting);
            true
        }
    }
}

struct Conversation<'s> {
    shared: &'s Shared,
    input: BytesMut,
    out: BytesMut,
    /// Whether the transport has passed on all that was written to it.
    flushed: bool,
    happenings: Vec<Happening<Arc<Listener>>>,
    /// Who is to be told together.
    gathering: Vec<Arc<Listener>>,
    /// The server has said something.
    heard: bool,
}

impl<'s> Conversation<'s> {
    fn new(shared: &'s Shared) -> Self {
        Self {
            shared,
            input: BytesMut::new(),
            out: BytesMut::new(),
            flushed: true,
            happenings: Vec::new(),
            gathering: Vec::new(),
            heard: false,
        }
    }

    async fn run(
        &mut self,
        stream: Box<dyn Transport>,
        wanted: &mut watch::Receiver<Wanted>,
    ) -> Over {
        let (mut reader, mut writer) = tokio::io::split(stream);
        self.shared.core().connect(self.shared.now(), &mut self.out);
        loop {
            if self.out.is_empty() {
                self.flush();
            }
            self.dispatch().await;
            let due = self.shared.instant(self.shared.core().due());
            self.input.reserve(READ_BYTES);
            let done = tokio::select! {
                biased;
                _ = wanted.wait_for(|want| *want != Wanted::Run) => return Over::Told,
                read = reader.read_buf(&mut self.input) => read.map_or_else(
                    |error| Err(LinkError::from(error)),
                    |read| self.receive(read),
                ),
                written = write(&mut writer, &mut self.out, &mut self.flushed),
                    if !self.out.is_empty() || !self.flushed =>
                {
                    written.map_err(LinkError::from)
                }
                () = tokio::time::sleep_until(due) => self.on_time(),
                () = self.shared.work.notified() => Ok(()),
            };
            if let Err(error) = done {
                // What came before the end is said before the end is.
                self.dispatch().await;
                return Over::Lost(error);
            }
        }
    }

    fn flush(&mut self) {
        let mut core = self.shared.core();
        core.flush(&mut self.out, &mut self.happenings);
        if core.book.has_changes() {
            self.shared.work.notify_one();
        }
    }

    fn receive(&mut self, read: usize) -> Result<(), LinkError> {
        if read == 0 {
            return Err(LinkError::Closed);
        }
        self.heard = true;
        self.shared.counting.bytes.add(read as u64);
        let now = self.shared.now();
        let mut core = self.shared.core();
        core.receive(now, &mut self.input, &mut self.happenings)
    }

    fn on_time(&mut self) -> Result<(), LinkError> {
        let now = self.shared.now();
        self.shared.core().on_time(now, &mut self.out)
    }

    async fn dispatch(&mut self) {
        dispatch(self.shared, &mut self.happenings, &mut self.gathering).await;
    }
}

/// Tells subscriptions what happened, in order. `gathering` is room for who is to be told together.
pub(super) async fn dispatch(
    shared: &Shared,
    happenings: &mut Vec<Happening<Arc<Listener>>>,
    gathering: &mut Vec<Arc<Listener>>,
) {
    for happening in std::mem::take(happenings) {
        let (to, event) = match happening {
            Happening::Active { to, name, gap } => (to, Event::Active { name, gap }),
            Happening::Message {
                to,
                channel,
                payload,
            } => {
                shared.counting.messages.add(1);
                shared.counting.deliveries.add(to.len() as u64);
                (to, Event::Message { channel, payload })
            }
            Happening::Withdrawn { to, name } => (to, Event::Withdrawn { name }),
            Happening::Refused { to, name, reason } => {
                shared.counting.refused.add(1);
                let reason = String::from_utf8_lossy(&reason).into_owned();
                (to, Event::Refused { name, reason })
            }
            Happening::Lost { to, error } => (to, Event::Lost { error }),
        };
        for listener in to.iter() {
            tell(shared, listener, &event).await;
            if listener.has_begun_to_gather() {
                gathering.push(listener.clone());
            }
        }
        // Those who were told have their turn, too, where there is one thread for all.
        tokio::task::coop::consume_budget().await;
    }
    for listener in gathering.drain(..) {
        listener.tell_together(&shared.counting);
    }
}

/// Writes some of it, or all and has it passed on; may be given up and begun again at any time.
async fn write(
    writer: &mut (impl AsyncWriteExt + Unpin),
    out: &mut BytesMut,
    flushed: &mut bool,
) -> std::io::Result<()> {
    *flushed = false;
    if !out.is_empty() {
        writer.write_buf(out).await?;
    }
    if out.is_empty() {
        writer.flush().await?;
        *flushed = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_11_the_second_attempt_comes_at_once_and_then_waits_grow() {
        let wait = |failures, random| delay(failures, Backoff::RECONNECT, random);
        assert_eq!((wait(0, u64::MAX), wait(1, u64::MAX)), (None, None));
        let longest = [2, 3, 4, 5, 6, 7, 8, 100].map(|failures| {
            assert_eq!(wait(failures, 0), Some(Duration::ZERO));
            let longest = wait(failures, u64::MAX).unwrap();
            longest.as_micros().div_ceil(1_000)
        });
        assert_eq!(longest, [16, 32, 64, 128, 256, 512, 512, 512]);
    }
}
