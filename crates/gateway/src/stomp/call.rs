//! `/rpc/METHOD`: a SEND is a call, and its answer a message to its `reply-to`.

use super::{
    connection::StompConnection,
    failure::{self, CODE},
    jobs::Job,
};
use bytes::Bytes;
use compact_str::{CompactString, ToCompactString};
use serde_json::value::RawValue;
use std::time::Duration;
use trunkline_auth::{Action, Resource};
use trunkline_jsonrpc::{ErrorObject, JSON, Scanner};
use trunkline_model::{CallOutcome, Completion, Error, ErrorCode, Headers, Message, Outcome, When};
use trunkline_rpc::CallRequest;
use trunkline_stomp::{Destination, Failure, SendOptions};

/// What went wrong, in the header of an answer that is an error.
const ERROR: &str = "trunkline-error";
/// Of that no more than this, in characters: the body has all of it.
const ERROR_CHARS_MAX: usize = 200;

/// A call that is about to be made.
#[derive(Debug)]
pub(super) struct Calling {
    method: CompactString,
    params: Result<Option<Bytes>, Error>,
    timeout: Option<Duration>,
    publish_id: Option<CompactString>,
    traceparent: Option<CompactString>,
    reply: Option<Reply>,
}

/// Where the answer to a call goes.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    destination: Destination,
    correlation_id: Option<CompactString>,
}

impl StompConnection {
    /// Reads a SEND to `/rpc/METHOD`. What is wrong with the params is the call's answer; what is
    /// wrong with the frame is an ERROR.
    pub(super) fn read_call(
        &mut self,
        method: CompactString,
        body: &Bytes,
        options: SendOptions,
    ) -> Result<Calling, Failure> {
        self.allow(Action::Call, Resource::Method(&method))?;
        let reply = match &options.reply_to {
            Some(reply_to) => Some(self.read_reply(reply_to, options.correlation_id)?),
            None => None,
        };
        let now = self.now();
        Ok(Calling {
            method,
            params: params(body),
            timeout: options.expires.map(|expires| match expires {
                When::After(span) => span,
                When::At(at) => at.since(now),
            }),
            publish_id: options.publish_id,
            traceparent: options.traceparent,
            reply,
        })
    }

    fn read_reply(
        &mut self,
        reply_to: &str,
        correlation_id: Option<CompactString>,
    ) -> Result<Reply, Failure> {
        let name = self.reply_name(reply_to)?;
        let destination: Destination = name.parse().map_err(failure::invalid)?;
        match &destination {
            Destination::Queue(topic) => {
                self.allow(Action::Publish, Resource::Topic(topic))?;
            }
            Destination::Topic(channel) => {
                self.allow(Action::Publish, Resource::Channel(channel))?;
            }
            Destination::TempQueue(_) => {}
            Destination::Subscription { .. } | Destination::Rpc(_) => {
                return Err(failure::invalid(format_args!(
                    "an answer can't go to {destination}; let reply-to be /temp-queue/NAME, /queue/NAME or /topic/NAME"
                )));
            }
        }
        Ok(Reply {
            destination,
            correlation_id,
        })
    }

    pub(super) fn call(&mut self, calling: Calling) {
        let Calling {
            method,
            params,
            timeout,
            publish_id,
            traceparent,
            reply,
        } = calling;
        let refusal = self.refusal(&method);
        let params = match refusal.map_or(params, Err) {
            Ok(params) => params,
            Err(error) => return self.answer_call(reply, CallOutcome::Failed(error)),
        };
        let keyed = publish_id.is_some();
        let request = CallRequest {
            method,
            params,
            caller: self.caller.clone(),
            timeout,
            idempotency_key: publish_id,
            traceparent,
        };
        let calls = self.shared.services.calls.clone();
        let Some(reply) = reply else {
            calls.call(request, Completion::ignored());
            return;
        };
        let token = self.jobs.insert(Job::Call {
            reply: Box::new(reply),
            id: None,
            keyed,
        });
        let completion = Completion::new(self.completions.clone(), token);
        let started = calls.call(request, completion);
        if let Some(Job::Call { id, .. }) = self.jobs.get_mut(token) {
            *id = started;
        }
    }

