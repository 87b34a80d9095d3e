//! Strings and values borrowed out of JSON text.

use std::borrow::Cow;
use std::ops::Deref;

use memchr::memchr;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A string member that borrows from the frame unless it was written with escapes.
///
/// `Option<Cow<str>>` always copies, because serde borrows only a `Cow` that is a field itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// For `#[serde(default, borrow, deserialize_with = "present")]` on an `Option<&RawValue>`: a
/// member that is there and `null` is the value `null`, where serde alone would call it absent.
///
/// # Errors
/// Those of the deserializer.
pub fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The string that `json` is the text of; `None` if that is something else, or has a lone
/// surrogate. `json` must be one JSON value without white space around it.
pub(crate) fn unquote(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}
