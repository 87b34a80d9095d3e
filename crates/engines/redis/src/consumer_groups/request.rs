//! A request as a stream has it. Pure.

use super::entries::Fields;
use bytes::Bytes;
use compact_str::{CompactString, ToCompactString, format_compact};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use trunkline_model::{Call, Timestamp};

/// Most fields of a request.
const FIELDS_MAX: usize = 6;

/// A request as a gateway writes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) stream: CompactString,
    method: CompactString,
    /// Seconds since the epoch.
    deadline: CompactString,
    params: Option<Bytes>,
    /// A JSON object.
    context: Option<String>,
    number: CompactString,
}

impl Request {
    pub(super) fn of(call: Call, stream: CompactString, number: u64, now: Timestamp) -> Self {
        let context = call.traceparent.map(|trace| {
            let context = serde_json::json!({ "traceparent": trace });
            context.to_string()
        });
        Self {
            stream,
            method: call.method,
            deadline: seconds(call.deadline, now),
            params: call.params,
            context,
            number: number.to_compact_string(),
        }
    }

    /// What existing workers read: names and values in the order in which they are written. `who` is the channel
    /// for the reply.
    pub(super) fn fields<'r>(
        &'r self,
        who: &'r [u8],
    ) -> SmallVec<[(&'static str, &'r [u8]); FIELDS_MAX]> {
        let mut fields = SmallVec::new();
        fields.push(("rpc", self.method.as_bytes()));
        fields.push(("who", who));
        fields.push(("deadline", self.deadline.as_bytes()));
        fields.push(("args", self.params.as_deref().unwrap_or(b"{}")));
        if let Some(context) = &self.context {
            fields.push(("req_log_context", context.as_bytes()));
        }
        fields.push(("message_id", self.number.as_bytes()));
        fields
    }
}

/// A deadline in seconds since the epoch: whole ones, which all workers read, unless the deadline is
/// so near that the part of a second counts.
fn seconds(deadline: Timestamp, now: Timestamp) -> CompactString {
    let millis = deadline.as_millis();
    if deadline.since(now).as_millis() >= 1_000 {
        (millis / 1_000).to_compact_string()
    } else {
        format_compact!("{}.{:03}", millis / 1_000, millis % 1_000)
    }
}

/// A request as a worker reads it.
#[derive(Debug)]
pub(super) struct Incoming<'b> {
    /// Whom to answer.
    pub(super) who: &'b [u8],
    /// What the answer is to name.
    pub(super) message_id: Option<&'b [u8]>,
    pub(super) method: &'b str,
    /// JSON text.
    pub(super) params: Option<&'b [u8]>,
    pub(super) deadline: Option<Timestamp>,
}

/// Why an entry of a stream is no request. What can still be answered says so.
#[derive(Debug)]
pub(super) struct Malformed<'b> {
    pub(super) who: Option<&'b [u8]>,
    pub(super) message_id: Option<&'b [u8]>,
    pub(super) why: &'static str,
}

impl<'b> Incoming<'b> {
    /// Reads the fields of an entry. What is empty is not there.
    pub(super) fn read(fields: &Fields<'b>) -> Result<Self, Malformed<'b>> {
        let some = |field: Option<&'b [u8]>| field.filter(|value| !value.is_empty());
        let (who, message_id) = (some(fields.who), some(fields.message_id));
        let malformed = |who, why| Malformed {
            who,
            message_id,
            why,
        };
        let Some(who) = who else {
            return Err(malformed(None, "it has no field who"));
        };
        let method = some(fields.rpc).and_then(|rpc| std::str::from_utf8(rpc).ok());
        let Some(method) = method else {
            return Err(malformed(Some(who), "it has no field rpc"));
        };
        let params = some(fields.args);
        if params.is_some_and(|text| !is_json(text)) {
            return Err(malformed(Some(who), "its field args is no JSON"));
        }
        let deadline = match some(fields.deadline).map(parse_seconds) {
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

/// Looks at text once as a whole instead of at each string in it.
fn is_json(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text).ok();
    text.is_some_and(|text| serde_json::from_str::<&RawValue>(text).is_ok())
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
    let micros = part.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = micros.fold(0, |micros, digit| micros * 10 + u64::from(digit - b'0'));
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
        let request = Request::of(call.clone(), "general".into(), 1, AT(now));
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        let fields = request.fields(b"9E93").into_iter();
        fields.map(|(name, value)| (name, text(value))).collect()
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

    fn read(pairs: &[(&str, &'static str)]) -> Result<Incoming<'static>, Malformed<'static>> {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.note(name.as_bytes(), value.as_bytes());
        }
        Incoming::read(&fields)
    }

    #[test]
    fn case_47_what_is_no_request_says_why() {
        let least = read(&[("who", "w"), ("rpc", "r")]).unwrap();
        assert_eq!((least.who, least.method), (&b"w"[..], "r"));
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
