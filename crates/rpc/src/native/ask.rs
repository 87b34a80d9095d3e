//! Asking: a call becomes a message, or is given up.

use super::{Native, names, request};
use crate::{
    lock::lock,
    native::{abandoned::Abandoned, envelope::Asked},
};
use compact_str::CompactString;
use smallvec::smallvec;
use std::sync::{Arc, Weak, atomic::Ordering};
use trunkline_model::{
    Admin, Batch, Call, CallId, CallOutcome, Command, Completed, Completion, CompletionQueue,
    CompletionSink, Durability, Error, ErrorCode, Outcome, Stage, StartFrom, SubscriptionName,
    SubscriptionSettings, TopicName, TopicSettings,
};

impl Native {
    /// Queues a call.
    pub(super) fn ask_for(&self, call: Call, completion: Completion) -> CallId {
        let number = self.last_call.fetch_add(1, Ordering::Relaxed) + 1;
        let id = CallId(number);
        let topic = match self.queue_for(&call.method) {
            Ok(topic) => topic,
            Err(error) => {
                fail(completion, error);
                return id;
            }
        };
        // Before the message: its answer may come before the publish returns.
        let bytes = call.params.as_ref().map_or(0, |params| params.len() as u64);
        lock(&self.pending).insert(number, completion, call.deadline, bytes);
        let publish = Command::Publish {
            topic,
            messages: smallvec![request::message(call, number, &self.process)],
        };
        let failed = Completion::on_error(self.publish_failed.clone(), number);
        self.engine.submit(&self.system, Batch::of(publish), failed);
        id
    }

    fn queue_for(&self, method: &str) -> Result<TopicName, Error> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::shutting_down());
        }
        // The clock is read only if it matters.
        let full = lock(&self.pending).abandoned.is_full();
        if full && self.is_full_even_now() {
            return Err(Error::new(
                ErrorCode::Overloaded,
                "too many calls were given up while they waited for a worker; try again later",
            )
            .with("limit", Abandoned::CALLS_MAX));
        }
        let queue = lock(&self.queues).use_for(method)?;
        if queue.define {
            self.define(&queue.topic, method);
        }
        Ok(queue.topic)
    }

    fn is_full_even_now(&self) -> bool {
        let now = self.clock.now();
        let abandoned = &mut lock(&self.pending).abandoned;
        abandoned.forget_old(now);
        abandoned.is_full()
    }

    /// Forgets a call: nothing is completed, a worker that has it is told.
    pub(super) fn give_up(&self, id: CallId) -> Option<Stage> {
        let removed = lock(&self.pending).give_up(id.0)?;
        let stage = removed.stage();
        match &removed.taker {
            Some(taker) => self.stop(taker),
            None => {
                let asked = Asked {
                    process: self.process.clone(),
                    call: id.0,
                };
                self.publish(names::channel(names::CANCELLED), asked.encode());
            }
        }
        // Used up so that it stays silent.
        drop(removed.completion.into_parts(Err(Error::internal())));
        Some(stage)
    }

    /// Makes a method's queue, if it isn't there. Engines keep the order of commands, so
    /// that nobody has to wait for it.
    pub(super) fn define(&self, topic: &TopicName, method: &str) {
        let define = Admin::Define {
            topic: topic.clone(),
            settings: TopicSettings {
                durability: Some(Durability::Memory),
                transient: true,
                ..TopicSettings::default()
            },
        };
        let subscribe = Admin::Subscribe {
            topic: topic.clone(),
            subscription: workers(),
            from: Some(StartFrom::All),
            settings: SubscriptionSettings::default(),
        };
        for command in [define, subscribe] {
            self.engine
                .admin(&self.system, command, Completion::ignored());
        }
        lock(&self.queues).defined(method);
    }
}

/// The name of the one subscription of a method's queue.
pub(super) fn workers() -> SubscriptionName {
    SubscriptionName::new(names::WORKERS).expect("the fixed names are short")
}

/// Ends a call with Trunkline's own error.
pub(super) fn fail(completion: Completion, error: Error) {
    completion.complete(Ok(Outcome::Answered(CallOutcome::Failed(error))));
}

/// Hears of calls that an engine refused to queue.
pub(super) struct PublishFailed(pub(super) Weak<Native>);

impl CompletionSink for PublishFailed {
    fn completed(&self, completed: Completed) {
        let (Some(native), Err(error)) = (self.0.upgrade(), completed.result) else {
            return;
        };
        let removed = lock(&native.pending).remove(completed.token);
        if let Some(removed) = removed {
            let error = match error.code() {
                // The queue was deleted by another process between its last use and this one, or the engine has
                // lost what it had.
                ErrorCode::NotFound => {
                    lock(&native.queues).doubt();
                    Error::new(ErrorCode::MethodNotFound, "no handler offers this method")
                }
                _ => error,
            };
            fail(removed.completion, error);
        }
    }
}

/// Deletes a queue in which nothing waits and from which nobody takes. A call that another
/// process queues between the look and the deletion is lost and ends by its time-out; a
/// queue must have been idle for a while before it comes to this.
pub(super) fn delete_if_unused(native: &Native, method: CompactString, topic: TopicName) {
    let inspect = Admin::Inspect { topic };
    let looked = Looked {
        native: native.me.clone(),
        method,
    };
    let looked = CompletionQueue::relay(Arc::new(looked));
    native
        .engine
        .admin(&native.system, inspect, Completion::new(looked, 0));
}

struct Looked {
    native: Weak<Native>,
    method: CompactString,
}

impl CompletionSink for Looked {
    fn completed(&self, completed: Completed) {
        let native = self.native.upgrade();
        let (Some(native), Ok(Outcome::Topic(info))) = (native, completed.result) else {
            return;
        };
        // Else the process of the consumer looks after it.
        let consumed = info.subscriptions.iter().any(|s| s.consumers > 0);
        if consumed {
            return;
        }
        let mut queues = lock(&native.queues);
        if info.messages > 0 {
            queues.keep(self.method.clone(), info.name);
        } else if !queues.is_known(&self.method) {
            drop(queues);
            let delete = Admin::Delete { topic: info.name };
            native
                .engine
                .admin(&native.system, delete, Completion::ignored());
        }
    }
}
