//! Calls that were given up while they waited in a queue. Pure.

use crate::native::envelope::Asked;
use hashbrown::HashSet;
use std::collections::VecDeque;

/// The most recent ones, looked at before a call is handed to a worker. Forgetting the
/// oldest is harmless: such a call is run, and its answer is dropped.
#[derive(Debug, Default)]
pub(crate) struct Cancelled {
    set: HashSet<Asked>,
    order: VecDeque<Asked>,
}

impl Cancelled {
    const MAX: usize = 16_384;

    /// Remembers one.
    pub(crate) fn insert(&mut self, asked: Asked) {
        if !self.set.insert(asked.clone()) {
            return;
        }
        self.order.push_back(asked);
        if self.order.len() > Self::MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }

    /// Whether this call was given up.
    pub(crate) fn contains(&self, asked: &Asked) -> bool {
        !self.set.is_empty() && self.set.contains(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest() {
        let asked = |call| Asked {
            process: "p".into(),
            call,
        };
        let mut cancelled = Cancelled::default();
        for call in 0..=Cancelled::MAX as u64 {
            cancelled.insert(asked(call));
            cancelled.insert(asked(call));
        }
        assert!(!cancelled.contains(&asked(0)));
        assert!(cancelled.contains(&asked(1)));
        assert_eq!(cancelled.set.len(), Cancelled::MAX);
    }
}
