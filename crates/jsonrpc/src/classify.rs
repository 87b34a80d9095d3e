//! Judges an envelope: request, answer, or neither and why.

use std::borrow::Cow;

use crate::envelope::Envelope;
use crate::raw::raw_value;
use crate::text::unquote;
use crate::{Answer, Id, InvalidReason, Item, Limits, Outcome, Request};

/// Decides what an object is (JSON-RPC 2.0 §4 and §5, PROTOCOL §1).
pub(crate) fn classify<'a>(envelope: &Envelope<'a>, limits: &Limits) -> Item<'a> {
    let is_answer =
        envelope.method.is_none() && (envelope.result.is_some() || envelope.error.is_some());
    let (id, id_problem) = match read_id(envelope, limits) {
        Ok(id) => (id, None),
        Err(reason) => (None, Some(reason)),
    };
    let problem = id_problem.or_else(|| envelope_problem(envelope));
    if is_answer {
        return Item::Answer(Answer {
            id: id.unwrap_or(Id::NULL),
            outcome: outcome(envelope, problem),
        });
    }
    match problem.map_or_else(|| read_method(envelope), Err) {
        Ok(method) => Item::Request(Request {
            id,
            method,
            params: envelope.params.map(raw_value),
            meta: envelope.meta.map(raw_value),
        }),
        Err(reason) => Item::Invalid {
            id: id.unwrap_or(Id::NULL),
            reason,
        },
    }
}

fn read_id<'a>(envelope: &Envelope<'a>, limits: &Limits) -> Result<Option<Id<'a>>, InvalidReason> {
    let Some(text) = envelope.id else {
        return Ok(None);
    };
    if envelope.duplicate == Some("id") {
        return Err(InvalidReason::DuplicateMember("id"));
    }
    let id = Id::from_valid(text).ok_or(InvalidReason::IdType)?;
    if text.len() > limits.max_id_bytes {
        return Err(InvalidReason::IdTooLong {
            max: limits.max_id_bytes,
        });
    }
    Ok(Some(id))
}

fn envelope_problem(envelope: &Envelope<'_>) -> Option<InvalidReason> {
    if let Some(member) = envelope.duplicate {
        return Some(InvalidReason::DuplicateMember(member));
    }
    let is_version = |text: &str| text == "\"2.0\"" || unquote(text).as_deref() == Some("2.0");
    (!envelope.jsonrpc.is_some_and(is_version)).then_some(InvalidReason::Version)
}

fn outcome<'a>(envelope: &Envelope<'a>, problem: Option<InvalidReason>) -> Outcome<'a> {
    match (problem, envelope.result, envelope.error) {
        (Some(reason), _, _) => Outcome::Malformed(reason),
        (None, Some(result), None) => Outcome::Result(raw_value(result)),
        (None, None, Some(error)) => Outcome::Error(raw_value(error)),
        (None, _, _) => Outcome::Malformed(InvalidReason::ResultAndError),
    }
}

fn read_method<'a>(envelope: &Envelope<'a>) -> Result<Cow<'a, str>, InvalidReason> {
    let text = envelope.method.ok_or(InvalidReason::MethodMissing)?;
    let method = unquote(text).ok_or(InvalidReason::MethodType)?;
    if envelope.params.is_some_and(|params| !is_structured(params)) {
        return Err(InvalidReason::ParamsType);
    }
    Ok(method)
}

fn is_structured(params: &str) -> bool {
    matches!(params.as_bytes().first(), Some(b'{' | b'['))
}
