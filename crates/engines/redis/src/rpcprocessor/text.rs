//! Requests and answers as text. Pure.

use bytes::Bytes;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_model::{Call, CallOutcome, Error, ErrorCode};

#[derive(Serialize)]
struct RequestOut<'a> {
    jsonrpc: &'static str,
    method: &'a str,
    params: &'a RawValue,
    id: &'a str,
}

/// A request, with its members in the order that the original writes.
pub(super) fn request(call: &Call, id: &str) -> String {
    let params = call.params.as_deref().unwrap_or(b"null");
    let params = serde_json::from_slice(params).unwrap_or(RawValue::NULL);
    let request = RequestOut {
        jsonrpc: "2.0",
        method: &call.method,
        params,
        id,
    };
    serde_json::to_string(&request).expect("strings and JSON are JSON")
}

#[derive(Deserialize)]
struct RequestIn<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    id: &'a RawValue,
}

/// A request that a worker has read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: CompactString,
    pub(super) params: Option<Bytes>,
    /// As JSON, to be echoed.
    pub(super) id: String,
    /// As text, for keys.
    pub(super) key: String,
}

/// Longest id that is answered, in bytes.
const ID_MAX: usize = 200;

/// Whether an answer can go to the list that has this id as its key, as far as the id itself says it: requests and
/// answers are beside each other in one hash, an answer's field ending so.
pub(super) fn is_id(key: &str) -> bool {
    !key.is_empty() && key.len() <= ID_MAX && !key.ends_with("_response")
}

/// Reads a request; `None` if it is none that can be answered.
pub(super) fn read_request(text: &[u8]) -> Option<Request> {
    let RequestIn { method, params, id } = object(text)?;
    let key = key_of(id.get())?;
    Some(Request {
        method: CompactString::from(method),
        params: params.map(|params| Bytes::copy_from_slice(params.get().as_bytes())),
        id: id.get().to_owned(),
        key,
    })
}

/// The text of an id: that of a string, or a number as it stands there.
fn key_of(id: &str) -> Option<String> {
    match id.as_bytes().first()? {
        b'"' => serde_json::from_str(id).ok(),
        b'-' | b'0'..=b'9' => Some(id.to_owned()),
        _ => None,
    }
}

#[derive(Deserialize)]
struct AnswerIn<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    id: &'a RawValue,
}

/// What a handler answered.
pub(super) fn read_answer(text: &[u8], id: &str) -> CallOutcome {
    let wrong = |why: &str| {
        let text = format!("the handler's answer {why}");
        CallOutcome::Failed(Error::new(ErrorCode::Internal, text))
    };
    let Some(answer) = object::<AnswerIn<'_>>(text) else {
        return wrong("is no JSON-RPC");
    };
    if key_of(answer.id.get()).as_deref() != Some(id) {
        return wrong("has another id");
    }
    let bytes = |json: &RawValue| Bytes::copy_from_slice(json.get().as_bytes());
    match (answer.error, answer.result) {
        (Some(error), _) if !error.get().starts_with('{') => {
            wrong("has an error that is no object")
        }
        (Some(error), _) => CallOutcome::HandlerError(bytes(error)),
        (None, Some(result)) => CallOutcome::Result(bytes(result)),
        // A result that is null is no member to the reader.
        (None, None) => CallOutcome::Result(Bytes::from_static(b"null")),
    }
}

#[derive(Serialize)]
struct ResultOut<'a> {
    jsonrpc: &'static str,
    result: &'a RawValue,
    id: &'a RawValue,
}

#[derive(Serialize)]
struct ErrorOut<'a> {
    jsonrpc: &'static str,
    error: &'a RawValue,
    id: &'a RawValue,
}

/// What a worker answers, with its members in the order that the original writes.
pub(super) fn answer(id: &str, outcome: &CallOutcome) -> String {
    let raw = |json: &[u8]| serde_json::from_slice::<Box<RawValue>>(json).ok();
    let failure = |error: &Error| {
        let code = error.code().number();
        let object = json!({ "code": code, "message": error.to_string(), "data": "" });
        raw(object.to_string().as_bytes()).expect("it is JSON")
    };
    let id = raw(id.as_bytes()).expect("it was read as JSON");
    let text = match outcome {
        CallOutcome::Result(json) => raw(json).map(|result| {
            serde_json::to_string(&ResultOut {
                jsonrpc: "2.0",
                result: &result,
                id: &id,
            })
        }),
        CallOutcome::HandlerError(json) => raw(json).map(|error| error_text(&error, &id)),
        CallOutcome::Failed(error) => Some(error_text(&failure(error), &id)),
    };
    let text = text.unwrap_or_else(|| error_text(&failure(&Error::internal()), &id));
    text.expect("strings and JSON are JSON")
}

