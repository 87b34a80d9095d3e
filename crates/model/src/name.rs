use crate::limits::{CHANNEL_BYTES_MAX, NAME_BYTES_MAX};
use compact_str::CompactString;
use std::{fmt, ops::Deref, str::FromStr};

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    #[error("a {0} must not be empty")]
    Empty(&'static str),
    /// The text is longer than the limit.
    #[error("a {kind} has at most {max} bytes, this one has {actual}")]
    TooLong {
        /// What was to be named.
        kind: &'static str,
        /// Length found, in bytes.
        actual: usize,
        /// Longest allowed, in bytes.
        max: usize,
    },
    /// The text holds a character that names must not have.
    #[error(
        "a {kind} must not contain {found:?} (nor control characters, space or any of / {{ }} * ? [ ] \\)"
    )]
    Character {
        /// What was to be named.
        kind: &'static str,
        /// The first offending character.
        found: char,
    },
}

fn check_name(kind: &'static str, text: &str) -> Result<(), NameError> {
    check_length(kind, text, NAME_BYTES_MAX)?;
    // Nearly all names; each publish has one to check.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_');
    if text.bytes().all(plain) {
        return Ok(());
    }
    let forbidden = |c: char| c.is_control() || " /{}*?[]\\".contains(c);
    match text.chars().find(|c| forbidden(*c)) {
        Some(found) => Err(NameError::Character { kind, found }),
        None => Ok(()),
    }
}

fn check_length(kind: &'static str, text: &str, max: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty(kind)),
        actual if actual > max => Err(NameError::TooLong { kind, actual, max }),
        _ => Ok(()),
    }
}

fn check_channel(kind: &'static str, text: &str) -> Result<(), NameError> {
    check_length(kind, text, CHANNEL_BYTES_MAX)
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(CompactString);

        impl $name {
            /// Checks and takes a text.
            ///
            /// # Errors
            /// [`NameError`] says which rule it breaks.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                let text = text.as_ref();
                $check($kind, text)?;
                Ok(Self(CompactString::new(text)))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether the name is Trunkline's own (a leading `_`).
            pub fn is_reserved(&self) -> bool {
                self.0.starts_with('_')
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = CompactString::deserialize(from)?;
                $check($kind, &text).map_err(serde::de::Error::custom)?;
                Ok(Self(text))
            }
        }
    };
}

text_type!(
    /// The name of a topic: 1–200 bytes of UTF-8 without control characters, space or any
    /// of `/ { } * ? [ ] \`. A leading `_` is Trunkline's own.
    TopicName, "topic name", check_name
);
text_type!(
    /// The name of a subscription; the same rules as [`TopicName`].
    SubscriptionName, "subscription name", check_name
);
text_type!(
    /// The name of a handler; the same rules as [`TopicName`].
    HandlerName, "handler name", check_name
);
text_type!(
    /// The name of a channel: 1 byte to 1 KiB of any UTF-8. A leading `_` is Trunkline's own.
    ChannelName, "channel name", check_channel
);
text_type!(
    /// A pattern of channel names in Redis glob syntax (see [`glob_match`](crate::glob_match)),
    /// 1 byte to 1 KiB.
    Pattern, "pattern", check_channel
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "orders.eu-1", "größe", "_calls", &"x".repeat(200)] {
            assert_eq!(TopicName::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a b",
            "a/b",
            "{a}",
            "a*",
            "a?",
            "[a",
            "a\\",
            "a\n",
            &"x".repeat(201),
        ] {
            assert!(TopicName::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            TopicName::new("a b").unwrap_err().to_string(),
            r"a topic name must not contain ' ' (nor control characters, space or any of / { } * ? [ ] \)"
        );
        assert!(ChannelName::new("any thing/at {all}").is_ok());
        assert!(ChannelName::new("x".repeat(1_025)).is_err());
        assert!(HandlerName::new("_x").unwrap().is_reserved());
    }
}
