//! Durations and sizes as people write them: `30s`, `1h30m`, `64MiB`.

use std::{fmt, str::FromStr, time::Duration};

/// Why a text is not a duration or size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// Not a duration.
    #[error("{0:?} is not a duration; write it like 250ms, 30s, 5m, 1h30m or 2d")]
    Span(String),
    /// Not a size.
    #[error("{0:?} is not a size; write it in bytes or like 512KiB, 64MiB or 2GiB")]
    Size(String),
}

const SPAN_UNITS: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

const SIZE_UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
    ("", 1),
];

/// A duration that reads and prints like `1h30m`; an integer is milliseconds. Resolution
/// is one microsecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// A number of bytes that reads and prints like `64MiB`; an integer is bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError::Span(text.into());
        let mut rest = text.trim();
        let mut micros = 0u64;
        if rest == "0" {
            return Ok(Self::default());
        }
        if rest.is_empty() {
            return Err(error());
        }
        while !rest.is_empty() {
            let (number, after) = split_number(rest);
            let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = after.split_at(letters);
            let (_, scale) = SPAN_UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(error)?;
            let part = scaled(number, *scale).ok_or_else(error)?;
            micros = micros.checked_add(part).ok_or_else(error)?;
            rest = tail;
        }
        Ok(Self(Duration::from_micros(micros)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, scale) in SPAN_UNITS {
            if rest >= scale {
                write!(f, "{}{unit}", rest / scale)?;
                rest %= scale;
            }
        }
        Ok(())
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let error = || UnitError::Size(text.into());
        let (number, unit) = split_number(text.trim());
        let unit = unit.trim_start();
        let (_, scale) = SIZE_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(error)?;
        scaled(number, *scale).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, scale) in &SIZE_UNITS[..3] {
            if self.0 >= *scale && self.0.is_multiple_of(*scale) {
                return write!(f, "{}{unit}", self.0 / scale);
            }
        }
        write!(f, "{}B", self.0)
    }
}

fn split_number(text: &str) -> (&str, &str) {
    text.split_at(
        text.bytes()
            .take_while(|b| b.is_ascii_digit() || *b == b'.')
            .count(),
    )
}

/// `number · scale` for a decimal number; `None` if it is not one or too large.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    match number.split_once('.') {
        None => number.parse::<u64>().ok()?.checked_mul(scale),
        Some(_) => {
            let value = number.parse::<f64>().ok()? * scale as f64;
            (value < u64::MAX as f64).then_some(value.round() as u64)
        }
    }
}

macro_rules! serde_as_text_or_integer {
    ($name:ident, $expecting:literal, $from_integer:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<$name, E> {
                        Ok($from_integer(value))
                    }
                    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<$name, E> {
                        let value =
                            u64::try_from(value).map_err(|_| E::custom("must not be negative"))?;
                        Ok($from_integer(value))
                    }
                }
                from.deserialize_any(Visitor)
            }
        }
    };
}

serde_as_text_or_integer!(
    Span,
    "a duration like \"30s\" or a number of milliseconds",
    |ms| Span(Duration::from_millis(ms))
);
serde_as_text_or_integer!(
    ByteSize,
    "a size like \"64MiB\" or a number of bytes",
    ByteSize
);

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_round_trip() {
        for (text, micros, printed) in [
            ("30s", 30_000_000, "30s"),
            ("1h30m", 5_400_000_000, "1h30m"),
            ("90m", 5_400_000_000, "1h30m"),
            ("250ms", 250_000, "250ms"),
            ("1.5s", 1_500_000, "1s500ms"),
            ("0", 0, "0s"),
            ("2d", 172_800_000_000, "2d"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(
                (span.0.as_micros(), span.to_string()),
                (micros, printed.into())
            );
        }
        for bad in ["", "5", "s", "5x", "-3s", "1..2s", "99999999999999d"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_round_trip() {
        for (text, bytes, printed) in [
            ("64MiB", 64 << 20, "64MiB"),
            ("1000", 1_000, "1000B"),
            ("1.5 KiB", 1_536, "1536B"),
            ("2GB", 2_000_000_000, "1953125KiB"),
            ("0", 0, "0B"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.0, size.to_string()), (bytes, printed.into()));
        }
        for bad in ["", "MiB", "5 XB", "-1"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }

    #[test]
    fn integers_are_milliseconds_and_bytes() {
        assert_eq!(
            serde_json::from_str::<Span>("1500").unwrap().0.as_millis(),
            1_500
        );
        assert_eq!(serde_json::from_str::<ByteSize>("7").unwrap().0, 7);
        assert!(serde_json::from_str::<Span>("-1").is_err());
        assert_eq!(
            serde_json::to_string(&Span(Duration::from_secs(5))).unwrap(),
            "\"5s\""
        );
    }
}
