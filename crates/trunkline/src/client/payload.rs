//! Payloads as the wire writes them (PROTOCOL §1), from and to plain bytes.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_jsonrpc::{Base64Error, Text, decode_base64, present, write_base64};

/// A payload to be sent: serializes to exactly one of the three members.
#[derive(Clone, Debug)]
pub enum Payload<'a> {
    /// Any JSON value; `application/json`.
    Json(&'a RawValue),
    /// Text; `text/plain;charset=utf-8` unless told otherwise.
    Text(&'a str),
    /// Any bytes; `application/octet-stream` unless told otherwise.
    Bytes(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// Text where the bytes are text.
    pub fn of(bytes: &'a [u8]) -> Self {
        str::from_utf8(bytes).map_or(Self::Bytes(bytes), Self::Text)
    }

    /// JSON, checked to be JSON.
    ///
    /// # Errors
    /// A sentence that says where it is none.
    pub fn json(bytes: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes)
            .map(Self::Json)
            .map_err(|error| format!("the payload is not JSON: {error}"))
    }

    /// Adds its member to an object.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn put<M: SerializeMap>(&self, members: &mut M) -> Result<(), M::Error> {
        match self {
            Self::Json(value) => members.serialize_entry("payload", value),
            Self::Text(text) => members.serialize_entry("payload_text", text),
            Self::Bytes(bytes) => {
                let mut text = Vec::with_capacity(bytes.len() * 4 / 3 + 4);
                write_base64(&mut text, bytes);
                let text = String::from_utf8(text).expect("base64 is ASCII");
                members.serialize_entry("payload_base64", &text)
            }
        }
    }
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut members = to.serialize_map(Some(1))?;
        self.put(&mut members)?;
        members.end()
    }
}

/// The payload members of what the server sends; other members are passed over.
#[derive(Debug, Default, Deserialize)]
pub struct Received<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    #[serde(default, borrow)]
    payload_text: Option<Text<'a>>,
    #[serde(default, borrow)]
    payload_base64: Option<Text<'a>>,
}

impl<'a> Received<'a> {
    /// The bytes as they were published; JSON as its text.
    ///
    /// # Errors
    /// The base64 is none.
    pub fn bytes(self) -> Result<Cow<'a, [u8]>, Base64Error> {
        Ok(
            match (self.payload, self.payload_text, self.payload_base64) {
                (Some(json), ..) => Cow::Borrowed(json.get().as_bytes()),
                (_, Some(Text(Cow::Borrowed(text))), _) => Cow::Borrowed(text.as_bytes()),
                (_, Some(Text(Cow::Owned(text))), _) => Cow::Owned(text.into_bytes()),
                (_, _, Some(base64)) => Cow::Owned(decode_base64(&base64)?),
                _ => Cow::Borrowed(b""),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_received() {
        for (bytes, object) in [
            (&b"line"[..], r#"{"payload_text":"line"}"#),
            (b"a\"\n\xc3\xa9", r#"{"payload_text":"a\"\né"}"#),
            (b"\xff", r#"{"payload_base64":"/w=="}"#),
        ] {
            assert_eq!(serde_json::to_string(&Payload::of(bytes)).unwrap(), object);
            let received: Received<'_> = serde_json::from_str(object).unwrap();
            assert_eq!(received.bytes().unwrap(), bytes);
        }
        let json = Payload::json(b" {\"a\": 1.0}").unwrap();
        assert_eq!(
            serde_json::to_string(&json).unwrap(),
            r#"{"payload":{"a": 1.0}}"#
        );
        let null: Received<'_> = serde_json::from_str(r#"{"payload":null}"#).unwrap();
        assert_eq!(null.bytes().unwrap(), &b"null"[..]);
        assert!(Payload::json(b"{").is_err());
    }
}
