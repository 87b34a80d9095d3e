//! Hearing: what other processes, and this one, say about calls.

use super::{
    Native,
    envelope::{Asked, Reply, decode_cancel},
    names,
};
use crate::lock::lock;
use bytes::Bytes;
use compact_str::CompactString;
use std::sync::{Arc, Weak, atomic::Ordering};
use trunkline_model::{
    ChannelMessage, ChannelName, HandlerInfo, ListenerEvent, ListenerSink, Outcome,
};

/// The listener of a process. Answers are completed in the thread that delivers them.
pub(super) struct Ear {
    native: Weak<Native>,
    reply: Option<ChannelName>,
    control: Option<ChannelName>,
}

impl Ear {
    pub(super) fn new(native: Weak<Native>, process: &CompactString) -> Self {
        Self {
            native,
            reply: names::reply_channel(process),
            control: names::control_channel(process),
        }
    }

    fn message(&self, native: &Native, message: &ChannelMessage) {
        let (channel, payload) = (&message.channel, &message.payload);
        if Some(channel) == self.reply.as_ref() {
            if let Some((call, reply)) = Reply::decode(payload) {
                let ends = matches!(reply, Reply::Answer(_));
                if !native.heard(call, reply) && ends {
                    native.late.fetch_add(1, Ordering::Relaxed);
                }
            }
        } else if Some(channel) == self.control.as_ref() {
            if let Some(dispatch) = decode_cancel(payload) {
                native.stop_here(dispatch);
            }
        } else {
            match channel.as_str() {
                names::CANCELLED => {
                    if let Some(asked) = Asked::decode(payload) {
                        lock(&native.running).cancel_queued(asked);
                    }
                }
                names::ANNOUNCE => native.announced(payload),
                names::ASK => native.repeat_announcements(),
                _ => {}
            }
        }
    }
}

impl ListenerSink for Ear {
    fn event(&self, event: ListenerEvent) {
        let Some(native) = self.native.upgrade() else {
            return;
        };
        match event {
            ListenerEvent::Message { message, .. } => self.message(&native, &message),
            ListenerEvent::Dropped(count) => {
                tracing::warn!(
                    count,
                    "answers of calls were dropped: this process is too slow"
                );
            }
            ListenerEvent::Refused { error, .. } => {
                tracing::error!(%error, "calls of other processes won't work");
            }
            ListenerEvent::Lost => {
                tracing::warn!("the engine was lost: answers of running calls may be missed");
            }
            _ => {}
        }
    }
}

impl Native {
    /// Something is said about a call of this process. False if nobody waits for it.
    pub(super) fn heard(&self, call: u64, reply: Reply) -> bool {
        match reply {
            Reply::Taken(taker) => {
                let reporter = lock(&self.pending).taken(call, taker.clone());
                match reporter {
                    Some(reporter) => reporter.report(Outcome::Taken),
                    // Given up while it was being taken.
                    None => {
                        lock(&self.pending).abandoned.remove(call);
                        self.stop(&taker);
                    }
                }
                true
            }
            Reply::Returned => {
                lock(&self.pending).returned(call);
                true
            }
            Reply::Skipped => {
                lock(&self.pending).abandoned.remove(call);
                true
            }
            Reply::Progress(value) => {
                let reporter = lock(&self.pending).reporter(call);
                reporter
                    .map(|reporter| reporter.report(Outcome::Progress(value)))
                    .is_some()
            }
            Reply::Answer(outcome) => {
                let removed = lock(&self.pending).remove(call);
                removed
                    .map(|call| call.completion.complete(Ok(Outcome::Answered(outcome))))
                    .is_some()
            }
        }
    }

    /// Nobody waits any more for a call that runs here.
    pub(super) fn stop_here(&self, dispatch: u64) {
        let stopped = lock(&self.running).cancel(self.clock.now(), dispatch);
        let Some((number, credit)) = stopped else {
            return;
        };
        let worker = lock(&self.workers).get(&number).cloned();
        if let Some(worker) = worker {
            worker.set_credit(self, credit);
            worker.cancelled(dispatch);
        }
    }

    fn announced(&self, payload: &Bytes) {
        match serde_json::from_slice::<HandlerInfo>(payload) {
            // It fails if nobody reads announcements, which is their business.
            Ok(info) => drop(self.announced.send(Arc::new(info))),
            Err(error) => tracing::warn!(%error, "an announcement of a handler is not readable"),
        }
    }

    fn repeat_announcements(&self) {
        let offers: Vec<HandlerInfo> = lock(&self.offers).values().cloned().collect();
        for info in &offers {
            self.say(info);
        }
    }

    /// Tells every process, this one included, what is offered here.
    pub(super) fn say(&self, info: &HandlerInfo) {
        match serde_json::to_vec(info) {
            Ok(json) => self.publish(names::channel(names::ANNOUNCE), json.into()),
            Err(error) => tracing::error!(%error, "a handler can't be announced"),
        }
    }
}
