use crate::{
    Altered, CallOutcome, Durability, Error, ErrorCode, Mailbox, MessageId, PeekCursor, PeekedPage,
    Snapshot, TopicInfo, Wake,
};
use bytes::Bytes;
use smallvec::SmallVec;
use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// What a batch did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Identity of every published message, in order; for a `publish_id` that the topic
    /// had seen, the first one's.
    pub ids: SmallVec<[MessageId; 1]>,
    /// The strongest class of the topics that were published to: what is confirmed is this
    /// durable. `None` without a publish.
    pub durability: Option<Durability>,
    /// Deliveries settled by acks.
    pub acked: u64,
    /// Deliveries returned or dropped by nacks.
    pub nacked: u64,
    /// Deliveries whose ack time-out was extended.
    pub extended: u64,
    /// Deliveries that were no longer held and so were left alone.
    pub skipped: u64,
}

/// What a redrive did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Dead letters that are in their topics again.
    pub moved: u64,
    /// Those that stayed: where they came from is gone, or has no room.
    pub left: u64,
    /// Where to go on; `None` if nothing is left to look at.
    pub next: Option<PeekCursor>,
}

/// How a command ended well.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// A batch is as durable as promised.
    Done(Receipt),
    /// A topic is defined.
    Defined {
        /// Whether it was not there before.
        created: bool,
    },
    /// An alteration of a topic or subscription is durable.
    Altered(Altered),
    /// A subscription is there.
    Subscribed {
        /// Whether it was not there before.
        created: bool,
        /// Messages kept for a first subscription that it did not want.
        released: u64,
    },
    /// A topic or subscription is gone, or messages were purged: how many messages that freed.
    Removed {
        /// Messages that left the subscription or topic.
        messages: u64,
    },
    /// One topic in detail.
    Topic(Box<TopicInfo>),
    /// Topics, by name.
    Topics(Vec<TopicInfo>),
    /// Messages looked at.
    Peeked(PeekedPage),
    /// Dead letters were moved back.
    Redriven(Redriven),
    /// A copy of the store, to be read.
    Snapshot(Arc<dyn Snapshot>),
    /// A channel message was handed to so many listeners; `None` if the engine can't know.
    Reached(Option<u64>),
    /// A worker has taken a call: comes at most once per attempt, before its progress and
    /// its answer, with the call's token. Whoever offers calls to others keeps it to itself.
    Taken,
    /// Progress of a call that is still running: comes any number of times before
    /// [`Outcome::Answered`], with the call's token.
    Progress(Bytes),
    /// A call has its answer.
    Answered(CallOutcome),
}

impl Outcome {
    /// Bytes that it keeps in memory, for those that can be large: what is read from a
    /// topic, and what a handler says. The others are as small as the command was.
    fn weight(&self) -> u64 {
        let length = match self {
            Self::Progress(value) => value.len() + STEP_BYTES,
            Self::Answered(CallOutcome::Result(json) | CallOutcome::HandlerError(json)) => {
                json.len()
            }
            Self::Topics(topics) => topics.len() * size_of::<TopicInfo>(),
            Self::Peeked(page) => {
                let messages = page.messages.iter();
                messages.map(|m| m.message.payload.len()).sum()
            }
            _ => 0,
        };
        length as u64
    }
}

/// What a step of a command costs besides its value.
const STEP_BYTES: usize = size_of::<Completed>();

/// One finished command in a [`CompletionQueue`].
#[derive(Debug)]
pub struct Completed {
    /// The token given at submission.
    pub token: u64,
    /// How it ended.
    pub result: Result<Outcome, Error>,
}

/// Takes finished commands in the very thread that finishes them, for a part that only
/// passes them on. It must not block, and may be called from inside the call that submitted
/// the command.
pub trait CompletionSink: Send + Sync {
    /// Takes one finished command, or one step of it (progress of a call).
    fn completed(&self, completed: Completed);
}

/// Where a connection finds what its commands came to: one queue and one wake-up, however
/// many commands end together.
pub struct CompletionQueue(Target);

enum Target {
    Held(Held),
    Sink(Arc<dyn CompletionSink>),
}

/// What waits to be taken, and how much that is.
struct Held {
    mailbox: Mailbox<Completed>,
    bytes: AtomicU64,
    bytes_max: u64,
}

impl Held {
    /// Makes room for one, or makes it small: `None` if it can do without.
    fn admit(&self, mut completed: Completed) -> Option<Completed> {
        let Ok(outcome) = &completed.result else {
            return Some(completed);
        };
        let weight = outcome.weight();
        if weight == 0 {
            return Some(completed);
        }
        let is_progress = matches!(outcome, Outcome::Progress(_));
        let max = if is_progress {
            self.bytes_max / 2
        } else {
            self.bytes_max
        };
        let before = self.bytes.fetch_add(weight, Ordering::Relaxed);
        if before == 0 || before.saturating_add(weight) <= max {
            return Some(completed);
        }
        self.bytes.fetch_sub(weight, Ordering::Relaxed);
        if is_progress {
            return None;
        }
        let text = "the answer was dropped: too many answers wait for this client to take them";
        completed.result =
            Err(Error::new(ErrorCode::Overloaded, text).with("limit", self.bytes_max));
        Some(completed)
    }

