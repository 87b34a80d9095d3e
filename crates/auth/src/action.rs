use std::fmt;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Call a method.
    Call,
    /// Cancel an own call, or report its progress.
    Control,
    /// Publish to a topic or a channel.
    Publish,
    /// Consume from a subscription; make it if it isn't there.
    Consume,
    /// Acknowledge, return or extend own deliveries; change or cancel an own consumer.
    Settle,
    /// Listen to a channel or pattern.
    Listen,
    /// Offer methods as a worker.
    Work,
    /// Look at topics, messages, handlers or the server.
    Inspect,
    /// Declare, purge or delete topics and subscriptions.
    Manage,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call => "call",
            Self::Control => "control",
            Self::Publish => "publish to",
            Self::Consume => "consume from",
            Self::Settle => "settle deliveries of",
            Self::Listen => "listen to",
            Self::Work => "work as",
            Self::Inspect => "inspect",
            Self::Manage => "manage",
        })
    }
}

/// What it is to be done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource<'a> {
    /// The server as a whole: its description, the list of its topics, the caller's own handles.
    Server,
    /// A method that handlers may offer.
    Method(&'a str),
    /// A topic.
    Topic(&'a str),
    /// A subscription of a topic.
    Subscription {
        /// The topic.
        topic: &'a str,
        /// The subscription's name.
        subscription: &'a str,
    },
    /// A channel.
    Channel(&'a str),
    /// A pattern of channels. Allowing it allows none of the reserved channels that it may
    /// match: each message is asked for again as [`Resource::Channel`].
    Pattern(&'a str),
    /// A handler, with the methods it offers.
    Handler(&'a str),
    /// A queue of one connection, for answers. Whoever was told its name may publish to it.
    TempQueue(&'a str),
}

impl Resource<'_> {
    /// What sort of thing it is, as `data` of an error names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Method(_) => "method",
            Self::Topic(_) => "topic",
            Self::Subscription { .. } => "subscription",
            Self::Channel(_) => "channel",
            Self::Pattern(_) => "pattern",
            Self::Handler(_) => "handler",
            Self::TempQueue(_) => "temporary queue",
        }
    }
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("the server"),
            Self::Subscription {
                topic,
                subscription,
            } => write!(f, "subscription {subscription} of topic {topic}"),
            Self::Method(name)
            | Self::Topic(name)
            | Self::Channel(name)
            | Self::Pattern(name)
            | Self::Handler(name)
            | Self::TempQueue(name) => write!(f, "{} {name}", self.kind()),
        }
    }
}
