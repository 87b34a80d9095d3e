//! Looks whether the server is there while nobody asks for anything.

use crate::deployment::{Deployment, Failure};
use crate::health::Condition;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use trunkline_model::Backoff;

/// Between two looks while it answers.
const EVERY: Duration = Duration::from_secs(2);
/// After so long it is said that it doesn't.
const PATIENCE: Duration = Duration::from_secs(2);
/// Waits while it doesn't.
const AGAIN: Backoff = Backoff {
    min: Duration::from_millis(50),
    max: Duration::from_secs(1),
};

fn silent(deployment: &Deployment) -> Failure {
    Failure::Unanswered {
        server: deployment.url().to_string(),
        reason: format!("no answer to PING for {} s", PATIENCE.as_secs()),
    }
}

/// Looks for ever.
pub(crate) async fn watch(deployment: Deployment, condition: Arc<Condition>) {
    let ping = redis::cmd("PING");
    let mut failures = 0;
    loop {
        let asked = Instant::now();
        let answered = tokio::time::timeout(PATIENCE, deployment.one::<String>(b"", &ping)).await;
        let answered = answered.unwrap_or_else(|_| Err(silent(&deployment)));
        match answered {
            Ok(_) => {
                failures = 0;
                condition.answered();
                tokio::time::sleep(EVERY).await;
            }
            Err(failure) => {
                condition.silent_since(asked, &failure);
                tokio::time::sleep(AGAIN.bound(failures)).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}
