//! Time: deadlines, announcements, and the one task that watches them.

use super::{Calls, config::CallsConfig};
use crate::lock::lock;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::{
    Notify,
    broadcast::{Receiver, error::RecvError},
};
use trunkline_model::{CallWire, HandlerInfo, Timestamp};

/// Deadlines that lie this close together are looked at together.
const GRANULARITY: Duration = Duration::from_millis(5);
/// Announcements that a handler may miss before it is forgotten.
const MISSES_MAX: u32 = 3;

/// What is to be done when, besides deadlines. Pure.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Until then, calls of methods that nobody offers wait; `None` once that is over.
    asking_until: Option<Timestamp>,
    announce_at: Timestamp,
    announce_every: Duration,
}

impl Schedule {
    pub(super) fn new(now: Timestamp, config: &CallsConfig) -> Self {
        let announce_every = config.announce_every.0.max(Duration::from_millis(10));
        Self {
            asking_until: Some(now.after(config.ask_wait.0)),
            announce_at: now.after(announce_every),
            announce_every,
        }
    }

    /// Whether announcements may still come that were asked for at the start.
    pub(super) fn is_asking(&self, now: Timestamp) -> bool {
        self.asking_until.is_some_and(|until| now < until)
    }

    /// Whether that is over now, once.
    fn asked(&mut self, now: Timestamp) -> bool {
        let over = self.asking_until.is_some_and(|until| until <= now);
        if over {
            self.asking_until = None;
        }
        over
    }

    /// Whether it is time to announce.
    fn announce(&mut self, now: Timestamp) -> bool {
        let due = self.announce_at <= now;
        if due {
            self.announce_at = now.after(self.announce_every);
        }
        due
    }

    fn next(&self) -> Timestamp {
        self.asking_until
            .map_or(self.announce_at, |until| until.min(self.announce_at))
    }
}

impl Calls {
    /// Does what is due at the clock's now: time-outs, announcements, forgetting. Says when
    /// it must be called again. The task of [`Calls::start`] does that; with a clock that
    /// stands still, so does whoever moves it.
    pub fn tick(&self) -> Timestamp {
        let now = self.clock.now();
        let asked = lock(&self.schedule).asked(now);
        if asked {
            self.look_at_held();
        }
        loop {
            // The lock must be gone before the call is ended.
            let due = lock(&self.desk).pop_due(now);
            let Some((id, entry, stage)) = due else { break };
            self.time_out(id, entry, stage);
        }
        self.tell();
        let announce = lock(&self.schedule).announce(now);
        if announce {
            self.announce_all();
            self.forget_silent(now);
            self.wire.sweep();
            lock(&self.remembered).forget_old(now);
        }
        let latest = lock(&self.schedule).next();
        lock(&self.desk).calls.arm(latest)
    }

    fn tick_and_wait(&self) -> Duration {
        let next = self.tick();
        next.since(self.clock.now()) + GRANULARITY
    }

    fn announce_all(&self) {
        let infos = lock(&self.locals).infos(&self.process);
        for info in infos {
            self.wire.announce(info);
        }
    }

    fn forget_silent(&self, now: Timestamp) {
        let span = self.config.announce_every.0.saturating_mul(MISSES_MAX);
        let changed = self
            .write_registry()
            .forget_silent(now, span, &self.categories);
        if changed {
            self.tell_changed();
        }
    }

    /// Another process announces a handler.
    fn learn(&self, info: Arc<HandlerInfo>) {
        if info.announcer == self.process {
            return;
        }
        let now = self.clock.now();
        let changed = self
            .write_registry()
            .learn(info, Some(now), &self.categories);
        if changed {
            self.look_at_held();
            self.tell_changed();
        }
    }
}

/// Ticks until the calls are dropped.
pub(super) async fn run(
    calls: Weak<Calls>,
    earlier: Arc<Notify>,
    mut announcements: Receiver<Arc<HandlerInfo>>,
) {
    loop {
        // Not held while it waits: the last handle may be dropped then.
        let Some(wait) = calls.upgrade().map(|calls| calls.tick_and_wait()) else {
            return;
        };
        let heard = tokio::select! {
            () = earlier.notified() => continue,
            () = tokio::time::sleep(wait) => continue,
            heard = announcements.recv() => heard,
        };
        let Some(calls) = calls.upgrade() else { return };
        match heard {
            Ok(info) => calls.learn(info),
            Err(RecvError::Lagged(_)) => calls.wire.ask(),
            Err(RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::Span;

    #[test]
    fn asks_for_a_while_and_announces_again_and_again() {
        let at = Timestamp::from_millis;
        let config = CallsConfig {
            announce_every: Span(Duration::from_millis(500)),
            ask_wait: Span(Duration::from_millis(300)),
            ..CallsConfig::default()
        };
        let mut schedule = Schedule::new(at(1_000), &config);
        assert_eq!(schedule.next(), at(1_300));
        assert!(schedule.is_asking(at(1_299)) && !schedule.asked(at(1_299)));
        assert!(!schedule.is_asking(at(1_300)) && schedule.asked(at(1_300)));
        assert!(!schedule.asked(at(1_301)));
        assert_eq!(schedule.next(), at(1_500));
        assert!(schedule.announce(at(1_600)) && !schedule.announce(at(1_600)));
        assert_eq!(schedule.next(), at(2_100));
    }
}
