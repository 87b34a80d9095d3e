//! A reply as it is published. Pure.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use trunkline_model::{CallOutcome, Error, ErrorCode};

/// What existing workers say about a failure that is nobody's business.
const SORRY: &str = "Sorry, an error occurred while processing your request.";

/// Of a reply, without its result and method, about.
const ENVELOPE_BYTES: usize = 96;

#[derive(Deserialize)]
struct Published<'a> {
    #[serde(borrow)]
    message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

/// The parts of an envelope. A member that is `null` is there.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads what a worker published: which request it answers, and how. `Err` says why it is no reply.
pub(super) fn read(payload: &[u8]) -> Result<(u64, CallOutcome), &'static str> {
    let published = object::<Published<'_>>(payload).ok_or("it is no JSON object")?;
    let number = published.message_id.ok_or("it has no message_id")?;
    let response = published.response.ok_or("it has no response")?;
    let number = number_of(number.get()).ok_or("its message_id is none of ours")?;
    Ok((number, outcome(response.get())))
}

/// What a string or a number names; they are compared as text, and ours are written in one way.
fn number_of(json: &str) -> Option<u64> {
    let text = json
        .strip_prefix('"')
        .map_or(Some(json), |text| text.strip_suffix('"'))?;
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| digits)
}

/// Reads an object; also an array would do for members in their order.
fn object<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Option<T> {
    serde_json::from_slice(json)
        .ok()
        .filter(|_| is_object(json))
}

/// Whether JSON begins as an object does.
fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'{')
}

/// What an envelope says: with `error` a failure, else `result`, which may be missing.
fn outcome(envelope: &str) -> CallOutcome {
    let read = serde_json::from_str(envelope).ok();
    let Some(Envelope { result, error }) = read.filter(|_| is_object(envelope.as_bytes())) else {
        return CallOutcome::Result(Bytes::from_static(b"null"));
    };
    if let Some(error) = error {
        return CallOutcome::HandlerError(Bytes::from(failure(error.get())));
    }
    let result = result.map_or("null", RawValue::get);
    CallOutcome::Result(Bytes::copy_from_slice(result.as_bytes()))
}

/// An envelope's error as JSON-RPC has errors, whose codes are integers.
fn failure(error: &str) -> String {
    let error: Value = serde_json::from_str(error).unwrap_or_default();
    let message = error["message"].as_str().unwrap_or(SORRY);
    let mut object = match &error["code"] {
        Value::Number(code) if code.is_i64() => json!({ "code": code, "message": message }),
        Value::Null => json!({ "code": ErrorCode::HandlerFailed.number(), "message": message }),
        code => json!({
            "code": ErrorCode::HandlerFailed.number(),
            "message": message,
            "data": { "code": code },
        }),
    };
    if let Some(data) = error.get("data") {
        object["data"] = data.clone();
    }
    object.to_string()
}