    /// These wait no longer.
    fn taken(&self, completed: &[Completed]) {
        if self.bytes.load(Ordering::Relaxed) == 0 {
            return;
        }
        let outcomes = completed.iter().filter_map(|one| one.result.as_ref().ok());
        let weight = outcomes.map(Outcome::weight).sum();
        self.bytes.fetch_sub(weight, Ordering::Relaxed);
    }
}

impl CompletionQueue {
    /// An empty queue that wakes `wake`. Its bound is the number of commands under way.
    pub fn new(wake: Wake) -> Arc<Self> {
        Self::bounded(wake, u64::MAX)
    }

    /// The same for commands of somebody who may not take what they come to: large answers
    /// (of handlers, and what was read from topics) may wait in it up to `bytes_max` in
    /// all, or one alone. Beyond, an answer becomes `-32003` with `data.limit`; progress is
    /// left out, from half of that on.
    pub fn bounded(wake: Wake, bytes_max: u64) -> Arc<Self> {
        Arc::new(Self(Target::Held(Held {
            mailbox: Mailbox::new(wake),
            bytes: AtomicU64::new(0),
            bytes_max,
        })))
    }

    /// A queue that keeps nothing: `sink` gets everything at once.
    pub fn relay(sink: Arc<dyn CompletionSink>) -> Arc<Self> {
        Arc::new(Self(Target::Sink(sink)))
    }

    /// Takes everything that is finished, in order of completion, into an empty vector.
    pub fn drain_into(&self, into: &mut Vec<Completed>) {
        if let Target::Held(held) = &self.0 {
            held.mailbox.drain_into(into);
            held.taken(into);
        }
    }

    /// Adds finished commands with at most one wake-up: for engines that finish many of
    /// one connection at once. Like a sink, it is never called with a lock held.
    pub fn extend(&self, completed: impl IntoIterator<Item = Completed>) {
        match &self.0 {
            Target::Held(held) => held
                .mailbox
                .extend(completed.into_iter().filter_map(|one| held.admit(one))),
            Target::Sink(sink) => completed.into_iter().for_each(|one| sink.completed(one)),
        }
    }

    fn push(&self, completed: Completed) {
        self.extend([completed]);
    }
}

impl fmt::Debug for CompletionQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CompletionQueue")
            .field(match &self.0 {
                Target::Held(held) => &held.mailbox,
                Target::Sink(_) => &"relay",
            })
            .finish()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Everything,
    Errors,
}

/// The right to say, once, how a command ended. It needs no future and no allocation.
///
/// Dropping the receiving queue cancels nothing. Dropping a completion that was not used
/// reports [`ErrorCode::Internal`](crate::ErrorCode::Internal), so that no command ends in
/// silence.
#[derive(Debug)]
pub struct Completion {
    queue: Option<Arc<CompletionQueue>>,
    token: u64,
    wants: Wants,
}

impl Completion {
    /// Reports to `queue` under `token`.
    pub fn new(queue: Arc<CompletionQueue>, token: u64) -> Self {
        Self {
            queue: Some(queue),
            token,
            wants: Wants::Everything,
        }
    }

    /// Reports to `queue` only if the command fails.
    pub fn on_error(queue: Arc<CompletionQueue>, token: u64) -> Self {
        Self {
            queue: Some(queue),
            token,
            wants: Wants::Errors,
        }
    }

    /// Nobody waits.
    pub const fn ignored() -> Self {
        Self {
            queue: None,
            token: 0,
            wants: Wants::Errors,
        }
    }

    /// Whether somebody waits for success, so that the engine should hurry: an ack that
    /// nobody waits for never starts a flush of its own.
    pub fn is_awaited(&self) -> bool {
        self.queue.is_some() && self.wants == Wants::Everything
    }

    /// The receiving queue and token, for an engine that completes many at once through
    /// [`CompletionQueue::extend`]; `None` if this result is not wanted.
    pub fn into_parts(
        mut self,
        result: Result<Outcome, Error>,
    ) -> Option<(Arc<CompletionQueue>, Completed)> {
        let queue = self.queue.take()?;
        (self.wants == Wants::Everything || result.is_err()).then_some((
            queue,
            Completed {
                token: self.token,
                result,
            },
        ))
    }

    /// Says how the command ended.
    pub fn complete(self, result: Result<Outcome, Error>) {
        if let Some((queue, completed)) = self.into_parts(result) {
            queue.push(completed);
        }
    }

