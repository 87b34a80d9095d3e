//! Looks whether the server is there while nobody asks for anything.

use crate::deployment::Deployment;
use crate::health::Condition;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::Backoff;

/// Between two looks while it answers.
const EVERY: Duration = Duration::from_secs(2);
/// Waits while it doesn't.
const AGAIN: Backoff = Backoff {
    min: Duration::from_millis(50),
    max: Duration::from_secs(1),
};

/// Looks for ever.
pub(crate) async fn watch(deployment: Deployment, condition: Arc<Condition>) {
    let ping = redis::cmd("PING");
    let mut failures = 0;
    loop {
        match deployment.one::<String>(b"", &ping).await {
            Ok(_) => {
                failures = 0;
                condition.answered();
                tokio::time::sleep(EVERY).await;
            }
            Err(failure) => {
                condition.failed(&failure);
                tokio::time::sleep(AGAIN.bound(failures)).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}
