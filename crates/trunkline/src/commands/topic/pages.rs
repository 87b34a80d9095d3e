//! Looking at many messages, page by page.

use crate::args::FilterArgs;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use trunkline::{Connection, MessageId, RequestError};

/// Messages of one page: as many as a server shows at once.
const PAGE: u64 = 1_000;

/// Adds the members of a filter to params.
pub(super) fn put_filter(params: &mut Value, filter: &FilterArgs) {
    for (name, value) in [("key", &filter.key), ("group", &filter.group)] {
        if let Some(value) = value {
            params[name] = json!(value);
        }
    }
    if let Some(header) = &filter.header {
        params["header"] = match &header.value {
            Some(value) => json!({"name": header.name, "value": value}),
            None => json!({"name": header.name}),
        };
    }
    for (name, moment) in [("since", filter.since), ("until", filter.until)] {
        if let Some(moment) = moment {
            params[name] = json!(moment.0.to_string());
        }
    }
}

/// The id behind another one.
pub(super) fn behind(id: MessageId) -> MessageId {
    MessageId {
        sequence: id.sequence.saturating_add(1),
        ..id
    }
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

/// The id of a message as the server shows it.
pub(super) fn id_of(message: &RawValue) -> Result<MessageId, RequestError> {
    let read: Result<Identified, _> = serde_json::from_str(message.get());
    read.map_err(unreadable)?.id()
}

impl Identified {
    fn id(&self) -> Result<MessageId, RequestError> {
        self.id.parse().map_err(unreadable)
    }
}

fn unreadable(error: impl std::fmt::Display) -> RequestError {
    RequestError::Unreadable(error.to_string().into())
}

/// Looks at messages from one place on.
pub(super) struct Pages {
    params: Value,
    /// Messages still wanted; none: all.
    left: Option<u64>,
    ended: bool,
}

impl Pages {
    /// `params` are those of `rpc.topic.peek`, without a limit.
    pub(super) fn new(params: Value, limit: Option<u64>) -> Self {
        Self {
            params,
            left: limit,
            ended: limit == Some(0),
        }
    }

    /// The next messages, perhaps none if much was looked through; `None` at the end.
    pub(super) async fn next(
        &mut self,
        client: &Connection,
    ) -> Result<Option<Vec<Box<RawValue>>>, RequestError> {
        #[derive(Deserialize)]
        struct Page {
            messages: Vec<Box<RawValue>>,
            next: Option<String>,
        }
        if self.ended {
            return Ok(None);
        }
        let asked = self.left.map_or(PAGE, |left| left.min(PAGE));
        self.params["limit"] = json!(asked);
        let page: Page = client.ask("rpc.topic.peek", &self.params).await?;
        let got = page.messages.len() as u64;
        let behind = match (page.next, page.messages.last()) {
            (Some(next), _) => Some(next),
            // A server that doesn't say shows a whole topic by sequence.
            (None, Some(last)) if got == asked && self.params.get("subscription").is_none() => {
                Some(behind(id_of(last)?).to_string())
            }
            _ => None,
        };
        self.left = self.left.map(|left| left.saturating_sub(got));
        match behind {
            Some(from) if self.left != Some(0) => self.params["from"] = json!(from),
            _ => self.ended = true,
        }
        Ok(Some(page.messages))
    }
}

/// Behind the last message that a topic has now: where the next one will be, or earlier.
pub(super) async fn end_of(client: &Connection, topic: &str) -> Result<MessageId, RequestError> {
    #[derive(Deserialize)]
    struct Counted {
        number: u32,
        published: u64,
    }
    #[derive(Deserialize)]
    struct First {
        messages: Vec<Identified>,
    }
    let params = json!({"topic": topic});
    let Counted { number, published } = client.ask("rpc.topic.inspect", &params).await?;
    // Sequences may have gaps, so the count is only where the search begins. Whatever the steps,
    // it ends directly behind a message.
    let mut end = MessageId {
        topic: number,
        sequence: published,
    };
    let mut step = 0u64;
    loop {
        let from = MessageId {
            sequence: end.sequence.saturating_add(step),
            ..end
        };
        let params = json!({"topic": topic, "from": from.to_string(), "limit": 1});
        let found: First = client.ask("rpc.topic.peek", &params).await?;
        match found.messages.first() {
            Some(message) => {
                let id: MessageId = message
                    .id
                    .parse()
                    .map_err(|error| RequestError::Unreadable(format!("{error}").into()))?;
                end = behind(id);
                step = step.saturating_mul(2).max(1);
            }
            None if step == 0 => return Ok(end),
            None => step /= 2,
        }
    }
}
