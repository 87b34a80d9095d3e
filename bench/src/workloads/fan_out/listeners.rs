//! Many listeners read by one blocking thread.

use anyhow::Result;

use super::rounds::Rounds;

/// A connection that listens to the channel.
pub(crate) trait Listener: Send {
    /// Blocks until something arrives and returns how many messages that completed. Anything
    /// but the message that was published is an error.
    fn read(&mut self) -> Result<u64>;

    /// How many listeners it is.
    fn count(&self) -> u64 {
        1
    }
}

/// Connections that each listen to the same channel.
pub(crate) struct Listeners<L>(Vec<Counted<L>>);

struct Counted<L> {
    listener: L,
    received: u64,
}

impl<L: Listener> Listeners<L> {
    pub(crate) fn new(listeners: impl Iterator<Item = L>) -> Listeners<L> {
        let counted = listeners.map(|listener| Counted {
            listener,
            received: 0,
        });
        Listeners(counted.collect())
    }

    /// Looks at every listener.
    pub(crate) fn each(&mut self, mut look: impl FnMut(&mut L)) {
        for counted in &mut self.0 {
            look(&mut counted.listener);
        }
    }

    /// Reads all rounds of `half` messages that are announced.
    ///
    /// Everybody gets the same messages, so waiting for one listener after the other waits no
    /// longer than for the last of them, without a thread or a poll for each.
    pub(crate) fn read_rounds(&mut self, reader: usize, rounds: &Rounds, half: u64) -> Result<()> {
        for listener in &mut self.0 {
            listener.received = 0;
        }
        let mut round = 0;
        while rounds.wait_until_announced(round) {
            for listener in &mut self.0 {
                if let Err(error) = listener.read_until((round + 1) * half) {
                    rounds.done(reader, None);
                    return Err(error);
                }
            }
            rounds.done(reader, Some(round));
            round += 1;
        }
        Ok(())
    }
}

impl<L: Listener> Counted<L> {
    fn read_until(&mut self, messages: u64) -> Result<()> {
        while self.received < messages {
            self.received += self.listener.read()?;
        }
        Ok(())
    }
}
