//! A request as a stream has it. Pure.

use bytes::Bytes;
use compact_str::CompactString;
use serde_json::value::RawValue;
use trunkline_model::{Call, Timestamp};

/// Most fields of a request.
const FIELDS_MAX: usize = 6;

/// A request as a gateway writes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) stream: CompactString,
    /// Names and values, in the order in which they are written.
    pub(super) fields: Vec<(&'static str, Bytes)>,
}

impl Request {
    /// What existing workers read.
    pub(super) fn of(
        call: &Call,
        stream: CompactString,
        who: &Bytes,
        number: u64,
        now: Timestamp,
    ) -> Self {
        let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let mut fields = Vec::with_capacity(FIELDS_MAX);
        fields.push(("rpc", text(&call.method)));
        fields.push(("who", who.clone()));
        fields.push(("deadline", Bytes::from(seconds(call.deadline, now))));
        let args = call.params.clone();
        fields.push(("args", args.unwrap_or(Bytes::from_static(b"{}"))));
        if let Some(trace) = &call.traceparent {
            let context = serde_json::json!({ "traceparent": trace });
            fields.push(("req_log_context", Bytes::from(context.to_string())));
        }
        fields.push(("message_id", Bytes::from(number.to_string())));
        Self { stream, fields }
    }
}

/// A deadline in seconds since the epoch: whole ones, which all workers read, unless the deadline is
/// so near that the part of a second counts.
fn seconds(deadline: Timestamp, now: Timestamp) -> String {
    let millis = deadline.as_millis();
    if deadline.since(now).as_millis() >= 1_000 {
        (millis / 1_000).to_string()
    } else {
        format!("{}.{:03}", millis / 1_000, millis % 1_000)
    }
}

/// A request as a worker reads it.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Whom to answer.
    pub(super) who: Bytes,
    /// What the answer is to name.
    pub(super) message_id: Option<Bytes>,
    pub(super) method: CompactString,
    /// JSON text.
    pub(super) params: Option<Bytes>,
    pub(super) deadline: Option<Timestamp>,
}

/// Why an entry of a stream is no request. What can still be answered says so.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) who: Option<Bytes>,
    pub(super) message_id: Option<Bytes>,
    pub(super) why: &'static str,
}

