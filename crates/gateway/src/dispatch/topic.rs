//! Looking at and managing topics: `rpc.topic.declare`, `.subscribe`, `.unsubscribe`, `.list`,
//! `.inspect`, `.peek`, `.purge`, `.delete`.

use super::{
    Connection, Step, error,
    filter::{FilterParams, HeaderFilter},
    manage::begin,
    message::Time,
    params::Params,
    waiting::{Ask, Awaited},
};
use compact_str::CompactString;
use serde::Deserialize;
use trunkline_auth::{Action, Resource};
use trunkline_jsonrpc::Text;
use trunkline_model::{
    Admin, Error, MessageState, StartFrom, SubscriptionName, SubscriptionSettings, TopicName,
    TopicSettings,
};

/// Topics that `list` shows at most, and unless told otherwise.
const LIST_MAX: usize = 1_000;
/// Messages that `peek` shows at most.
const PEEK_MAX: usize = 1_000;
/// Messages that `peek` shows unless told otherwise.
const PEEK: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declare {
    topic: TopicName,
    #[serde(default)]
    options: TopicSettings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    topic: TopicName,
    subscription: SubscriptionName,
    from: Option<StartFrom>,
    #[serde(default)]
    options: SubscriptionSettings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsubscribe {
    topic: TopicName,
    subscription: SubscriptionName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    after: Option<TopicName>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    topic: TopicName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Purge {
    topic: TopicName,
    subscription: Option<SubscriptionName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Peek<'a> {
    topic: TopicName,
    subscription: Option<SubscriptionName>,
    limit: Option<usize>,
    #[serde(borrow)]
    from: Option<Text<'a>>,
    state: Option<MessageState>,
    key: Option<CompactString>,
    group: Option<CompactString>,
    header: Option<HeaderFilter>,
    since: Option<Time>,
    until: Option<Time>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
}

pub(crate) fn declare(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let Declare { topic, options } = params.read()?;
    connection.allow(Action::Manage, Resource::Topic(&topic))?;
    connection.take_no_new_work()?;
    let command = Admin::Define {
        topic,
        settings: options,
    };
    connection.admin(command, ask, Awaited::Engine)
}

pub(crate) fn subscribe(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Subscribe = params.read()?;
    let resource = Resource::Subscription {
        topic: &asked.topic,
        subscription: &asked.subscription,
    };
    connection.allow(Action::Consume, resource)?;
    connection.take_no_new_work()?;
    let command = Admin::Subscribe {
        topic: asked.topic,
        subscription: asked.subscription,
        from: asked.from,
        settings: asked.options,
    };
    connection.admin(command, ask, Awaited::Engine)
}

pub(crate) fn unsubscribe(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let Unsubscribe {
        topic,
        subscription,
    } = params.read()?;
    let resource = Resource::Subscription {
        topic: &topic,
        subscription: &subscription,
    };
    connection.allow(Action::Manage, resource)?;
    let command = Admin::Unsubscribe {
        topic,
        subscription,
    };
    connection.admin(command, ask, Awaited::Engine)
}

pub(crate) fn list(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let List { after, limit } = params.read()?;
    connection.allow(Action::Inspect, Resource::Server)?;
    let limit = at_most(limit, LIST_MAX, LIST_MAX)?;
    connection.admin(Admin::List { after, limit }, ask, Awaited::Engine)
}

pub(crate) fn inspect(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let Named { topic } = params.read()?;
    connection.allow(Action::Inspect, Resource::Topic(&topic))?;
    connection.admin(Admin::Inspect { topic }, ask, Awaited::Engine)
}

pub(crate) fn peek(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Peek<'_> = params.read()?;
    connection.allow(Action::Inspect, Resource::Topic(&asked.topic))?;
    let filter = FilterParams {
        key: asked.key,
        group: asked.group,
        header: asked.header,
        since: asked.since,
        until: asked.until,
        id: asked.id,
        state: asked.state,
    };
    let command = Admin::Peek {
        topic: asked.topic,
        subscription: asked.subscription,
        limit: at_most(asked.limit, PEEK_MAX, PEEK)?,
        from: begin(asked.from)?,
        filter: filter.read()?,
    };
    connection.admin(command, ask, Awaited::Engine)
}

pub(crate) fn purge(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let Purge {
        topic,
        subscription,
    } = params.read()?;
    connection.allow(Action::Manage, Resource::Topic(&topic))?;
    let command = Admin::Purge {
        topic,
        subscription,
    };
    connection.admin(command, ask, Awaited::Engine)
}

pub(crate) fn delete(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let Named { topic } = params.read()?;
    connection.allow(Action::Manage, Resource::Topic(&topic))?;
    connection.admin(Admin::Delete { topic }, ask, Awaited::Engine)
}

/// Checks a number of things that are to be shown or moved.
pub(crate) fn at_most(limit: Option<usize>, max: usize, default: usize) -> Result<usize, Error> {
    match limit.unwrap_or(default) {
        limit if (1..=max).contains(&limit) => Ok(limit),
        limit => {
            let text = format!("is {limit}; it must be 1 to {max}");
            Err(error::param("/limit", text).with("limit", max))
        }
    }
}

impl Connection {
    /// Looks or manages.
    pub(super) fn admin(
        &mut self,
        command: Admin,
        ask: Ask<'_>,
        awaited: Awaited,
    ) -> Result<Step, Error> {
        let completion = self.completion(ask, awaited)?;
        self.shared
            .services
            .engine
            .admin(&self.caller, command, completion);
        Ok(Step::Later)
    }
}
