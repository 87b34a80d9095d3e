use super::{TOPIC, input::Lines};
use crate::{
    commands::publish::{Chunk, Encoder},
    failure::Failure,
    latency::Latency,
};
use futures_util::{StreamExt, stream::FuturesOrdered};
use indicatif::ProgressBar;
use std::time::{Duration, Instant};
use trunkline::Connection;

/// Requests in flight.
const WINDOW: usize = 16;

/// What publishing came to.
pub(super) struct Published {
    pub(super) confirmed: u64,
    pub(super) elapsed: Duration,
    /// From sending a request to its confirmation.
    pub(super) latency: Latency,
}

/// Publishes a round's lines in order; confirmed is what is durable.
pub(super) async fn publish(
    client: &Connection,
    lines: &Lines,
    bar: &ProgressBar,
) -> Result<Published, Failure> {
    let begin = Instant::now();
    let mut encoder = Encoder::plain(TOPIC);
    let mut latency = Latency::new();
    let mut flying = FuturesOrdered::new();
    let (mut next, mut confirmed) = (0, 0);
    loop {
        while next < lines.round() && flying.len() < WINDOW {
            let mut chunk = Chunk::new(encoder.overhead());
            while next < lines.round() && chunk.takes(lines.get(next)) {
                chunk.push(lines.get(next));
                next += 1;
            }
            let encoded = encoder.encode(&chunk)?;
            let since = Instant::now();
            let pending = client.start("rpc.topic.publish", &encoded.params).await?;
            flying.push_back(async move { (encoded.messages, since, pending.await) });
        }
        let Some((messages, since, answer)) = flying.next().await else {
            break;
        };
        answer?;
        latency.add(since.elapsed());
        confirmed += messages;
        bar.set_position(confirmed);
    }
    Ok(Published {
        confirmed,
        elapsed: begin.elapsed(),
        latency,
    })
}
