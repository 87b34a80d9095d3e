//! Which batches are the log, and what the first one that isn't means. Pure; argued in `docs/journal-format.md`, *Recovery*.

use crate::format::BatchHeader;
use crate::lsn::Lsn;

/// The end of the log as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The LSN that comes next; `None` before the first batch of a log whose start was freed.
    next: Option<Lsn>,
    generation: u32,
    closed: bool,
    last_now: u64,
}

impl Chain {
    /// Before the oldest segment. Segment 1 starts with LSN 1, any other with whatever it starts with.
    pub(crate) fn start(oldest_segment: u32) -> Chain {
        Chain {
            next: (oldest_segment == 1).then_some(Lsn(1)),
            generation: 0,
            closed: false,
            last_now: 0,
        }
    }

    /// After the record `lsn` of this or an earlier generation.
    pub(crate) fn resumed(lsn: Lsn, generation: u32, last_now: u64) -> Chain {
        Chain {
            next: Some(lsn.next()),
            generation,
            closed: false,
            last_now,
        }
    }

    /// Whether a valid batch continues the log.
    pub(crate) fn continues(&self, batch: &BatchHeader) -> bool {
        self.next.is_none_or(|next| next == batch.first_lsn)
            && batch.first_lsn > Lsn::ZERO
            && batch.generation >= self.generation
            && batch.synced_lsn < batch.first_lsn
    }

    /// Whether a valid batch at the start of the next segment continues the log though this segment has space left:
    /// a segment is synced before it is left, and the batch must know that.
    pub(crate) fn continues_in_next_segment(&self, batch: &BatchHeader) -> bool {
        self.next.is_some() && self.continues(batch) && batch.synced_lsn.next() >= batch.first_lsn
    }

    /// Goes past a batch that continues the log.
    pub(crate) fn advance(&mut self, batch: &BatchHeader) {
        debug_assert!(self.continues(batch));
        self.resume(batch);
    }

    /// Goes on after a batch whether it continues the log or not. For those who look at a damaged one.
    pub(crate) fn resume(&mut self, batch: &BatchHeader) {
        self.next = Some(batch.next_lsn());
        self.generation = batch.generation;
        self.closed = batch.is_closing();
        self.last_now = self.last_now.max(batch.now);
    }

    /// The LSN that comes next; 1 if nothing is known.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.next.unwrap_or(Lsn(1))
    }

    /// Whether no batch was found though the oldest segment must start with one.
    pub(crate) fn is_headless(&self) -> bool {
        self.next.is_none()
    }

    /// Whether the last batch was that of a clean stop.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The generation of the last batch.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether a batch of this generation after the end was there already when the last batch was written: an earlier opening cut it off.
    pub(crate) fn is_stale(&self, generation: u32) -> bool {
        generation < self.generation || (self.closed && generation == self.generation)
    }

    /// The latest time recorded.
    pub(crate) fn last_now(&self) -> u64 {
        self.last_now
    }
}

/// What is found after the end of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// Valid batches that no earlier opening can have cut off.
    pub(crate) fresh: u64,
    /// The highest `synced_lsn` of them.
    pub(crate) synced_lsn: Lsn,
    /// The highest generation of them.
    pub(crate) generation: u32,
}

impl Beyond {
    /// Counts a valid batch after the end of `chain`.
    pub(crate) fn add(&mut self, chain: &Chain, batch: &BatchHeader) {
        self.fresh += u64::from(!chain.is_stale(batch.generation));
        self.synced_lsn = self.synced_lsn.max(batch.synced_lsn);
        self.generation = self.generation.max(batch.generation);
    }
}

/// What the end of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The end of what a crash left.
    End,
    /// Something durable is missing.
    Damaged,
}

/// Judges the end of a log: `chain` ends, and `beyond` was found after it.
pub(crate) fn judge(chain: &Chain, beyond: &Beyond) -> Verdict {
    if chain.is_headless() || beyond.synced_lsn >= chain.next_lsn() {
        Verdict::Damaged
    } else {
        Verdict::End
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::FLAG_CLOSING;

    fn batch(generation: u32, first: u64, count: u32, synced: u64) -> BatchHeader {
        BatchHeader {
            flags: 0,
            body: 0,
            generation,
            count,
            first_lsn: Lsn(first),
            synced_lsn: Lsn(synced),
            now: 0,
        }
    }

    #[test]
    fn only_the_next_lsn_of_no_older_generation_continues() {
        let mut chain = Chain::start(1);
        chain.advance(&batch(2, 1, 9, 0));
        let cases = [
            (batch(2, 10, 1, 9), true, "the next one"),
            (batch(5, 10, 1, 0), true, "a later opening"),
            (batch(1, 10, 1, 9), false, "cut off by an earlier opening"),
            (batch(2, 11, 1, 9), false, "one is missing"),
            (batch(2, 9, 1, 8), false, "one is repeated"),
            (batch(2, 10, 1, 10), false, "durable before it was written"),
        ];
        for (batch, continues, what) in cases {
            assert_eq!(chain.continues(&batch), continues, "{what}");
        }
        assert!(chain.continues_in_next_segment(&batch(2, 10, 1, 9)));
        assert!(
            !chain.continues_in_next_segment(&batch(2, 10, 1, 8)),
            "the segment before was not durable"
        );
    }

    #[test]
    fn a_log_starts_with_lsn_1_unless_its_start_was_freed() {
        assert!(!Chain::start(1).continues(&batch(1, 2, 1, 1)));
        assert!(Chain::start(2).continues(&batch(1, 500, 1, 499)));
        assert_eq!(judge(&Chain::start(1), &Beyond::default()), Verdict::End);
        assert_eq!(
            judge(&Chain::start(2), &Beyond::default()),
            Verdict::Damaged
        );
    }

    #[test]
    fn a_batch_that_knows_better_turns_the_end_into_damage() {
        let mut chain = Chain::start(1);
        chain.advance(&batch(1, 1, 9, 0));
        let mut beyond = Beyond::default();
        beyond.add(&chain, &batch(1, 12, 1, 9));
        assert_eq!(judge(&chain, &beyond), Verdict::End);
        beyond.add(&chain, &batch(1, 13, 1, 10));
        assert_eq!(judge(&chain, &beyond), Verdict::Damaged);
    }

    #[test]
    fn what_an_earlier_opening_cut_off_is_not_reported_again() {
        let mut chain = Chain::start(1);
        chain.advance(&BatchHeader {
            flags: FLAG_CLOSING,
            ..batch(3, 1, 1, 0)
        });
        let mut beyond = Beyond::default();
        beyond.add(&chain, &batch(2, 5, 1, 0));
        beyond.add(&chain, &batch(3, 5, 1, 0));
        assert_eq!((beyond.fresh, beyond.generation), (0, 3));
        beyond.add(&chain, &batch(4, 5, 1, 0));
        assert_eq!((beyond.fresh, beyond.generation), (1, 4));
    }
}