    /// Why a call can't begin here.
    fn refusal(&self, method: &str) -> Option<Error> {
        let max = self.shared.config.limits.max_in_flight;
        if method.starts_with("rpc.") {
            let text = format!("{method} is Trunkline's own; call it over JSON-RPC");
            return Some(Error::new(ErrorCode::MethodNotFound, text));
        }
        (self.jobs.len() >= max).then(|| {
            let text = format!("this connection has {max} calls at work, the most it may have");
            Error::new(ErrorCode::Overloaded, text).with("limit", max)
        })
    }

    /// A call has ended.
    pub(super) fn called(&mut self, reply: Reply, result: Result<Outcome, Error>) {
        let outcome = match result {
            Ok(Outcome::Answered(outcome)) => outcome,
            Ok(_) => CallOutcome::Failed(Error::internal()),
            Err(error) => CallOutcome::Failed(error),
        };
        self.answer_call(Some(reply), outcome);
    }

    fn answer_call(&mut self, reply: Option<Reply>, outcome: CallOutcome) {
        let Some(reply) = reply else { return };
        let mut headers = Headers::new();
        if let Some(id) = reply.correlation_id {
            headers.push("correlation-id", id);
        }
        let payload = match outcome {
            CallOutcome::Result(result) => result,
            CallOutcome::HandlerError(object) => {
                let error = serde_json::from_slice::<&RawValue>(&object).ok();
                if let Some(error) = error.and_then(|raw| ErrorObject::parse(raw).ok()) {
                    note(&mut headers, &error.message, error.code);
                }
                object
            }
            CallOutcome::Failed(error) => {
                note(&mut headers, error.message(), error.code().number().into());
                object(&error)
            }
        };
        let message = Message {
            payload,
            content_type: CompactString::const_new(JSON),
            headers,
            ..Message::default()
        };
        self.send_answer(reply.destination, message);
    }

    /// A client that is gone wants no answers, except to calls that it may ask for again.
    pub(super) fn cancel_calls(&mut self) {
        for call in self.jobs.unkeyed_calls() {
            self.shared.services.calls.cancel(call);
        }
    }
}

/// Says in headers what the body says in full.
fn note(headers: &mut Headers, message: &str, code: i64) {
    let text: CompactString = message.chars().take(ERROR_CHARS_MAX).collect();
    headers.push(ERROR, text);
    headers.push(CODE, code.to_compact_string());
}

fn object(error: &Error) -> Bytes {
    let mut json = Vec::new();
    crate::dispatch::write_error_object(&mut json, error);
    json.into()
}

/// The body of a SEND as params.
fn params(body: &Bytes) -> Result<Option<Bytes>, Error> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let scan = || {
        let mut scanner = Scanner::new(str::from_utf8(body).ok()?);
        let value = scanner.value(usize::MAX)?;
        scanner.end()?;
        value.starts_with(['{', '[']).then_some(value)
    };
    let value = scan().ok_or_else(|| {
        let text = "the body must be the params as JSON: an object or an array, or nothing";
        Error::invalid_params(text).with("path", "/params")
    })?;
    Ok(Some(Bytes::copy_from_slice(value.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_params() {
        let text = |body: &'static str| {
            let params = params(&Bytes::from_static(body.as_bytes()));
            params.map(|params| params.map(|params| String::from_utf8(params.into()).unwrap()))
        };
        assert_eq!(text(" \n"), Ok(None));
        assert_eq!(text(" [1, 2]\n"), Ok(Some("[1, 2]".into())));
        assert_eq!(text("{\"a\":1}"), Ok(Some("{\"a\":1}".into())));
        for bad in ["1", "[1", "[1] 2", "{a:1}", "hello"] {
            let error = text(bad).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidParams, "{bad}");
        }
    }
}