fn error_text(error: &RawValue, id: &RawValue) -> serde_json::Result<String> {
    serde_json::to_string(&ErrorOut {
        jsonrpc: "2.0",
        error,
        id,
    })
}

/// Reads an object; also an array would do for members in their order.
fn object<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Option<T> {
    let begins = json.trim_ascii_start().first() == Some(&b'{');
    serde_json::from_slice(json).ok().filter(|_| begins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use trunkline_model::{Caller, Timestamp};

    fn call(params: Option<&'static str>) -> Call {
        Call {
            method: "mymethod".into(),
            params: params.map(Bytes::from),
            caller: Arc::new(Caller::system()),
            category: "c".into(),
            deadline: Timestamp::MAX,
            traceparent: None,
        }
    }

    #[test]
    fn case_17_members_have_their_order() {
        assert_eq!(
            request(&call(Some(r#"{"attr1":"test"}"#)), "a1"),
            r#"{"jsonrpc":"2.0","method":"mymethod","params":{"attr1":"test"},"id":"a1"}"#
        );
        assert!(request(&call(None), "a1").contains(r#""params":null"#));
        let result = CallOutcome::Result(Bytes::from_static(b"[1, 2]"));
        assert_eq!(
            answer(r#""a1""#, &result),
            r#"{"jsonrpc":"2.0","result":[1, 2],"id":"a1"}"#
        );
        let own = br#"{"code":15,"message":"m","data":"d"}"#;
        let own = CallOutcome::HandlerError(Bytes::from_static(own));
        assert_eq!(
            answer("7", &own),
            r#"{"jsonrpc":"2.0","error":{"code":15,"message":"m","data":"d"},"id":7}"#
        );
        let failed = CallOutcome::Failed(Error::new(ErrorCode::Overloaded, "full"));
        assert_eq!(
            answer("7", &failed),
            r#"{"jsonrpc":"2.0","error":{"code":-32003,"data":"","message":"full"},"id":7}"#
        );
    }

    #[test]
    fn case_17_what_lacks_a_member_is_not_read() {
        let whole = br#"{"jsonrpc":"2.0","method":"m","params":{"a": 1},"id":"x"}"#;
        let request = read_request(whole).unwrap();
        assert_eq!(
            (&*request.method, &*request.key, &*request.id),
            ("m", "x", r#""x""#)
        );
        assert_eq!(request.params.as_deref(), Some(&br#"{"a": 1}"#[..]));
        assert_eq!(read_request(br#"{"method":"m","id":7}"#).unwrap().key, "7");
        for bad in [
            &br#"{"jsonrpc":"2.0","params":{},"id":"x"}"#[..],
            br#"{"method":"m","params":{}}"#,
            br#"{"method":"m","id":null}"#,
            br#"{"method":"m","id":{}}"#,
            br#"["m",{},"x"]"#,
            b"{",
        ] {
            assert_eq!(read_request(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn case_10_answers_are_what_the_handler_says() {
        let read = |text: &str| match read_answer(text.as_bytes(), "a1") {
            CallOutcome::Result(json) => format!("result {}", String::from_utf8_lossy(&json)),
            CallOutcome::HandlerError(json) => format!("error {}", String::from_utf8_lossy(&json)),
            CallOutcome::Failed(error) => format!("{} {error}", error.code().number()),
        };
        for (text, outcome) in [
            (
                r#"{"jsonrpc":"2.0","result": {"x": 1},"id":"a1"}"#,
                r#"result {"x": 1}"#,
            ),
            (
                r#"{"jsonrpc":"2.0.0","result":null,"id":"a1"}"#,
                "result null",
            ),
            (
                r#"{"jsonrpc":"2.0","error":{"code":15,"message":"m","data":"d"},"id":"a1"}"#,
                r#"error {"code":15,"message":"m","data":"d"}"#,
            ),
            (
                r#"{"result":1,"id":"a2"}"#,
                "-32603 the handler's answer has another id",
            ),
            (
                r#"{"result":1}"#,
                "-32603 the handler's answer is no JSON-RPC",
            ),
            ("pong", "-32603 the handler's answer is no JSON-RPC"),
            (
                r#"{"error":"text","id":"a1"}"#,
                "-32603 the handler's answer has an error that is no object",
            ),
        ] {
            assert_eq!(read(text), outcome);
        }
    }
}
