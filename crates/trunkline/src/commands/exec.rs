use super::consume::Delivery;
use crate::{
    failure::Failure,
    process::{self, Streams},
    signal::Stop,
};
use std::{ffi::OsString, time::Duration};
use trunkline_model::Backoff;

/// How long a message that failed waits where the subscription says nothing about it: without
/// that, a program that always fails would be run in a tight loop.
const RETRY: Backoff = Backoff {
    min: Duration::from_millis(100),
    max: Duration::from_secs(10),
};

/// The wait after a message's delivery `attempt` (from 1) has failed.
pub(super) fn wait(attempt: u32) -> Duration {
    RETRY.bound(attempt.saturating_sub(1))
}

/// Runs the program for one message; whether it is done with it.
pub(super) async fn handle(
    command: &[OsString],
    topic: &str,
    delivery: &Delivery<'_>,
    payload: &[u8],
    stop: &mut Stop,
) -> Result<bool, Failure> {
    let environment = [
        ("TRUNKLINE_TOPIC", topic.to_owned()),
        ("TRUNKLINE_MESSAGE_ID", delivery.id.to_owned()),
        ("TRUNKLINE_ATTEMPT", delivery.attempt.to_string()),
        ("TRUNKLINE_KEY", delivery.key.clone().unwrap_or_default()),
    ];
    let name = || {
        command
            .first()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let run = process::run(
        command,
        &environment,
        payload,
        Streams::Inherited,
        stop.asked(),
    );
    let status = match run.await {
        Ok(Some(ended)) => ended.status,
        Ok(None) => return Err(Failure::failed("interrupted; the message goes back")),
        Err(error) => {
            let name = name().unwrap_or_default();
            return Err(Failure::failed(format!("can't run {name}: {error}")));
        }
    };
    if status.success() {
        return Ok(true);
    }
    let (id, name) = (delivery.id, name().unwrap_or_default());
    eprintln!("message {id} goes back: {name} ended with {status}");
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_ten_seconds() {
        let waits = [1, 2, 3, 7, 8, 40, u32::MAX].map(|attempt| wait(attempt).as_millis());
        assert_eq!(waits, [100, 200, 400, 6_400, 10_000, 10_000, 10_000]);
    }
}
