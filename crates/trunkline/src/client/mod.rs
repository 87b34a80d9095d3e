//! Clients: JSON-RPC 2.0 over a WebSocket, both ways.
//!
//! `requests` decides what becomes of requests and frames when a connection is lost, and knows no
//! socket; `shared` is what handles and tasks have in common; `supervise` makes connections,
//! `socket` runs one, `router` hands on what the server sends of its own accord. A `Seat` is what
//! takes its place again on every connection: consumer, listener, worker.

mod builder;
mod call;
mod connection;
mod consume;
mod delivery;
mod error;
mod handle;
mod listen;
mod look;
mod loss;
mod manage;
mod message;
mod payload;
mod progress;
mod publish;
mod push;
mod requests;
mod room;
mod router;
mod seat;
mod shared;
mod socket;
mod state;
mod stored;
mod supervise;
mod target;
mod topic;
mod worker;

pub use builder::ClientBuilder;
pub use call::{Call, RunningCall};
pub use connection::{Connection, Pending};
pub use consume::{Consume, Consumer};
pub use delivery::{Delivery, SettleError};
pub use error::{ConnectError, RequestError, RpcError};
pub use handle::{Client, CloseError};
pub use listen::{ChannelMessage, Listen, Listener, ListenerEvent};
pub use look::{MessageFilter, PeekOptions, Peeked, PeekedMessage};
pub use manage::{Altered, OptionChange, RedriveOptions, Redriven};
pub use message::Message;
pub use payload::{Payload, Received};
pub use progress::Progress;
pub use publish::{Confirmation, Published};
pub use push::{Push, Pushes};
pub use state::State;
pub use stored::StoredMessage;
pub use supervise::RECONNECT;
pub use target::{Target, TargetError};
pub use topic::{ServerInfo, Subscribed, SubscriptionInfo, Topic, TopicInfo};
pub use worker::{WorkContext, Worker, WorkerBuilder};
