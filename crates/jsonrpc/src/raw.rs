//! A `RawValue` of text that has been checked already.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::value::RawValue;

/// `text`, which must be one JSON value without white space around it, as a raw value.
///
/// `serde_json` makes a `RawValue` only in the course of reading, which would be for a second
/// time. But raw values pass through every deserializer, as a map of one entry whose key is the
/// name that the type asks for; [`Checked`] is a deserializer that has nothing but that entry.
/// Should a version of `serde_json` ever ask differently, the text is read again.
#[inline]
pub(crate) fn raw_value(text: &str) -> &RawValue {
    match <&RawValue>::deserialize(Checked { text }) {
        Ok(raw) => raw,
        Err(Refused) => serde_json::from_str(text).expect("it has been read as JSON before"),
    }
}

struct Checked<'a> {
    text: &'a str,
}

impl<'de> Deserializer<'de> for Checked<'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        Err(Refused)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_map(Entry {
            name,
            text: self.text,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The one entry.
struct Entry<'a> {
    name: &'static str,
    text: &'a str,
}

impl<'de> MapAccess<'de> for Entry<'de> {
    type Error = Refused;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refused> {
        seed.deserialize(BorrowedStrDeserializer::new(self.name))
            .map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        seed.deserialize(BorrowedStrDeserializer::new(self.text))
    }
}

/// It was not a raw value that was asked for.
#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only a raw value can be made of checked text")
    }
}

impl std::error::Error for Refused {}

impl serde::de::Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_handed_over_where_it_stands() {
        for text in [r#"{"a": [1.0, "é"]}"#, "null", "-0"] {
            let raw = <&RawValue>::deserialize(Checked { text });
            let raw = raw.expect("serde_json asks as it always did");
            assert_eq!(raw.get().as_ptr(), text.as_ptr());
            assert_eq!(raw.get(), text);
            assert_eq!(raw_value(text).get(), text);
        }
    }

    #[test]
    fn nothing_but_raw_values_is_made() {
        assert!(String::deserialize(Checked { text: "\"a\"" }).is_err());
        assert!(u64::deserialize(Checked { text: "1" }).is_err());
    }
}
