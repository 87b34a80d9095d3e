//! What a frame turned out to be.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{Id, InvalidReason};

/// A frame, borrowed from its bytes.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// One object; or a frame that is refused as a whole and answered by one object.
    Single(Item<'a>),
    /// A batch of at least one entry, answered by one array of the entries that want an answer.
    Batch(Vec<Item<'a>>),
}

/// One object of a frame.
#[derive(Debug)]
pub enum Item<'a> {
    /// A request or a notification.
    Request(Request<'a>),
    /// An answer to a request that we sent. It is never answered itself.
    Answer(Answer<'a>),
    /// Neither: to be answered with the reason's code.
    Invalid {
        /// The id to answer with: the object's own if that was readable, else null.
        id: Id<'a>,
        /// What is wrong.
        reason: InvalidReason,
    },
}

/// A request object (JSON-RPC 2.0 §4). Members that the specification doesn't name are ignored.
#[derive(Debug)]
pub struct Request<'a> {
    /// Absent in a notification, which is executed and never answered.
    pub id: Option<Id<'a>>,
    /// Borrowed unless it was written with escapes.
    pub method: Cow<'a, str>,
    /// An object or an array.
    pub params: Option<&'a RawValue>,
    /// Trunkline's own member, sent to workers that ask for it; any JSON.
    pub meta: Option<&'a RawValue>,
}

/// A response object (JSON-RPC 2.0 §5).
#[derive(Debug)]
pub struct Answer<'a> {
    /// Null if the object had none or an unreadable one.
    pub id: Id<'a>,
    /// What is answered.
    pub outcome: Outcome<'a>,
}

/// What an answer says.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// The request succeeded.
    Result(&'a RawValue),
    /// The request failed; [`ErrorObject::parse`](crate::ErrorObject::parse) reads it.
    Error(&'a RawValue),
    /// It is an answer, but not a well-formed one. The request it names has failed.
    Malformed(InvalidReason),
}
