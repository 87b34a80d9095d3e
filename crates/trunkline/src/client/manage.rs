//! Changing topics, and driving back dead letters.

use super::{Message, MessageFilter, RequestError, Topic, look::from_text, requests::Again};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use trunkline_model::{PeekFrom, SubscriptionSettings, TopicSettings};

/// An option that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct OptionChange {
    /// Its name.
    pub option: String,
    /// What was in effect; null for no bound, or none of the kind.
    pub from: Value,
    /// What is in effect now.
    pub to: Value,
}

/// What an alteration did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Altered {
    /// Every option that is another one now.
    pub changed: Vec<OptionChange>,
    /// Messages beyond the bound that is now in effect: they stay, and nothing more is taken,
    /// or the oldest go, until so many have left.
    pub messages_above: u64,
    /// The same for payload bytes.
    pub bytes_above: u64,
}

/// What to drive back: by default every dead letter, as it is, to where it came from.
#[derive(Clone, Debug, Default)]
pub struct RedriveOptions {
    /// The topic that they go to, as new messages for all its subscriptions; else each goes to
    /// the topic that it came from, there only to the subscription that gave it up.
    pub to: Option<String>,
    /// Only those.
    pub filter: MessageFilter,
    /// At most so many, 1 to 1,000; 1,000 if absent.
    pub limit: Option<usize>,
    /// Where to begin: with a message, or behind what an earlier redrive has looked at.
    pub from: PeekFrom,
    /// Another body, for all of them; of this message nothing else counts.
    pub payload: Option<Message>,
    /// Another urgency.
    pub priority: Option<u8>,
    /// Headers to set; `None` removes one.
    pub headers: Vec<(String, Option<String>)>,
}

/// What a redrive did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redriven {
    /// Messages that were moved.
    pub moved: u64,
    /// Messages that stayed: where they came from is gone or has no room, or a consumer holds
    /// them.
    pub left: u64,
    /// Where to go on, if there may be more: see [`RedriveOptions::from`].
    pub next: Option<PeekFrom>,
}

impl Topic {
    /// Changes options of the topic; those named in `clear` become as if they had never been
    /// given.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = trunkline::TestServer::start().await?;
    /// # let client = server.client().await?;
    /// # client.publish("orders", "a book").await?;
    /// use trunkline::TopicSettings;
    ///
    /// let settings = TopicSettings { max_messages: Some(1_000), ..TopicSettings::default() };
    /// let altered = client.topic("orders").alter(&settings, &["ttl"]).await?;
    /// for change in altered.changed {
    ///     println!("{}: {} → {}", change.option, change.from, change.to);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RequestError`]: an option that can't change while messages are stored
    /// ([`ErrorCode::Conflict`](crate::ErrorCode::Conflict)), among others; nothing is changed
    /// then.
    pub async fn alter(
        &self,
        options: &TopicSettings,
        clear: &[&str],
    ) -> Result<Altered, RequestError> {
        self.change(json!({"options": options, "clear": clear}))
            .await
    }

    /// Changes options that a subscription has of its own; those named in `clear` become the
    /// topic's again.
    ///
    /// # Errors
    /// As [`Topic::alter`].
    pub async fn alter_subscription(
        &self,
        subscription: &str,
        options: &SubscriptionSettings,
        clear: &[&str],
    ) -> Result<Altered, RequestError> {
        let more = json!({"subscription": subscription, "options": options, "clear": clear});
        self.change(more).await
    }

    async fn change(&self, more: Value) -> Result<Altered, RequestError> {
        #[derive(Default, Deserialize)]
        struct Above {
            messages: u64,
            bytes: u64,
        }
        #[derive(Deserialize)]
        struct Answer {
            changed: Vec<OptionChange>,
            #[serde(default)]
            above: Above,
        }
        let answer: Answer = self.ask("rpc.topic.alter", more, Again::IfUnsent).await?;
        Ok(Altered {
            changed: answer.changed,
            messages_above: answer.above.messages,
            bytes_above: answer.above.bytes,
        })
    }

    /// Moves dead letters of this topic back to where they came from, or to another topic. Each
    /// leaves the one and is stored in the other in one step.
    ///
    /// # Errors
    /// [`RequestError`]. With [`RequestError::Lost`] some may have been moved; those are not
    /// moved again.
    pub async fn redrive(&self, options: &RedriveOptions) -> Result<Redriven, RequestError> {
        #[derive(Deserialize)]
        struct Answer {
            moved: u64,
            #[serde(default)]
            left: u64,
            next: Option<String>,
        }
        let params = Redrive {
            topic: self.name(),
            to: options.to.as_deref(),
            filter: &options.filter,
            limit: options.limit,
            from: from_text(options.from),
            set: Set(options),
        };
        let answer: Answer = self.send("rpc.topic.redrive", &params).await?;
        let next = answer.next.map(|next| next.parse()).transpose();
        Ok(Redriven {
            moved: answer.moved,
            left: answer.left,
            next: next.map_err(RequestError::unreadable)?,
        })
    }
}

#[derive(Serialize)]
struct Redrive<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(flatten)]
    filter: &'a MessageFilter,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    set: Set<'a>,
}

/// What changes of the messages, as the wire writes it: JSON stays the text that it is.
struct Set<'a>(&'a RedriveOptions);

impl Serialize for Set<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(options) = self;
        let mut members = to.serialize_map(None)?;
        if let Some(message) = &options.payload {
            message.put_payload(&mut members)?;
        }
        if let Some(priority) = options.priority {
            members.serialize_entry("priority", &priority)?;
        }
        if !options.headers.is_empty() {
            let headers: BTreeMap<_, _> = options.headers.iter().map(|(n, v)| (n, v)).collect();
            members.serialize_entry("headers", &headers)?;
        }
        members.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_is_written_as_the_wire_wants_it() {
        let options = RedriveOptions {
            to: Some("t".to_owned()),
            filter: MessageFilter::new().key("k").has_header("h"),
            limit: Some(5),
            payload: Some(Message::json(&RawJson("[1.50]")).unwrap()),
            priority: Some(0),
            headers: vec![
                ("a".to_owned(), Some("b".to_owned())),
                ("c".to_owned(), None),
            ],
            ..RedriveOptions::default()
        };
        let params = Redrive {
            topic: "d",
            to: options.to.as_deref(),
            filter: &options.filter,
            limit: options.limit,
            from: None,
            set: Set(&options),
        };
        assert_eq!(
            serde_json::to_string(&params).unwrap(),
            concat!(
                r#"{"topic":"d","to":"t","key":"k","header":{"name":"h"},"limit":5,"#,
                r#""set":{"payload":[1.50],"priority":0,"headers":{"a":"b","c":null}}}"#
            )
        );
    }

    struct RawJson(&'static str);

    impl Serialize for RawJson {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            let raw: &serde_json::value::RawValue = serde_json::from_str(self.0).unwrap();
            raw.serialize(to)
        }
    }
}
