use super::{ClientError, MessageTag, OperationId};
use crate::{Frame, Version};
use compact_str::CompactString;

/// What the shell has to do or to tell. What is to be written is not among it: see
/// [`ClientSession::take_output`](super::ClientSession::take_output).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEffect {
    /// Make a connection: [`opened`](super::ClientSession::opened) or
    /// [`open_failed`](super::ClientSession::open_failed) says what came of it.
    Open,
    /// Close the connection, or stop making one. Output that was taken may still be written.
    Close,
    /// A connection is made and CONNECT is in the output.
    Connected,
    /// The server has accepted the login.
    Ready {
        /// The version that was agreed.
        version: Version,
        /// The server's name for the session; may be empty.
        session: CompactString,
    },
    /// A message came.
    Message {
        /// The operation of its SUBSCRIBE.
        subscription: OperationId,
        /// Names it in an ACK.
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
    /// An operation failed.
    Failed {
        /// Which.
        operation: OperationId,
        /// Why.
        error: ClientError,
    },
    /// Something happened to the connection. What it did away with follows.
    Error(ClientError),
    /// An active subscription went away with the connection. It is not made again.
    SubscriptionLost {
        /// The operation of its SUBSCRIBE.
        subscription: OperationId,
        /// Why.
        error: ClientError,
    },
    /// The RECEIPT of its UNSUBSCRIBE came; that operation's end follows.
    Unsubscribed {
        /// The operation of its SUBSCRIBE.
        subscription: OperationId,
    },
    /// The connection is no more.
    Disconnected,
}
