use crate::{ClientError, Frame, MessageTag, OperationId, Version};
use compact_str::CompactString;

/// What the shell of a cluster has to do or to tell. Nodes are named by their place in
/// [`ClusterSession::nodes`](super::ClusterSession::nodes). What is to be written is not among it:
/// see [`ClusterSession::take_output`](super::ClusterSession::take_output).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterEffect {
    /// Make a connection to a node; one at a time.
    Open {
        /// To which.
        node: usize,
    },
    /// Close the connection, or stop making one. Output that was taken may still be written.
    Close,
    /// Find out whether a node takes logins, by a session of its own, and say so with
    /// [`probed`](super::ClusterSession::probed).
    Probe {
        /// Which.
        node: usize,
    },
    /// A connection to a node is made and CONNECT is in the output.
    NodeConnected {
        /// Which.
        node: usize,
    },
    /// A node has accepted the login.
    NodeReady {
        /// Which.
        node: usize,
        /// The version that was agreed.
        version: Version,
        /// The server's name for the session; may be empty.
        session: CompactString,
    },
    /// Something happened to a node's connection, or to an operation because of it.
    NodeError {
        /// Which.
        node: usize,
        /// What.
        error: ClientError,
        /// None for the connection itself.
        operation: Option<OperationId>,
    },
    /// The connection to a node is no more.
    NodeDisconnected {
        /// Which.
        node: usize,
    },
    /// No node could be reached, though [`connect`](super::ClusterSession::connect) asked for one.
    NotConnected {
        /// Why the last one could not.
        error: ClientError,
    },
    /// A message came.
    Message {
        /// The operation of its SUBSCRIBE.
        subscription: OperationId,
        /// Names it in an ACK, as long as the connection holds on which it came.
        tag: MessageTag,
        /// The MESSAGE frame.
        frame: Frame,
    },
    /// An operation is done.
    Done {
        /// Which.
        operation: OperationId,
        /// Its RECEIPT; none if it asked for none and is written.
        receipt: Option<Frame>,
    },
    /// An operation failed, and is not repeated any more.
    Failed {
        /// Which.
        operation: OperationId,
        /// Why.
        error: ClientError,
    },
    /// A subscription went away with a connection and will be made again. Messages that were not
    /// acknowledged may come again.
    Interrupted {
        /// The operation of its SUBSCRIBE.
        subscription: OperationId,
        /// Why.
        error: ClientError,
    },
    /// A subscription was made again.
    Resubscribed {
        /// The operation of its SUBSCRIBE.
        subscription: OperationId,
        /// At which node.
        node: usize,
        /// Its new RECEIPT.
        receipt: Option<Frame>,
    },
    /// A subscription could not be made again, and is given up.
    SubscriptionLost {
        /// The operation of its SUBSCRIBE.
        subscription: OperationId,
        /// Why.
        error: ClientError,
    },
    /// A subscription ended because the client unsubscribed or closed.
    Ended {
        /// The operation of its SUBSCRIBE.
        subscription: OperationId,
    },
}
