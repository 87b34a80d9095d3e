use std::{collections::VecDeque, time::Duration};

/// Over how long a live rate is taken.
const SPAN: Duration = Duration::from_secs(1);

/// How fast a number grows, over the last second.
#[derive(Debug, Default)]
pub(super) struct Speed {
    seen: VecDeque<(Duration, u64)>,
}

impl Speed {
    /// The rate at `now`, when the number is `done`.
    pub(super) fn at(&mut self, now: Duration, done: u64) -> f64 {
        self.seen.push_back((now, done));
        while self.seen.get(1).is_some_and(|(at, _)| *at + SPAN <= now) {
            self.seen.pop_front();
        }
        let Some((since, before)) = self.seen.front() else {
            return 0.0;
        };
        let seconds = (now - *since).as_secs_f64();
        match seconds > 0.0 {
            true => done.saturating_sub(*before) as f64 / seconds,
            false => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let mut speed = Speed::default();
        let mut at = |ms, done| speed.at(Duration::from_millis(ms), done);
        assert_eq!((at(0, 0), at(500, 100)), (0.0, 200.0));
        assert_eq!(at(1_000, 1_000), 1_000.0);
        for step in 1..=10 {
            at(1_000 + step * 100, 1_000 + step);
        }
        assert_eq!(at(2_100, 1_011).round(), 10.0);
        assert!(speed.seen.len() < 20);
    }
}
