//! A call as a message in its method's queue.

use crate::native::envelope::Asked;
use compact_str::{CompactString, ToCompactString};
use trunkline_model::{Call, Headers, Message, StoredMessage, Timestamp, When};

const CALL: &str = "trunkline-call";
const REPLY: &str = "trunkline-reply";
const CALLER: &str = "trunkline-caller";
const DEADLINE: &str = "trunkline-deadline";
const PARAMS: &str = "trunkline-params";
const ABSENT: &str = "absent";

/// The message for a call that `process` asks under the number `call`. Params travel
/// untouched, and the deadline is also the message's expiry, so that an engine drops what
/// nobody waits for.
pub(crate) fn message(call: Call, number: u64, process: &CompactString) -> Message {
    let mut headers = Headers::new();
    headers.push(CALL, number.to_compact_string());
    headers.push(REPLY, process.clone());
    headers.push(CALLER, call.caller.principal.to_compact_string());
    headers.push(DEADLINE, call.deadline.as_micros().to_compact_string());
    if call.params.is_none() {
        headers.push(PARAMS, ABSENT);
    }
    Message {
        payload: call.params.unwrap_or_default(),
        content_type: CompactString::const_new("application/json"),
        expires: Some(When::At(call.deadline)),
        headers,
        traceparent: call.traceparent,
        ..Message::default()
    }
}

/// The same call as a fresh message: for one that was delivered, but not run.
pub(crate) fn again(stored: StoredMessage) -> Message {
    Message {
        payload: stored.payload,
        content_type: stored.content_type,
        expires: stored.expires_at.map(When::At),
        headers: stored.headers,
        traceparent: stored.traceparent,
        ..Message::default()
    }
}

/// What a worker's side must know of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Who asked and where the answer goes.
    pub asked: Asked,
    /// On whose behalf, as text.
    pub caller: CompactString,
    /// When the asker stops waiting for it to start.
    pub deadline: Timestamp,
    /// Whether there are params.
    pub has_params: bool,
}

impl Request {
    /// Reads the headers of a queued message; `None` if it is not a call.
    pub(crate) fn read(message: &StoredMessage) -> Option<Self> {
        let (mut call, mut process, mut caller, mut deadline) = (None, None, None, None);
        let mut has_params = true;
        for (name, value) in message.headers.iter() {
            match name {
                CALL => call = value.parse().ok(),
                REPLY => process = Some(CompactString::new(value)),
                CALLER => caller = Some(CompactString::new(value)),
                DEADLINE => deadline = value.parse().ok().map(Timestamp::from_micros),
                PARAMS => has_params = value != ABSENT,
                _ => {}
            }
        }
        Some(Self {
            asked: Asked {
                process: process?,
                call: call?,
            },
            caller: caller?,
            deadline: deadline?,
            has_params,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::sync::Arc;
    use trunkline_model::{Caller, Priority};

    fn call(params: Option<Bytes>) -> Call {
        Call {
            method: "m".into(),
            params,
            caller: Arc::new(Caller::system()),
            category: "general".into(),
            deadline: Timestamp::from_millis(5),
            traceparent: Some("00-1-2-01".into()),
        }
    }

    fn stored(message: Message) -> StoredMessage {
        StoredMessage {
            payload: message.payload,
            content_type: message.content_type,
            key: None,
            group: None,
            publish_id: None,
            priority: Priority(0),
            published_at: Timestamp::ZERO,
            expires_at: message.expires.map(|at| at.resolve(Timestamp::ZERO)),
            deliver_at: None,
            headers: message.headers,
            traceparent: message.traceparent,
        }
    }

    #[test]
    fn a_call_survives_its_queue() {
        for params in [None, Some(Bytes::from_static(b"{\"a\" :1}"))] {
            let message = message(call(params.clone()), 7, &"gateway".into());
            assert_eq!(message.payload, params.clone().unwrap_or_default());
            let stored = stored(message.clone());
            let read = Request::read(&stored).unwrap();
            assert_eq!(read.asked.call, 7);
            assert_eq!(read.asked.process, "gateway");
            assert_eq!(read.caller, "_system");
            assert_eq!(read.deadline, Timestamp::from_millis(5));
            assert_eq!(read.has_params, params.is_some());
            assert_eq!(again(stored), message);
        }
    }

    #[test]
    fn other_messages_are_not_calls() {
        assert_eq!(Request::read(&stored(Message::default())), None);
    }
}
