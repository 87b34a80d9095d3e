use super::{call::Reply, commit::Afterwards};
use trunkline_model::{CallId, TopicName};
use trunkline_stomp::Token;

/// Tokens with this bit are of jobs; the others are the session's own.
const JOB: u64 = 1 << 63;
/// The token of what nobody waits for, unless it fails.
pub(super) const UNAWAITED: u64 = u64::MAX;

/// What a completion is for, if it is not simply that of a frame.
#[derive(Debug)]
pub(super) enum Job {
    /// The queue behind a destination was made, because somebody sends there.
    Queue(TopicName),
    /// A transaction is durable; this goes out then, and the COMMIT is done.
    Commit(Token, Afterwards),
    /// A call has its answer.
    Call {
        /// Where that goes.
        reply: Box<Reply>,
        /// Absent if the call ended as it began.
        id: Option<CallId>,
        /// Goes on when the connection is gone: it may be asked for again.
        keyed: bool,
    },
}

/// What a completion means.
#[derive(Debug)]
pub(super) enum Ended {
    /// A frame is done.
    Frame(Token),
    /// A job is.
    Job(Job),
    /// Something that nobody waits for failed.
    Unawaited,
}

/// The jobs of one connection that are under way, by completion token.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    slots: Vec<Option<Job>>,
    free: Vec<usize>,
}

impl Jobs {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The token under which a job is kept.
    pub(super) fn insert(&mut self, job: Job) -> u64 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(job);
        JOB | slot as u64
    }

    pub(super) fn get_mut(&mut self, token: u64) -> Option<&mut Job> {
        let slot = usize::try_from(token & !JOB).ok()?;
        self.slots.get_mut(slot)?.as_mut()
    }

    /// What the completion with a token is for; `None` for a job that has ended.
    pub(super) fn ended(&mut self, token: u64) -> Option<Ended> {
        if token == UNAWAITED {
            return Some(Ended::Unawaited);
        }
        if token & JOB == 0 {
            return Some(Ended::Frame(Token(token)));
        }
        let slot = usize::try_from(token & !JOB).ok()?;
        let job = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot);
        if self.free.len() == self.slots.len() {
            // Nothing is under way: a burst must not keep its memory.
            self.slots.clear();
            self.free.clear();
            self.slots.shrink_to(64);
            self.free.shrink_to(64);
        }
        Some(Ended::Job(job))
    }

    /// The calls that nobody can ask for again.
    pub(super) fn unkeyed_calls(&self) -> impl Iterator<Item = CallId> + '_ {
        self.slots.iter().flatten().filter_map(|job| match job {
            Job::Call {
                id, keyed: false, ..
            } => *id,
            _ => None,
        })
    }
}
