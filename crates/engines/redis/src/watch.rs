//! Looks whether the server is there while nobody asks for anything.

use crate::deployment::{Deployment, Failure};
use crate::health::Condition;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use trunkline_model::{Backoff, Health};

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

/// What a server is like that has answered: it is told, and what somebody should see to is a warning for as long
/// as the server is there. False if it couldn't be asked.
async fn look(deployment: &Deployment, condition: &Condition) -> bool {
    let Ok(features) = deployment.features().await else {
        return false;
    };
    let server = deployment.url();
    tracing::info!(%server, %features, "connected to Redis");
    for note in features.notes(server) {
        tracing::info!(%server, "{note}");
    }
    // Whoever runs the engine writes down what its health says.
    let warnings = features.warnings(server);
    let text = (!warnings.is_empty()).then(|| warnings.join("; "));
    condition.warn("server", text);
    true
}

impl Deployment {
    /// Whether it answers, as it changes: looked at every 2 s for as long as somebody holds what this returns. Must be
    /// called inside a tokio runtime.
    pub fn health(&self) -> watch::Receiver<Health> {
        let condition = Arc::new(Condition::new(&self.url().to_string()));
        let health = condition.subscribe();
        let deployment = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = look_again(deployment, &condition, false) => {}
                () = condition.is_nobodys() => {}
            }
        });
        health
    }
}

/// Looks for ever, and at what kind of server it is.
pub(crate) async fn watch(deployment: Deployment, condition: Arc<Condition>) {
    look_again(deployment, &condition, true).await;
}

/// Looks for ever; closely, if what the server does with its data matters.
async fn look_again(deployment: Deployment, condition: &Condition, closely: bool) {
    let ping = redis::cmd("PING");
    let (mut failures, mut known) = (0, false);
    loop {
        let asked = Instant::now();
        let answered = tokio::time::timeout(PATIENCE, deployment.one::<String>(b"", &ping)).await;
        let answered = answered.unwrap_or_else(|_| Err(silent(&deployment)));
        match answered {
            Ok(_) => {
                failures = 0;
                // Another one may answer after a loss.
                known = known || !closely || look(&deployment, condition).await;
                condition.answered();
                tokio::time::sleep(EVERY).await;
            }
            Err(failure) => {
                known = false;
                condition.silent_since(asked, &failure);
                tokio::time::sleep(AGAIN.bound(failures)).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}
