//! One request to the script of a topic, there and back.

use super::Topics;
use super::script::{Answer, Request, Step};
use crate::deployment::Failure;
use redis::{Cmd, Pipeline, Value};

impl Topics {
    /// Asks once. A server that doesn't know the script yet is sent it. With `confirmed`, replicas must have what
    /// somebody relies on, as far as the URL asks for that.
    pub(super) async fn ask(
        &self,
        request: &Request<'_>,
        confirmed: bool,
    ) -> Result<Answer, Failure> {
        let key = self.script.key(request.topic);
        let confirmed = confirmed && request.steps.iter().any(changes);
        let mut answered = self.carry(&key, self.script.call(request), confirmed).await;
        if matches!(&answered, Err(failure) if failure.is_no_script()) {
            answered = self.carry(&key, self.script.send(request), confirmed).await;
        }
        self.script
            .answer(answered?)
            .map_err(|unreadable| Failure::Answer {
                server: self.server(),
                reason: unreadable.to_string(),
            })
    }

    async fn carry(&self, key: &[u8], command: Cmd, confirmed: bool) -> Result<Value, Failure> {
        let mut commands = Pipeline::with_capacity(1);
        commands.add_command(command);
        let (answer,): (Value,) = match confirmed {
            true => self.deployment.confirm(key, &commands).await?,
            false => self.deployment.run(key, &commands).await?,
        };
        Ok(answer)
    }
}

/// Whether a step does what somebody relies on, so that replicas must have it if that is asked for.
pub(super) const fn changes(step: &Step) -> bool {
    !matches!(
        step,
        Step::Take { .. }
            | Step::Attach { create: false, .. }
            | Step::Detach { .. }
            | Step::Leave
            | Step::Inspect
            | Step::Peek(_)
            | Step::TakeOutbox { .. }
    )
}
