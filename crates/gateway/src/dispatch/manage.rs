//! Changing topics and driving back dead letters: `rpc.topic.alter`, `.redrive`.

use super::{
    Connection, Step, error,
    filter::{FilterParams, HeaderFilter},
    message::{Time, is_reserved, kept},
    params::Params,
    topic::at_most,
    waiting::{Ask, Awaited},
};
use compact_str::CompactString;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use trunkline_auth::{Action, Resource};
use trunkline_jsonrpc::{PayloadMembers, Text, present};
use trunkline_model::{
    Admin, Error, PeekFrom, Priority, RedriveEdit, RedriveTo, SubscriptionName,
    SubscriptionSettings, TopicName, TopicSettings, limits,
};

/// Dead letters that one `redrive` moves at most, and unless told otherwise.
const REDRIVE_MAX: usize = 1_000;

/// Tells the two forms of `rpc.topic.alter` from each other.
#[derive(Deserialize)]
struct Altering {
    subscription: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alter {
    topic: TopicName,
    #[serde(default)]
    options: TopicSettings,
    #[serde(default)]
    clear: Vec<CompactString>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AlterSubscription {
    topic: TopicName,
    subscription: SubscriptionName,
    #[serde(default)]
    options: SubscriptionSettings,
    #[serde(default)]
    clear: Vec<CompactString>,
}

pub(crate) fn alter(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let Altering { subscription } = params.read()?;
    let (nothing, command) = if subscription.is_some() {
        let asked: AlterSubscription = params.read()?;
        let nothing = asked.options == SubscriptionSettings::default() && asked.clear.is_empty();
        let command = Admin::AlterSubscription {
            topic: asked.topic,
            subscription: asked.subscription,
            settings: asked.options,
            clear: asked.clear,
        };
        (nothing, command)
    } else {
        let asked: Alter = params.read()?;
        let nothing = asked.options == TopicSettings::default() && asked.clear.is_empty();
        let command = Admin::Alter {
            topic: asked.topic,
            settings: asked.options,
            clear: asked.clear,
        };
        (nothing, command)
    };
    if let Admin::Alter { topic, .. } | Admin::AlterSubscription { topic, .. } = &command {
        connection.allow(Action::Manage, Resource::Topic(topic))?;
    }
    connection.take_no_new_work()?;
    if nothing {
        let text = "must name at least one option, or \"clear\" one";
        return Err(error::param("/options", text));
    }
    connection.admin(command, ask, Awaited::Engine)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Redrive<'a> {
    topic: TopicName,
    to: Option<TopicName>,
    key: Option<CompactString>,
    group: Option<CompactString>,
    header: Option<HeaderFilter>,
    since: Option<Time>,
    until: Option<Time>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    from: Option<Text<'a>>,
    limit: Option<usize>,
    #[serde(default, borrow)]
    set: Edit<'a>,
}

/// What changes of the messages.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object of what changes")]
struct Edit<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    #[serde(default, borrow)]
    payload_text: Option<Text<'a>>,
    #[serde(default, borrow)]
    payload_base64: Option<Text<'a>>,
    #[serde(default, borrow)]
    content_type: Option<Text<'a>>,
    priority: Option<Priority>,
    #[serde(default)]
    headers: BTreeMap<CompactString, Option<CompactString>>,
}

impl Edit<'_> {
    fn read(self, params: Params<'_>) -> Result<RedriveEdit, Error> {
        let members = PayloadMembers {
            payload: self.payload,
            payload_text: self.payload_text,
            payload_base64: self.payload_base64,
            content_type: self.content_type,
        };
        let none = members.payload.is_none()
            && members.payload_text.is_none()
            && members.payload_base64.is_none()
            && members.content_type.is_none();
        let payload = match none {
            true => None,
            false => {
                let payload = members.read();
                let payload = payload.map_err(|problem| error::params(problem.at("/set")))?;
                let content_type = CompactString::new(&payload.content_type);
                Some((kept(payload, params), content_type))
            }
        };
        if let Some(name) = self.headers.keys().find(|name| is_reserved(name)) {
            let text = format!("header \"{name}\" is reserved");
            return Err(error::param("/set/headers", text));
        }
        if self.headers.len() > limits::HEADERS_MAX {
            let text = format!("must have at most {}", limits::HEADERS_MAX);
            return Err(error::param("/set/headers", text).with("limit", limits::HEADERS_MAX));
        }
        Ok(RedriveEdit {
            payload,
            priority: self.priority,
            headers: self.headers.into_iter().collect(),
        })
    }
}

pub(crate) fn redrive(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Redrive<'_> = params.read()?;
    connection.allow(Action::Manage, Resource::Topic(&asked.topic))?;
    if let Some(to) = &asked.to {
        connection.allow(Action::Publish, Resource::Topic(to))?;
    }
    connection.take_no_new_work()?;
    if asked.to.as_ref() == Some(&asked.topic) {
        let text = "is the topic that the messages are in; name another one";
        return Err(error::param("/to", text));
    }
    let filter = FilterParams {
        key: asked.key,
        group: asked.group,
        header: asked.header,
        since: asked.since,
        until: asked.until,
        id: asked.id,
        state: None,
    };
    let command = Admin::Redrive {
        filter: filter.read()?,
        to: asked.to.map_or(RedriveTo::Source, RedriveTo::Topic),
        edit: asked.set.read(params)?,
        from: begin(asked.from)?,
        limit: at_most(asked.limit, REDRIVE_MAX, REDRIVE_MAX)?,
        topic: asked.topic,
    };
    connection.admin(command, ask, Awaited::Engine)
}

/// Where to begin: with a message id, or with the `next` of an earlier answer.
pub(crate) fn begin(from: Option<Text<'_>>) -> Result<PeekFrom, Error> {
    from.map_or(Ok(PeekFrom::Front), |text| {
        text.parse()
            .map_err(|problem| error::param("/from", format!("{problem}")))
    })
}
