//! The task that writes answers.

use super::Serve;
use redis::{RedisResult, Value};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Most answers of one round trip.
const ANSWERS_AT_ONCE: usize = 256;

/// Writes answers until their worker is over and nothing is left.
pub(super) async fn write_answers<S: Serve>(
    shared: Arc<S>,
    mut answered: mpsc::UnboundedReceiver<S::Answer>,
) {
    let mut answers = Vec::new();
    while answered.recv_many(&mut answers, ANSWERS_AT_ONCE).await > 0 {
        let mut commands = redis::pipe();
        commands.ignore_errors();
        for answer in answers.drain(..) {
            shared.write(&answer, &mut commands);
        }
        let written: RedisResult<Vec<RedisResult<Value>>> = shared.link().run(&commands).await;
        let failed = match written {
            Ok(results) => results.into_iter().find_map(Result::err),
            Err(error) => Some(error),
        };
        if let Some(error) = failed {
            tracing::warn!(%error, "can't write answers");
        }
    }
}
