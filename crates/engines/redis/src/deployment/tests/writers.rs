//! Streams of writes while servers come and go, and a ledger of what was confirmed.

use super::super::{Deployment, Failure};
use super::{pipeline, soon};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinHandle;

pub(super) struct Writers {
    lists: Vec<JoinHandle<Written>>,
    confirmed: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
}

/// What one writer knows.
struct Written {
    list: String,
    confirmed: Vec<u64>,
    /// Whose fate is open.
    unknown: Vec<u64>,
}

pub(super) struct Ledger(Vec<Written>);

/// Appends numbers to each of these lists until told to stop, each with a count beside it.
pub(super) fn start(redis: &Deployment, lists: &[&str]) -> Writers {
    let (confirmed, stopping) = (Arc::default(), Arc::default());
    let lists = lists.iter().map(|list| {
        let written = Written {
            list: (*list).to_owned(),
            confirmed: Vec::new(),
            unknown: Vec::new(),
        };
        let (confirmed, stopping) = (Arc::clone(&confirmed), Arc::clone(&stopping));
        tokio::spawn(write(redis.clone(), written, confirmed, stopping))
    });
    Writers {
        lists: lists.collect(),
        confirmed,
        stopping,
    }
}

async fn write(
    redis: Deployment,
    mut written: Written,
    confirmed: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
) -> Written {
    let (list, count) = (
        format!("{{{}}}", written.list),
        format!("{{{}}}n", written.list),
    );
    for number in 0.. {
        if stopping.load(Ordering::Acquire) {
            break;
        }
        let text = number.to_string();
        let mut push = pipeline(&[&["RPUSH", &list, &text], &["INCR", &count]]);
        if number % 3 == 0 {
            push.atomic();
        }
        let pushed: Result<(u64, u64), _> = soon(redis.confirm(list.as_bytes(), &push)).await;
        match pushed {
            Ok(_) => {
                written.confirmed.push(number);
                confirmed.fetch_add(1, Ordering::AcqRel);
            }
            // It was certainly not done.
            Err(failure) if failure.is_undone() => {}
            Err(
                Failure::Unanswered { .. } | Failure::Replicas { .. } | Failure::Refused { .. },
            ) => written.unknown.push(number),
            Err(failure) => panic!("{failure}"),
        }
    }
    written
}

impl Writers {
    /// Waits until so many more are confirmed.
    pub(super) async fn progress(&self, more: u64) {
        let goal = self.confirmed.load(Ordering::Acquire) + more;
        soon(async {
            while self.confirmed.load(Ordering::Acquire) < goal {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    /// Does what blocks while it is written.
    pub(super) async fn during<T: Send + 'static>(
        &self,
        what: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let done = tokio::task::spawn_blocking(what).await;
        done.expect("it doesn't fail")
    }

    pub(super) async fn stop(self) -> Ledger {
        self.stopping.store(true, Ordering::Release);
        let mut all = Vec::new();
        for list in self.lists {
            all.push(list.await.expect("no panic"));
        }
        Ledger(all)
    }
}

impl Ledger {
    /// Everything confirmed is there once and in its order, and nothing is there that was certainly not done.
    pub(super) async fn compare(&self, redis: &Deployment) {
        for written in &self.0 {
            let list = format!("{{{}}}", written.list);
            let found: Vec<u64> = redis
                .say(&["LRANGE", &list, "0", "-1"])
                .await
                .expect("it is read");
            let of = |numbers: &[u64], among: &[u64]| -> Vec<u64> {
                let kept = numbers.iter().filter(|number| among.contains(number));
                kept.copied().collect()
            };
            let name = &written.list;
            assert_eq!(of(&found, &written.confirmed), written.confirmed, "{name}");
            let rest = found
                .iter()
                .filter(|number| !written.confirmed.contains(number));
            for number in rest {
                assert!(
                    written.unknown.contains(number),
                    "{name}: {number} was not done"
                );
            }
            let count: u64 = redis
                .say(&["GET", &format!("{list}n")])
                .await
                .expect("it is read");
            let least = written.confirmed.len() as u64;
            let most = least + written.unknown.len() as u64;
            assert!(
                (least..=most).contains(&count),
                "{name}: {least} {count} {most}"
            );
        }
    }

    /// How many were confirmed, and of how many the fate is open.
    pub(super) fn counts(&self) -> (usize, usize) {
        let confirmed = self.0.iter().map(|written| written.confirmed.len()).sum();
        (
            confirmed,
            self.0.iter().map(|written| written.unknown.len()).sum(),
        )
    }
}
