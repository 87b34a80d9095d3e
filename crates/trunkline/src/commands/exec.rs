use super::consume::Delivery;
use crate::{
    failure::Failure,
    process::{self, Streams},
    signal::Stop,
};
use std::{ffi::OsString, time::Duration};
use tokio::time::sleep;
use trunkline_model::Backoff;

/// How long a message that failed is held before it goes back: without that, a program that
/// always fails would be run in a tight loop.
const RETRY: Backoff = Backoff {
    min: Duration::from_millis(100),
    max: Duration::from_secs(5),
};

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
    tokio::select! {
        () = sleep(RETRY.bound(delivery.attempt.saturating_sub(1))) => {}
        () = stop.asked() => return Err(Failure::failed("interrupted; the message goes back")),
    }
    Ok(false)
}
