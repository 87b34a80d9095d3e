//! What servers want to be told beside what STOMP says: headers, each with the end of its line.

/// Headers that a server wants in addition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// Of CONNECT.
    pub(crate) connect: &'static str,
    /// Of a SEND to a queue.
    pub(crate) send: &'static str,
    /// Of a SUBSCRIBE to a queue.
    pub(crate) subscribe: &'static str,
}

/// Messages of queues are durable without being told so.
pub(crate) const TRUNKLINE: Dialect = Dialect {
    connect: "",
    send: "",
    subscribe: "",
};
