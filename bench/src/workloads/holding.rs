//! A consumer that settles messages at random and holds on to the others: what leaves a store with
//! gaps everywhere.

use anyhow::{Result, ensure};

use super::Context;
use super::consumer::{CREDIT, JsonConsumer, SUBSCRIPTION};
use crate::rpc::Draws;

/// Bound of a consumer's credit, on the server's side.
const CREDIT_MAX: u64 = 1_000_000;

/// Most messages of which a consumer can hold `percent`.
pub(super) fn messages_max(percent: u32) -> u64 {
    // As much above the expected number as `credit` allows, and some more.
    CREDIT_MAX * 90 / u64::from(percent.max(1))
}

/// Settles all but `percent` of the next `messages` of `topic`, chosen at random but the same in
/// every run, and returns how many it held. These are given back when it ends.
pub(super) fn settle_all_but(
    context: &Context<'_>,
    topic: &str,
    percent: u32,
    messages: u64,
) -> Result<u64> {
    let credit = credit(percent, messages);
    ensure!(
        credit <= CREDIT_MAX,
        "{percent} % of {messages} messages are more than a consumer may hold"
    );
    let socket = context.connect()?;
    let mut consumer = JsonConsumer::of(socket, topic, SUBSCRIPTION, credit as u32)?;
    let mut draws = Draws::new(100, 0);
    let (mut delivered, mut acked, mut confirmed) = (0, 0, 0);
    while delivered < messages || confirmed < acked {
        let step = consumer.step_choosing(|_| {}, || draws.draw() >= percent)?;
        delivered += step.delivered;
        acked += step.acked;
        confirmed += step.confirmed;
    }
    Ok(delivered - acked)
}

/// Enough for what is held on to in the end, and for what is under way.
fn credit(percent: u32, messages: u64) -> u64 {
    messages * u64::from(percent) / 100 + messages / 50 + u64::from(CREDIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_held_as_credit_allows() {
        for percent in [25, 30, 50] {
            let messages = messages_max(percent);
            assert!(credit(percent, messages) <= CREDIT_MAX, "{percent} %");
            let mut draws = Draws::new(100, 0);
            let held = (0..messages).filter(|_| draws.draw() < percent).count() as u64;
            assert!(held + u64::from(CREDIT) / 2 < credit(percent, messages));
            let share = held as f64 * 100.0 / messages as f64;
            assert!((share - f64::from(percent)).abs() < 0.5, "{share}");
        }
    }
}
