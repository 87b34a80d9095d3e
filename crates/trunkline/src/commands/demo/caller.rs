use super::{METHOD, input::Lines, worker::words};
use crate::{failure::Failure, latency::Latency};
use futures_util::{StreamExt, stream::FuturesUnordered};
use indicatif::ProgressBar;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use trunkline::{Connection, RequestError};
use trunkline_model::ErrorCode;

/// Calls in flight.
const CONCURRENCY: usize = 8;
/// Longest wait for the worker to be there.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// What calling came to.
pub(super) struct Called {
    /// Calls whose answer was the right one.
    pub(super) right: u64,
    /// From the first call to the last answer.
    pub(super) elapsed: Duration,
    /// From call to answer.
    pub(super) latency: Latency,
}

/// Waits until the worker answers.
pub(super) async fn ready(client: &Connection) -> Result<(), Failure> {
    let nobody = i64::from(ErrorCode::MethodNotFound.number());
    let begin = Instant::now();
    loop {
        match client.request(METHOD, &json!([""])).await {
            Ok(_) => return Ok(()),
            Err(RequestError::Answer(error))
                if error.code == nobody && begin.elapsed() < READY_WITHIN => {}
            Err(error) => return Err(error.into()),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Calls the worker with lines of the input and checks its answers.
pub(super) async fn call(
    client: &Connection,
    lines: &Lines,
    calls: u64,
    bar: &ProgressBar,
) -> Result<Called, Failure> {
    let begin = Instant::now();
    let mut latency = Latency::new();
    let mut flying = FuturesUnordered::new();
    let (mut next, mut right) = (0, 0);
    loop {
        while next < calls && flying.len() < CONCURRENCY {
            let line = String::from_utf8_lossy(lines.get(next)).into_owned();
            let since = Instant::now();
            let pending = client.start(METHOD, &json!([line])).await?;
            flying.push(async move { (words(&line), since, pending.await) });
            next += 1;
        }
        let Some((expected, since, answer)) = flying.next().await else {
            break;
        };
        latency.add(since.elapsed());
        right += u64::from(answer?.get() == expected.to_string());
        bar.inc(1);
    }
    Ok(Called {
        right,
        elapsed: begin.elapsed(),
        latency,
    })
}
