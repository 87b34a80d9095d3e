//! The nouns of Trunkline and its two seams.
//!
//! Everything above an engine (calls, gateway, command line) speaks in the types of
//! this crate, and so does every engine below. The crate also holds the few small
//! mechanisms that more than one crate needs: Redis globs, backoff, deadline queues,
//! mailboxes with one wake-up, the order in which sinks are called, counters, clock rules, durations
//! and sizes as text.
//!
//! **Invariant:** knows no engine, no protocol and no socket; the only clock read is in
//! [`SystemClock`], everything else takes `now`.
//!
//! Start reading at [`Engine`], then [`Message`] and [`Completion`]; calls are at
//! [`CallWire`].

mod backoff;
mod call;
mod caller;
mod capabilities;
mod channel;
mod clock;
mod completion;
mod count;
pub mod dead_letter;
mod deadline;
mod delivery;
mod engine;
mod error;
mod gate;
mod glob;
mod info;
pub mod limits;
mod mailbox;
mod message;
mod name;
mod outbox;
mod recent;
pub mod refusal;
mod snapshot;
mod time;
mod topic;
mod units;

pub use backoff::Backoff;
pub use call::{
    Call, CallId, CallOutcome, CallSink, CallWire, DispatchId, HandlerInfo, HandlerStats,
    IncomingCall, MethodSpec, Stage, WorkerHandle, WorkerSpec,
};
pub use caller::{Caller, ConnectionId, Principal, Protocol};
pub use capabilities::{Atomicity, Capabilities};
pub use channel::{
    ChannelMessage, ENCODINGS_MAX, ListenHandle, ListenPolicy, ListenerEvent, ListenerQueue,
    ListenerSink, Overrun,
};
pub use clock::{Clock, ClockRules, ManualClock, SystemClock};
pub use completion::{
    Completed, Completion, CompletionQueue, CompletionSink, Outcome, Receipt, Redriven, Reporter,
    oneshot,
};
pub use count::Count;
pub use deadline::DeadlineQueue;
pub use delivery::{ConsumeSpec, ConsumerHandle, Consuming, Delivery, DeliverySink, Source};
pub use engine::{
    Admin, Batch, Command, Engine, Health, MessageFilter, ParsePeekFromError, PeekCursor, PeekFrom,
    RedriveEdit, RedriveTo,
};
pub use error::{Error, ErrorCode};
pub use gate::ListenerGate;
pub use glob::glob_match;
pub use info::{
    Altered, MessageState, OptionChange, PeekedMessage, PeekedPage, SubscriptionInfo, TopicInfo,
};
pub use mailbox::{Mailbox, Wake};
pub use message::{
    ConsumerId, DeliveryTag, Headers, JmsPriority, Message, MessageId, ParseIdError, Priority,
    StoredMessage, When,
};
pub use name::{ChannelName, HandlerName, NameError, Pattern, SubscriptionName, TopicName};
pub use outbox::DeliveryOutbox;
pub use recent::Recent;
pub use snapshot::{Snapshot, SnapshotFile};
pub use time::{ParseTimeError, Timestamp};
pub use topic::{
    Dedupe, DeliveryMode, Durability, OptionConflict, Overflow, Retry, StartFrom,
    SubscriptionOptions, SubscriptionSettings, TopicOptions, TopicSettings, Unsubscribed,
};
pub use units::{ByteSize, Span, UnitError};
