//! Request ids, kept as the text that the peer wrote.

use compact_str::CompactString;

/// A request id: the JSON text of a string, a number or `null`, echoed verbatim.
///
/// Two ids are equal if their texts are: `1` and `1.0` are different ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id<'a>(&'a str);

impl<'a> Id<'a> {
    /// The id `null`, also that of an answer to something whose id couldn't be read.
    pub const NULL: Id<'static> = Id("null");

    /// Takes JSON text as an id; `None` if it isn't the text of a string, number or `null`.
    #[must_use]
    pub fn from_json(text: &'a str) -> Option<Self> {
        let raw: &serde_json::value::RawValue = serde_json::from_str(text).ok()?;
        Self::from_valid(raw.get())
    }

    /// The same for text that is known to be one JSON value without white space around it.
    pub(crate) fn from_valid(text: &'a str) -> Option<Self> {
        match text.as_bytes().first()? {
            b'"' | b'-' | b'0'..=b'9' | b'n' => Some(Self(text)),
            _ => None,
        }
    }

    /// The id's JSON text.
    #[must_use]
    pub fn as_json(self) -> &'a str {
        self.0
    }

    /// Whether the id is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// The id as a number, if it is the decimal form of one: how a client finds its own request.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// A copy that outlives the frame.
    #[must_use]
    pub fn to_owned_id(self) -> OwnedId {
        OwnedId(CompactString::new(self.0))
    }
}

/// An [`Id`] that outlives its frame. Ids of up to 24 bytes are kept without allocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OwnedId(CompactString);

impl OwnedId {
    /// The id, borrowed.
    #[must_use]
    pub fn as_id(&self) -> Id<'_> {
        Id(self.0.as_str())
    }
}

impl From<u64> for OwnedId {
    fn from(number: u64) -> Self {
        Self(CompactString::new(
            crate::Integer::from_unsigned(number).as_str(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strings_numbers_and_null_are_ids() {
        for text in [
            "1",
            "-0",
            "1e3",
            "9007199254740993",
            "\"\"",
            "\"a\"",
            "null",
        ] {
            assert_eq!(Id::from_json(text).map(Id::as_json), Some(text));
        }
        for text in ["", "{}", "[]", "true", "false", "nul", "1 2", "\"", "01"] {
            assert_eq!(Id::from_json(text), None, "{text}");
        }
    }

    #[test]
    fn an_owned_id_is_the_same_id() {
        let id = Id::from_json("\"a long id, certainly longer than inline\"").expect("an id");
        assert_eq!(id.to_owned_id().as_id(), id);
        assert_eq!(OwnedId::from(7).as_id().as_u64(), Some(7));
    }
}
