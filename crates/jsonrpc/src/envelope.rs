//! The members of a request or answer, collected in one pass and not yet judged.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members JSON-RPC knows, each as its text, so that a value of a wrong type is still JSON
/// and can be refused by name and with the right id.
#[derive(Debug, Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) jsonrpc: Option<&'a RawValue>,
    pub(crate) id: Option<&'a RawValue>,
    pub(crate) method: Option<&'a RawValue>,
    pub(crate) params: Option<&'a RawValue>,
    pub(crate) meta: Option<&'a RawValue>,
    pub(crate) result: Option<&'a RawValue>,
    pub(crate) error: Option<&'a RawValue>,
    /// The first member seen twice.
    pub(crate) duplicate: Option<&'static str>,
}

enum Member {
    Jsonrpc,
    Id,
    Method,
    Params,
    Meta,
    Result,
    Error,
    Other,
}

impl<'a> Envelope<'a> {
    fn slot(&mut self, member: &Member) -> Option<(&mut Option<&'a RawValue>, &'static str)> {
        Some(match member {
            Member::Jsonrpc => (&mut self.jsonrpc, "jsonrpc"),
            Member::Id => (&mut self.id, "id"),
            Member::Method => (&mut self.method, "method"),
            Member::Params => (&mut self.params, "params"),
            Member::Meta => (&mut self.meta, "meta"),
            Member::Result => (&mut self.result, "result"),
            Member::Error => (&mut self.error, "error"),
            Member::Other => return None,
        })
    }
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(member) = map.next_key::<Member>()? {
            let Some((slot, name)) = envelope.slot(&member) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if slot.replace(map.next_value()?).is_some() {
                envelope.duplicate.get_or_insert(name);
            }
        }
        Ok(envelope)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(MemberVisitor)
    }
}

struct MemberVisitor;

impl Visitor<'_> for MemberVisitor {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Member, E> {
        Ok(match name {
            "jsonrpc" => Member::Jsonrpc,
            "id" => Member::Id,
            "method" => Member::Method,
            "params" => Member::Params,
            "meta" => Member::Meta,
            "result" => Member::Result,
            "error" => Member::Error,
            _ => Member::Other,
        })
    }
}
