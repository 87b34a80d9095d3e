//! Looking at messages without disturbing anything.

use super::{RequestError, StoredMessage, Topic, stored::Wire, topic::ALWAYS};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use std::ops::Deref;
use trunkline_jsonrpc::Text;
use trunkline_model::{MessageId, MessageState, PeekFrom, Timestamp};

/// Which messages are meant: those that all members agree on. By default, all.
///
/// ```
/// use trunkline::MessageFilter;
///
/// let filter = MessageFilter::new().key("order-17").header("origin", "shop");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[must_use = "a filter does nothing by itself"]
pub struct MessageFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Header {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

impl MessageFilter {
    /// All messages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Those with this key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Those of this group.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Those with this value under a header. There can be one header only; the last counts.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.header = Some(Header {
            name: name.into(),
            value: Some(value.into()),
        });
        self
    }

    /// Those with a header, whatever its value.
    pub fn has_header(mut self, name: impl Into<String>) -> Self {
        self.header = Some(Header {
            name: name.into(),
            value: None,
        });
        self
    }

    /// Those published at this time or later.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time.to_string());
        self
    }

    /// Those published before this time.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.until = Some(time.to_string());
        self
    }

    /// The one with this identity.
    pub fn id(mut self, id: MessageId) -> Self {
        self.id = Some(id.to_string());
        self
    }

    /// Its members, as those of params.
    pub(super) fn params(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({}))
    }
}

/// What to look at: by default the first ten messages of the topic.
#[derive(Clone, Debug, Default)]
pub struct PeekOptions {
    /// What this subscription would be sent, in that order; else everything that the topic
    /// has, in the order of publishing.
    pub subscription: Option<String>,
    /// At most so many, 1 to 1,000; 10 if absent. There may be fewer, with a place to go on,
    /// if much had to be read for them.
    pub limit: Option<usize>,
    /// Where to begin: with a message, or behind what an earlier look has shown.
    pub from: PeekFrom,
    /// Only those.
    pub filter: MessageFilter,
    /// Only those of the subscription that are in this state.
    pub state: Option<MessageState>,
}

/// A message that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeekedMessage {
    /// The message.
    pub message: StoredMessage,
    /// Where it is in the subscription that was looked at; `None` for a whole topic.
    pub state: Option<MessageState>,
    /// How often it was delivered to that subscription.
    pub attempts: u32,
}

impl Deref for PeekedMessage {
    type Target = StoredMessage;

    fn deref(&self) -> &StoredMessage {
        &self.message
    }
}

/// Messages that were looked at.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Peeked {
    /// In the order that was asked for.
    pub messages: Vec<PeekedMessage>,
    /// Where to go on, if there may be more: see [`PeekOptions::from`].
    pub next: Option<PeekFrom>,
}

impl Topic {
    /// Looks at messages without disturbing anything.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = trunkline::TestServer::start().await?;
    /// # let client = server.client().await?;
    /// # client.publish("orders", trunkline::Message::text("a book").key("k")).await?;
    /// use trunkline::{MessageFilter, PeekOptions};
    ///
    /// let orders = client.topic("orders");
    /// let mut look = PeekOptions {
    ///     filter: MessageFilter::new().key("k"),
    ///     ..PeekOptions::default()
    /// };
    /// loop {
    ///     let page = orders.peek(&look).await?;
    ///     for message in &page.messages {
    ///         println!("{} {}", message.id, message.text()?);
    ///     }
    ///     match page.next {
    ///         Some(next) => look.from = next,
    ///         None => break,
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RequestError`]: there is no such topic or subscription, among others.
    pub async fn peek(&self, options: &PeekOptions) -> Result<Peeked, RequestError> {
        #[derive(Deserialize)]
        struct Page<'a> {
            #[serde(borrow)]
            messages: Vec<Wire<'a>>,
            #[serde(default, borrow)]
            next: Option<Text<'a>>,
        }
        let mut more = options.filter.params();
        if let Some(subscription) = &options.subscription {
            more["subscription"] = json!(subscription);
        }
        if let Some(limit) = options.limit {
            more["limit"] = json!(limit);
        }
        if let Some(state) = options.state {
            more["state"] = json!(state);
        }
        if let Some(from) = from_text(options.from) {
            more["from"] = json!(from);
        }
        let raw: Box<RawValue> = self.ask("rpc.topic.peek", more, ALWAYS).await?;
        let page: Page<'_> = serde_json::from_str(raw.get()).map_err(RequestError::unreadable)?;
        let messages = page.messages.into_iter().map(|wire| {
            Ok::<_, RequestError>(PeekedMessage {
                state: wire.state,
                attempts: wire.attempts,
                message: wire.read()?,
            })
        });
        let next = page.next.map(|next| next.parse()).transpose();
        Ok(Peeked {
            messages: messages.collect::<Result<_, _>>()?,
            next: next.map_err(RequestError::unreadable)?,
        })
    }
}

/// Where to begin, as the wire writes it; `None` for the front.
pub(super) fn from_text(from: PeekFrom) -> Option<String> {
    match from {
        PeekFrom::Front => None,
        PeekFrom::Id(id) => Some(id.to_string()),
        PeekFrom::After(cursor) => Some(cursor.to_string()),
    }
}
