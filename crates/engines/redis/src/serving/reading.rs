//! The loop that reads for a worker.

use super::{Serve, Worker};
use crate::deployment::Failure;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_model::Backoff;

/// Waits after errors of Redis.
const AFTER_ERRORS: Backoff = Backoff {
    min: Duration::from_millis(300),
    max: Duration::from_secs(10),
};

/// Reads requests until the worker drains.
pub(super) async fn read_calls<S: Serve>(shared: Arc<S>, worker: Arc<Worker<S>>) {
    let reader = shared.deployment().patient(shared.connection_name(&worker));
    let (mut ready, mut first) = (false, true);
    let mut failures = 0;
    let next = || shared.upkeep_every().map(|every| Instant::now() + every);
    let mut upkeep_at = next();
    while !worker.slots.is_draining() {
        let done: Result<(), Failure> = if !ready {
            let prepared = match shared.prepare(&worker, first).await {
                Ok(()) => worker.slots.read_over(&reader, shared.key(&worker)).await,
                Err(error) => Err(error),
            };
            ready = prepared.is_ok();
            first &= !ready;
            prepared
        } else if upkeep_at.is_some_and(|at| at <= Instant::now()) {
            upkeep_at = next();
            shared.upkeep(&worker).await
        } else if worker.slots.free() == 0 {
            let changed = worker.slots.changed();
            match upkeep_at {
                Some(at) => drop(tokio::time::timeout_at(at, changed).await),
                None => changed.await,
            }
            Ok(())
        } else if shared.crew().is_full() {
            tokio::select! {
                () = shared.crew().room() => {}
                () = worker.slots.changed() => {}
            }
            Ok(())
        } else {
            shared.read(&worker, &reader, upkeep_at).await
        };
        match done {
            Ok(()) => failures = 0,
            Err(error) => {
                let handler = &worker.spec.handler;
                tracing::warn!(%error, %handler, "can't read calls; trying again");
                // Redis may have forgotten everything, or be another one.
                ready = false;
                let random = RandomState::new().hash_one(failures);
                let wait = AFTER_ERRORS.delay(failures, random);
                failures = failures.saturating_add(1);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = worker.slots.changed() => {}
                }
            }
        }
    }
    worker.slots.read_for_the_last_time();
}
