//! When the writer thread writes. Pure: times are passed in, counted from any fixed moment.

use std::time::Duration;

use crate::config::Urgency;

/// What there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// The highest urgency of what is appended and not written.
    pub(crate) waiting: Option<Urgency>,
    /// Something is written and not durable.
    pub(crate) unsynced: bool,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Write what waits, sync if it asks for it.
    Commit,
    /// Write what waits and sync everything.
    Sync,
    /// Nothing before this time.
    WaitUntil(Duration),
    /// Nothing until something is appended.
    Wait,
}

/// The deadlines that are running.
#[derive(Debug)]
pub(crate) struct Schedule {
    lazy_flush: Duration,
    sync_interval: Duration,
    lazy_due: Option<Duration>,
    sync_due: Option<Duration>,
}

impl Schedule {
    pub(crate) fn new(lazy_flush: Duration, sync_interval: Duration) -> Self {
        Self {
            lazy_flush,
            sync_interval,
            lazy_due: None,
            sync_due: None,
        }
    }

    /// Decides. To be asked again after the action, and whenever something is appended.
    pub(crate) fn next(&mut self, work: Work, now: Duration) -> Action {
        let running = |due: Option<Duration>, on: bool, after: Duration| {
            on.then(|| due.unwrap_or(now.saturating_add(after)))
        };
        self.lazy_due = running(
            self.lazy_due,
            work.waiting == Some(Urgency::Lazy),
            self.lazy_flush,
        );
        self.sync_due = running(self.sync_due, work.unsynced, self.sync_interval);
        if work.waiting == Some(Urgency::Commit) {
            return Action::Commit;
        }
        match [self.lazy_due, self.sync_due].into_iter().flatten().min() {
            Some(due) if due <= now => {
                self.lazy_due = None;
                self.sync_due = None;
                Action::Sync
            }
            _ if work.waiting == Some(Urgency::Interval) => Action::Commit,
            Some(due) => Action::WaitUntil(due),
            None => Action::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn lazy_waits_for_company_and_then_for_its_deadline() {
        let mut schedule = Schedule::new(ms(10), ms(1000));
        let lazy = Work {
            waiting: Some(Urgency::Lazy),
            unsynced: false,
        };
        assert_eq!(schedule.next(Work::default(), ms(0)), Action::Wait);
        assert_eq!(schedule.next(lazy, ms(5)), Action::WaitUntil(ms(15)));
        assert_eq!(
            schedule.next(lazy, ms(14)),
            Action::WaitUntil(ms(15)),
            "a later lazy record doesn't move the deadline"
        );
        assert_eq!(schedule.next(lazy, ms(15)), Action::Sync);
        assert_eq!(
            schedule.next(
                Work {
                    waiting: Some(Urgency::Commit),
                    ..lazy
                },
                ms(20)
            ),
            Action::Commit
        );
        assert_eq!(
            schedule.next(lazy, ms(30)),
            Action::WaitUntil(ms(40)),
            "the commit took the old ones along"
        );
    }

    #[test]
    fn what_is_written_is_durable_within_the_interval() {
        let mut schedule = Schedule::new(ms(10), ms(1000));
        let interval = Work {
            waiting: Some(Urgency::Interval),
            unsynced: false,
        };
        assert_eq!(schedule.next(interval, ms(0)), Action::Commit);
        let written = Work {
            waiting: None,
            unsynced: true,
        };
        assert_eq!(schedule.next(written, ms(1)), Action::WaitUntil(ms(1001)));
        let more = Work {
            waiting: Some(Urgency::Interval),
            unsynced: true,
        };
        assert_eq!(schedule.next(more, ms(900)), Action::Commit);
        assert_eq!(
            schedule.next(more, ms(1001)),
            Action::Sync,
            "a stream of writes doesn't put it off"
        );
        assert_eq!(schedule.next(Work::default(), ms(1002)), Action::Wait);
    }
}
