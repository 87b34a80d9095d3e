//! Calls that may be repeated by their caller without being run again. Pure.

use bytes::Bytes;
use compact_str::CompactString;
use hashbrown::HashMap;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use trunkline_model::{CallOutcome, Principal, Timestamp};

/// What makes two calls the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub principal: Principal,
    pub method: CompactString,
    pub key: CompactString,
}

/// What is known of calls with a key: those that run, and the answers of those that ended
/// within the window. Running ones are bounded by the bound on waiting calls and the
/// workers' concurrency, answers by number and bytes.
#[derive(Debug)]
pub(crate) struct Memory {
    calls: HashMap<Arc<Key>, Known>,
    finished: VecDeque<(Timestamp, Arc<Key>)>,
    bytes: u64,
    bounds: Bounds,
}

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub window: Duration,
    pub entries_max: usize,
    pub bytes_max: u64,
}

#[derive(Debug)]
struct Known {
    params: Option<Bytes>,
    state: State,
}

#[derive(Debug)]
enum State {
    Running { leader: u64, followers: Vec<u64> },
    Finished { outcome: CallOutcome, bytes: u64 },
}

/// What a call with a key is.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// The first of its kind: to be run.
    New,
    /// The same is running: it gets that one's answer.
    Follows,
    /// The same has ended like this.
    Finished(CallOutcome),
    /// The key was used with other params.
    Differs,
}

impl Memory {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            calls: HashMap::new(),
            finished: VecDeque::new(),
            bytes: 0,
            bounds,
        }
    }

    /// A call with a key comes. Params are the same if they are so byte for byte.
    pub(crate) fn begin(
        &mut self,
        now: Timestamp,
        key: &Arc<Key>,
        params: Option<&Bytes>,
        id: u64,
    ) -> Found {
        self.forget_old(now);
        let Some(known) = self.calls.get_mut(key) else {
            let state = State::Running {
                leader: id,
                followers: Vec::new(),
            };
            let params = params.cloned();
            self.calls.insert(key.clone(), Known { params, state });
            return Found::New;
        };
        if known.params.as_ref() != params {
            return Found::Differs;
        }
        match &mut known.state {
            State::Running { followers, .. } => {
                followers.push(id);
                Found::Follows
            }
            State::Finished { outcome, .. } => Found::Finished(outcome.clone()),
        }
    }

    /// A call with a key has ended; who else gets its outcome. With `remember`, repetitions
    /// get it too; without, it surely was not run, and the next one is.
    pub(crate) fn end(
        &mut self,
        now: Timestamp,
        key: &Arc<Key>,
        id: u64,
        outcome: &CallOutcome,
        remember: bool,
    ) -> Vec<u64> {
        let Some(known) = self.calls.get_mut(key) else {
            return Vec::new();
        };
        let State::Running { leader, followers } = &mut known.state else {
            return Vec::new();
        };
        if *leader != id {
            followers.retain(|follower| *follower != id);
            return Vec::new();
        }
        let followers = std::mem::take(followers);
        if remember {
            let bytes = weight(key, known.params.as_ref(), outcome);
            known.state = State::Finished {
                outcome: outcome.clone(),
                bytes,
            };
            self.bytes += bytes;
            self.finished
                .push_back((now.after(self.bounds.window), key.clone()));
            self.forget_old(now);
        } else {
            self.calls.remove(key);
        }
        followers
    }

    /// Forgets what is outside the window or the bounds.
    pub(crate) fn forget_old(&mut self, now: Timestamp) {
        while let Some((until, _)) = self.finished.front() {
            let full =
                self.finished.len() > self.bounds.entries_max || self.bytes > self.bounds.bytes_max;
            if *until >= now && !full {
                break;
            }
            if let Some((_, key)) = self.finished.pop_front()
                && let Some(Known {
                    state: State::Finished { bytes, .. },
                    ..
                }) = self.calls.remove(&key)
            {
                self.bytes -= bytes;
            }
        }
    }
}

fn weight(key: &Key, params: Option<&Bytes>, outcome: &CallOutcome) -> u64 {
    let outcome = match outcome {
        CallOutcome::Result(value) | CallOutcome::HandlerError(value) => value.len(),
        CallOutcome::Failed(_) => 256,
    };
    (key.key.len() + key.method.len() + params.map_or(0, Bytes::len) + outcome + 128) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn memory(entries_max: usize, bytes_max: u64) -> Memory {
        Memory::new(Bounds {
            window: Duration::from_secs(120),
            entries_max,
            bytes_max,
        })
    }

    fn key(text: &str) -> Arc<Key> {
        Arc::new(Key {
            principal: Principal::Anonymous,
            method: "m".into(),
            key: text.into(),
        })
    }

    fn result(text: &'static str) -> CallOutcome {
        CallOutcome::Result(text.into())
    }

    #[test]
    fn the_first_runs_and_the_others_get_its_answer() {
        let (mut memory, key) = (memory(10, 1 << 20), key("a"));
        let params = Bytes::from_static(b"[1]");
        assert_eq!(memory.begin(NOW, &key, Some(&params), 1), Found::New);
        assert_eq!(memory.begin(NOW, &key, Some(&params), 2), Found::Follows);
        assert_eq!(memory.begin(NOW, &key, Some(&params), 3), Found::Follows);
        assert_eq!(memory.begin(NOW, &key, None, 4), Found::Differs);
        assert!(memory.end(NOW, &key, 2, &result("x"), true).is_empty());
        assert_eq!(memory.end(NOW, &key, 1, &result("7"), true), [3]);
        let found = memory.begin(NOW, &key, Some(&params), 5);
        assert_eq!(found, Found::Finished(result("7")));
        let later = NOW.after(Duration::from_secs(121));
        assert_eq!(memory.begin(later, &key, None, 6), Found::New);
    }

    #[test]
    fn what_did_not_run_is_not_remembered() {
        let (mut memory, key) = (memory(10, 1 << 20), key("a"));
        memory.begin(NOW, &key, None, 1);
        memory.begin(NOW, &key, None, 2);
        assert_eq!(memory.end(NOW, &key, 1, &result("1"), false), [2]);
        assert_eq!(memory.begin(NOW, &key, None, 3), Found::New);
    }

    #[test]
    fn the_oldest_answers_are_forgotten_at_the_bounds() {
        for (entries_max, bytes_max) in [(2, 1 << 20), (100, 300)] {
            let mut memory = memory(entries_max, bytes_max);
            for (id, text) in ["a", "b", "c"].into_iter().enumerate() {
                memory.begin(NOW, &key(text), None, id as u64);
                memory.end(NOW, &key(text), id as u64, &result("1"), true);
            }
            assert_eq!(memory.begin(NOW, &key("a"), None, 7), Found::New);
            let found = memory.begin(NOW, &key("c"), None, 8);
            assert_eq!(found, Found::Finished(result("1")));
            assert!(memory.bytes <= bytes_max);
        }
    }
}