    /// Says how many commands ended. What goes to one queue in a row costs one visit and at
    /// most one wake-up. How many there were.
    pub fn complete_all(
        completions: impl Iterator<Item = (Completion, Result<Outcome, Error>)>,
    ) -> usize {
        let mut count = 0;
        let mut target: Option<Arc<CompletionQueue>> = None;
        let mut together: Vec<Completed> = Vec::new();
        for (completion, result) in completions {
            count += 1;
            let Some((queue, completed)) = completion.into_parts(result) else {
                continue;
            };
            match &target {
                Some(same) if Arc::ptr_eq(same, &queue) => {}
                _ => {
                    if let Some(other) = target.replace(queue) {
                        other.extend(together.drain(..));
                    }
                }
            }
            together.push(completed);
        }
        if let Some(queue) = target {
            queue.extend(together);
        }
        count
    }

    /// Reports progress of a call; the completion stays usable.
    pub fn progress(&self, value: Bytes) {
        self.reporter().report(Outcome::Progress(value));
    }

    /// Reports steps while the completion itself stays where it is kept, so that no lock
    /// on that place is held while reporting.
    pub fn reporter(&self) -> Reporter {
        Reporter {
            queue: self.queue.clone(),
            token: self.token,
        }
    }
}

/// Reports steps of a command that has not ended: [`Outcome::Taken`], [`Outcome::Progress`].
#[derive(Debug)]
pub struct Reporter {
    queue: Option<Arc<CompletionQueue>>,
    token: u64,
}

impl Reporter {
    /// Reports one step.
    pub fn report(self, step: Outcome) {
        if let Some(queue) = self.queue {
            queue.push(Completed {
                token: self.token,
                result: Ok(step),
            });
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.push(Completed {
                token: self.token,
                result: Err(Error::internal()),
            });
        }
    }
}

/// A completion and the future of its result, for code that does one thing at a time.
/// That a call was taken, and its progress, are skipped.
pub fn oneshot() -> (
    Completion,
    impl Future<Output = Result<Outcome, Error>> + Send + 'static,
) {
    let wake = Wake::new();
    let queue = CompletionQueue::new(wake.clone());
    let completion = Completion::new(queue.clone(), 0);
    let future = async move {
        let mut completed = Vec::new();
        loop {
            queue.drain_into(&mut completed);
            for Completed { result, .. } in completed.drain(..) {
                if !matches!(result, Ok(Outcome::Taken | Outcome::Progress(_))) {
                    return result;
                }
            }
            wake.woken().await;
        }
    };
    (completion, future)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(queue: &CompletionQueue) -> Vec<(u64, bool)> {
        let mut completed = Vec::new();
        queue.drain_into(&mut completed);
        completed
            .iter()
            .map(|c| (c.token, c.result.is_ok()))
            .collect()
    }

    #[test]
    fn reports_once_and_never_stays_silent() {
        let queue = CompletionQueue::new(Wake::new());
        Completion::new(queue.clone(), 1).complete(Ok(Outcome::Removed { messages: 0 }));
        drop(Completion::new(queue.clone(), 2));
        Completion::on_error(queue.clone(), 3).complete(Ok(Outcome::Removed { messages: 0 }));
        Completion::on_error(queue.clone(), 4).complete(Err(Error::shutting_down()));
        Completion::ignored().complete(Err(Error::shutting_down()));
        assert_eq!(results(&queue), [(1, true), (2, false), (4, false)]);
    }

    #[test]
    fn what_nobody_takes_has_a_bound() {
        let queue = CompletionQueue::bounded(Wake::new(), 1_000);
        let answer = |token, bytes| {
            let result = CallOutcome::Result(vec![b'1'; bytes].into());
            Completion::new(queue.clone(), token).complete(Ok(Outcome::Answered(result)));
        };
        for _ in 0..2 {
            let running = Completion::new(queue.clone(), 0);
            for _ in 0..1_000 {
                running.progress(Bytes::from_static(b"1"));
            }
            answer(1, 700);
            answer(2, 700);
            Completion::new(queue.clone(), 3).complete(Ok(Outcome::Removed { messages: 0 }));
            drop(running);
            let mut ended = results(&queue);
            ended.retain(|(token, ok)| *token > 0 || !*ok);
            assert_eq!(ended, [(1, false), (2, false), (3, true), (0, false)]);

            // One may be of any size, and taking makes room.
            answer(4, 5_000);
            answer(5, 1);
            assert_eq!(results(&queue), [(4, true), (5, false)]);
        }
    }

    #[test]
    fn relays_in_the_completing_thread() {
        struct Seen(std::sync::Mutex<Vec<u64>>);
        impl CompletionSink for Seen {
            fn completed(&self, completed: Completed) {
                self.0.lock().unwrap().push(completed.token);
            }
        }
        let seen = Arc::new(Seen(std::sync::Mutex::default()));
        let queue = CompletionQueue::relay(seen.clone());
        let completion = Completion::new(queue.clone(), 1);
        completion.progress(Bytes::new());
        completion.complete(Ok(Outcome::Removed { messages: 0 }));
        drop(Completion::new(queue, 2));
        assert_eq!(*seen.0.lock().unwrap(), [1, 1, 2]);
    }
}