impl Incoming {
    /// Reads the fields of an entry, in any order; others are passed over.
    pub(super) fn read(fields: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self, Malformed> {
        let mut who = None;
        let mut message_id = None;
        let (mut rpc, mut args, mut deadline) = (None, None, None);
        for (name, value) in fields {
            let slot = match &name[..] {
                b"who" => &mut who,
                b"message_id" => &mut message_id,
                b"rpc" => &mut rpc,
                b"args" => &mut args,
                b"deadline" => &mut deadline,
                _ => continue,
            };
            *slot = Some(Bytes::from(value));
        }
        let some = |field: Option<Bytes>| field.filter(|value| !value.is_empty());
        let (who, message_id) = (some(who), some(message_id));
        let malformed = |who, why| Malformed {
            who,
            message_id: message_id.clone(),
            why,
        };
        let Some(who) = who else {
            return Err(malformed(None, "it has no field who"));
        };
        let method = some(rpc).and_then(|rpc| CompactString::from_utf8(rpc).ok());
        let Some(method) = method else {
            return Err(malformed(Some(who), "it has no field rpc"));
        };
        let params = some(args);
        if let Some(text) = &params
            && serde_json::from_slice::<&RawValue>(text).is_err()
        {
            return Err(malformed(Some(who), "its field args is no JSON"));
        }
        let deadline = match some(deadline).as_deref().map(parse_seconds) {
            None => None,
            // "0" is none, as for existing workers.
            Some(Some(Timestamp::ZERO)) => None,
            Some(Some(at)) => Some(at),
            Some(None) => return Err(malformed(Some(who), "its field deadline is no number")),
        };
        Ok(Self {
            who,
            message_id,
            method,
            params,
            deadline,
        })
    }
}

/// Decimal seconds since the epoch.
fn parse_seconds(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(before) = text.strip_prefix('-') {
        // Before the epoch, so it is over; a zero would be none.
        let number = parse_seconds(before.as_bytes()).filter(|_| !before.starts_with('-'));
        return number.map(|_| Timestamp::from_micros(1));
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let micros = format!("{part:0<6}");
    let micros: u64 = micros[..6].parse().ok()?;
    Some(Timestamp::from_micros(
        whole.checked_mul(1_000_000)?.checked_add(micros)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use trunkline_model::Caller;

    const AT: fn(u64) -> Timestamp = Timestamp::from_millis;

    fn call(params: Option<&'static str>, deadline: u64, trace: Option<&str>) -> Call {
        Call {
            method: "a".into(),
            params: params.map(Bytes::from),
            caller: Arc::new(Caller::system()),
            category: "general".into(),
            deadline: AT(deadline),
            traceparent: trace.map(Into::into),
        }
    }

    fn fields(call: &Call, now: u64) -> Vec<(&'static str, String)> {
        let request = Request::of(call, "general".into(), &Bytes::from("9E93"), 1, AT(now));
        let text = |value: &Bytes| String::from_utf8(value.to_vec()).unwrap();
        let fields = request.fields.iter();
        fields.map(|(name, value)| (*name, text(value))).collect()
    }

    #[test]
    fn case_41_fields_come_in_their_order() {
        let call = call(Some(r#"{"args":{"a":1}}"#), 1_795_190_077_900, None);
        let plain = [
            ("rpc", "a"),
            ("who", "9E93"),
            ("deadline", "1795190077"),
            ("args", r#"{"args":{"a":1}}"#),
            ("message_id", "1"),
        ];
        assert_eq!(fields(&call, 0), plain.map(|(n, v)| (n, v.to_owned())));
        let traced = fields(&self::call(None, 5_000, Some("00-ab")), 0);
        assert_eq!(traced[3].1, "{}");
        assert_eq!(
            traced[4],
            ("req_log_context", r#"{"traceparent":"00-ab"}"#.to_owned())
        );
        assert_eq!(traced[5].0, "message_id");
    }

    #[test]
    fn deadlines_are_whole_seconds_unless_they_are_near() {
        for (deadline, now, text) in [
            (10_999, 0, "10"),
            (1_500, 500, "1"),
            (1_500, 501, "1.500"),
            (7, 0, "0.007"),
        ] {
            assert_eq!(seconds(AT(deadline), AT(now)), text);
        }
    }

    fn read(fields: &[(&str, &str)]) -> Result<Incoming, Malformed> {
        let bytes = |text: &str| text.as_bytes().to_vec();
        Incoming::read(fields.iter().map(|(n, v)| (bytes(n), bytes(v))).collect())
    }

    #[test]
    fn case_47_what_is_no_request_says_why() {
        let least = read(&[("who", "w"), ("rpc", "r")]).unwrap();
        assert_eq!((&least.who[..], &*least.method), (&b"w"[..], "r"));
        assert!(least.params.is_none() && least.deadline.is_none() && least.message_id.is_none());
        let empty = read(&[("rpc", "r"), ("who", "w"), ("args", ""), ("deadline", "0")]);
        assert!(empty.is_ok_and(|e| e.params.is_none() && e.deadline.is_none()));
        for (fields, why) in [
            (&[("rpc", "r")][..], "it has no field who"),
            (&[("who", "w"), ("rpc", "")], "it has no field rpc"),
            (
                &[("who", "w"), ("rpc", "r"), ("args", "{secret")],
                "its field args is no JSON",
            ),
            (
                &[("who", "w"), ("rpc", "r"), ("deadline", "NaN")],
                "its field deadline is no number",
            ),
        ] {
            assert_eq!(read(fields).unwrap_err().why, why);
        }
    }

    #[test]
    fn deadlines_are_decimal() {
        for (text, micros) in [
            ("1795190077", Some(1_795_190_077_000_000)),
            ("4.5", Some(4_500_000)),
            ("4.1234567", Some(4_123_456)),
            ("4.", Some(4_000_000)),
            ("-1", Some(1)),
            ("-12.5", Some(1)),
            ("--1", None),
            ("-", None),
            ("NaN", None),
            ("inf", None),
            (".5", None),
            ("1e3", None),
            ("99999999999999999999", None),
        ] {
            let parsed = parse_seconds(text.as_bytes()).map(Timestamp::as_micros);
            assert_eq!(parsed, micros, "{text}");
        }
    }
}
