//! STOMP 1.0, 1.1 and 1.2, both sides of it: frames, what a server does with them, what a client
//! does with them, and an asynchronous client. It follows the specifications of [1.0], [1.1] and
//! [1.2].
//!
//! **Invariant**: the frames and the sessions know no socket, no clock, no engine and no topic;
//! equal bytes and calls at equal times give equal bytes and effects. Only `src/net` opens
//! sockets and reads the time. Of a peer no more is kept than [`FrameLimits`] and the bounds in the
//! settings allow, and nothing that a peer sends makes anything panic.
//!
//! Who wants to talk to a server starts at [`Client`], and at [`Client::cluster`] if there are
//! several: what decides then is a [`ClusterSession`], which makes a [`ClientSession`] for every
//! connection. The rest starts at [`Frame`], which a
//! [`Decoder`] makes of bytes and [`encode`] makes bytes of; then [`ServerSession`] and
//! [`ClientSession`], which take bytes and *now* and give bytes and effects. [`Destination`] and the
//! options ([`SendOptions`], [`SubscribeOptions`]) read what Trunkline means by headers; the
//! sessions hand those on as they are.
//!
//! ```
//! use bytes::BytesMut;
//! use trunkline_model::Timestamp;
//! use trunkline_stomp::{Effect, ServerSession, ServerSettings, SessionName};
//!
//! let now = Timestamp::from_millis(0);
//! let mut session = ServerSession::new(ServerSettings::default(), now);
//! let mut input = BytesMut::from(
//!     &b"CONNECT\naccept-version:1.2\nlogin:me\n\n\0SEND\ndestination:/queue/a\nreceipt:1\n\nhello\0"[..],
//! );
//! session.receive(now, &mut input);
//! let Some(Effect::Connect(request)) = session.next_effect() else {
//!     unreachable!("the first frame is CONNECT");
//! };
//! assert_eq!(request.login.as_deref(), Some("me"));
//! session.accept(now, &SessionName::new("s1")?);
//! session.receive(now, &mut input);
//! let Some(Effect::Send { token, send }) = session.next_effect() else {
//!     unreachable!("the second is SEND");
//! };
//! assert_eq!((&*send.destination, &send.body[..]), ("/queue/a", &b"hello"[..]));
//! session.take_output();
//! session.complete(now, token, Ok(()));
//! assert_eq!(&session.take_output()[..], b"RECEIPT\nreceipt-id:1\n\n\0");
//! # Ok::<(), trunkline_stomp::SessionNameError>(())
//! ```
//!
//! # Conformance cases
//!
//! The tests carry the numbers of the conformance cases, as in `case_27_…`:
//!
//! | cases | where |
//! |---|---|
//! | 6, 7, 23, 24, 28, 30 of frames | `tests/frames.rs` |
//! | 1 (codes, defaults) to 5, 7 to 12, 13 (lazy, no connection), 21 (one node) of sessions | `tests/client.rs` |
//! | 1 to 21 over sockets | `tests/net` |
//! | 14 to 21 of sessions | `tests/cluster` |
//! | 22 to 30 of sessions | `tests/server.rs`, `tests/subscriptions.rs` |
//!
//! `tests/rabbitmq.rs` tries the asynchronous client with a real broker.
//!
//! The others need what is not here: a server with topics has to pass the redelivery of 25, the
//! effects of 26 and the memory of 28 over real connections.
//!
//! # Features
//!
//! `tls`: connections through TLS, by rustls.
//!
//! [1.0]: https://stomp.github.io/stomp-specification-1.0.html
//! [1.1]: https://stomp.github.io/stomp-specification-1.1.html
//! [1.2]: https://stomp.github.io/stomp-specification-1.2.html

mod client;
mod cluster;
mod command;
mod destination;
mod excerpt;
mod frame;
mod heart_beat;
mod net;
mod options;
mod pulse;
mod server;
mod url;
mod version;

pub use client::{
    Acked, ClientEffect, ClientError, ClientSession, ClientSettings, ErrorCode, Lost, MessageTag,
    Operation, OperationId,
};
pub use cluster::{
    ClusterEffect, ClusterSession, ClusterSettings, ClusterSettingsError, Health, NodeSettings,
    NodeStatus,
};
pub use command::Command;
pub use destination::{Destination, DestinationError};
pub use frame::{DecodeError, Decoder, Fault, Frame, FrameLimits, Inexpressible, Writer, encode};
pub use heart_beat::{Agreed, HeartBeat, ParseHeartBeatError};
pub use net::{
    Client, ClientBuilder, Event, Events, Message, Node, NodeEvent, NodeInfo, OnError, OnNodeError,
    Outcome, Request, Subscribe, Subscription, UsageError,
};
#[cfg(feature = "tls")]
pub use net::{Tls, TlsError};
pub use options::{NackOptions, OptionError, SendOptions, SubscribeOptions, durable_name};
pub use server::{
    AckMode, CloseReason, ConnectRequest, Delivery, Effect, Failure, NotDelivered, Refusal,
    SendRequest, ServerSession, ServerSettings, SessionName, SessionNameError, Settle, Step,
    SubscribeRequest, SubscriptionNumber, Tags, Token, Verdict,
};
pub use trunkline_model::{Headers, JmsPriority};
pub use url::{StompUrl, StompUrlError};
pub use version::Version;
