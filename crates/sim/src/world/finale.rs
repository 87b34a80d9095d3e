//! The end of every history: everything that is owed must come.

use super::World;
use crate::{
    ledger::KEPT,
    op::{Consume, Mask, Op},
    rule::Checked,
};

/// Longer than any delay that is asked for.
const LAST_WAIT_MS: u64 = 20_000;
/// A consumer that no history has.
const LAST_SLOT: u8 = 200;

impl World {
    /// Heals the disk, crashes once more, and takes everything that there is; after a stop nothing
    /// of it is left.
    pub(crate) fn finish(&mut self) -> Checked {
        let slots: Vec<u8> = self.takers.keys().copied().collect();
        self.heal();
        for slot in slots {
            self.run(&Op::Cancel(slot))?;
        }
        self.run(&Op::Settle)?;
        self.run(&Op::Kill)?;
        let wait = Op::Wait {
            ms: LAST_WAIT_MS,
            tick: true,
        };
        self.run(&wait)?;
        for (topic, subs) in self.ledger.places() {
            if subs.iter().all(|sub| *sub == KEPT) {
                self.run(&Op::Subscribe(topic, 0, None))?;
            }
        }
        let mut slot = LAST_SLOT;
        for (topic, subs) in self.ledger.places() {
            for sub in subs {
                let consume = Consume {
                    credit: 1_000_000,
                    window: None,
                    auto: false,
                };
                self.run(&Op::Consume(slot, vec![(topic, sub)], consume))?;
                slot += 1;
            }
        }
        self.run(&Op::Settle)?;
        // Of a group comes one after the other.
        while (LAST_SLOT..slot).any(|slot| !self.ledger.held(slot).is_empty()) {
            for slot in LAST_SLOT..slot {
                self.run(&Op::Ack(slot, Mask::all(), false))?;
            }
            self.run(&Op::Settle)?;
        }
        self.ledger.check_drained()?;
        self.run(&Op::Stop)?;
        for (topic, subs) in self.ledger.places() {
            for sub in subs {
                self.run(&Op::Look(topic, sub))?;
            }
        }
        self.tally.buried = self.ledger.letters_seen();
        let files = self.disk.files();
        let oldest = files.iter().find_map(|name| name.strip_suffix(".seg"));
        let oldest = oldest.and_then(|number| number.parse::<u64>().ok());
        self.tally.freed = oldest.unwrap_or(1) - 1;
        Ok(())
    }
}