/// What a worker publishes.
#[derive(Serialize)]
struct Publishing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpc: Option<&'a str>,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Response<'a> {
    Result(&'a RawValue),
    Error(&'a RawValue),
}

/// The reply to a request, for its channel.
pub(super) fn write(
    message_id: Option<&[u8]>,
    method: Option<&str>,
    outcome: &CallOutcome,
) -> String {
    let failed;
    let (is_error, json) = match outcome {
        CallOutcome::Result(json) => (false, &json[..]),
        CallOutcome::HandlerError(json) => (true, &json[..]),
        CallOutcome::Failed(error) if error.code() == ErrorCode::Internal => (false, &b""[..]),
        CallOutcome::Failed(error) => {
            failed = error_object(error);
            (true, failed.as_bytes())
        }
    };
    let internal;
    let (is_error, json) = match serde_json::from_slice::<&RawValue>(json) {
        Ok(json) => (is_error, json),
        Err(_) => {
            internal = internal_error();
            let internal = serde_json::from_str(&internal);
            (false, internal.expect("it is JSON"))
        }
    };
    let publishing = Publishing {
        message_id: message_id.and_then(|id| std::str::from_utf8(id).ok()),
        rpc: method,
        response: if is_error {
            Response::Error(json)
        } else {
            Response::Result(json)
        },
    };
    let room = json.get().len() + method.map_or(0, str::len) + ENVELOPE_BYTES;
    let mut text = Vec::with_capacity(room);
    serde_json::to_writer(&mut text, &publishing).expect("strings and JSON are JSON");
    String::from_utf8(text).expect("JSON is text")
}

/// The result of what failed without a word about it.
fn internal_error() -> String {
    let error = json!({ "code": "InternalServerError", "message_to_client": SORRY });
    json!({ "error": error }).to_string()
}

fn error_object(error: &Error) -> String {
    json!({ "code": error.code().number(), "message": error.to_string() }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(payload: &str) -> (u64, String) {
        let (number, outcome) = read(payload.as_bytes()).unwrap();
        let text = match outcome {
            CallOutcome::Result(json) => format!("result {}", String::from_utf8_lossy(&json)),
            CallOutcome::HandlerError(json) => format!("error {}", String::from_utf8_lossy(&json)),
            CallOutcome::Failed(error) => format!("failed {error}"),
        };
        (number, text)
    }

    #[test]
    fn case_29_31_35_and_36_envelopes_are_read() {
        for (payload, number, outcome) in [
            (r#"{"message_id":"1","response":"any"}"#, 1, "result null"),
            (
                r#"{"message_id":2,"response":{"result":{"a": 1}}}"#,
                2,
                r#"result {"a": 1}"#,
            ),
            (
                r#"{"message_id":"3","response":{},"x":[]}"#,
                3,
                "result null",
            ),
            (
                r#"{"message_id":"4","response":{"error":{"code":-32601,"message":"nf"}}}"#,
                4,
                r#"error {"code":-32601,"message":"nf"}"#,
            ),
            (
                r#"{"message_id":"5","response":{"error":null,"result":1}}"#,
                5,
                r#"error {"code":-32000,"message":"Sorry, an error occurred while processing your request."}"#,
            ),
            (
                r#"{"message_id":"6","response":{"error":{"code":"X","message":"m"}}}"#,
                6,
                r#"error {"code":-32000,"data":{"code":"X"},"message":"m"}"#,
            ),
            (
                r#"{"message_id":"7","response":{"result":{"error":{"code":"TestError"}}}}"#,
                7,
                r#"result {"error":{"code":"TestError"}}"#,
            ),
        ] {
            assert_eq!(answers(payload), (number, outcome.to_owned()));
        }
    }

    #[test]
    fn case_30_what_is_no_reply_says_why() {
        for (payload, why) in [
            (r#"{"message_id":"1"}"#, "it has no response"),
            (r#"{"response":1}"#, "it has no message_id"),
            ("[1]", "it is no JSON object"),
            ("[1,2]", "it is no JSON object"),
            ("garbage", "it is no JSON object"),
            (
                r#"{"message_id":"x","response":1}"#,
                "its message_id is none of ours",
            ),
            (
                r#"{"message_id":"+1","response":1}"#,
                "its message_id is none of ours",
            ),
            (
                r#"{"message_id":"01","response":1}"#,
                "its message_id is none of ours",
            ),
            (
                r#"{"message_id":1.0,"response":1}"#,
                "its message_id is none of ours",
            ),
        ] {
            assert_eq!(read(payload.as_bytes()), Err(why), "{payload}");
        }
    }

    #[test]
    fn replies_hold_no_more_than_they_need() {
        let result = CallOutcome::Result(Bytes::from_static(br#"{"a": 1}"#));
        assert_eq!(
            write(Some(b"7"), Some("sum"), &result),
            r#"{"message_id":"7","rpc":"sum","response":{"result":{"a": 1}}}"#
        );
        let error = CallOutcome::HandlerError(Bytes::from_static(br#"{"code":1,"message":"m"}"#));
        assert_eq!(
            write(None, None, &error),
            r#"{"response":{"error":{"code":1,"message":"m"}}}"#
        );
        let internal = CallOutcome::Failed(Error::internal());
        assert_eq!(
            write(Some(b"7"), None, &internal),
            format!(
                r#"{{"message_id":"7","response":{{"result":{{"error":{{"code":"InternalServerError","message_to_client":"{SORRY}"}}}}}}}}"#
            )
        );
        let read_back = read(write(Some(b"7"), Some("sum"), &result).as_bytes());
        assert_eq!(read_back, Ok((7, result)));
    }
}
