//! Tagged fields: `key varint, value`, where the key is `field << 2 | required << 1 | bytes`
//! and the value a varint, or a varint length with so many bytes. A reader skips unknown
//! fields unless they are marked as required.

use super::RecordError;

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Int(u64),
    Bytes(&'a [u8]),
}

/// Reads varints and bytes from the front of a slice; `None` once they don't fit.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn varint(&mut self) -> Option<u64> {
        match *self.0 {
            [byte, ref rest @ ..] if byte < 0x80 => {
                self.0 = rest;
                Some(byte.into())
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.varint()?).ok()
    }

    /// A value written by [`delta`].
    pub(crate) fn delta(&mut self, previous: u64) -> Option<u64> {
        let zigzag = self.varint()?;
        let difference = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        Some(previous.wrapping_add(difference as u64))
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.small::<usize>()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

pub(crate) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The difference to the value before: small for neighbours in either direction.
pub(crate) fn delta(out: &mut Vec<u8>, previous: u64, value: u64) {
    let difference = value.wrapping_sub(previous) as i64;
    varint(out, (difference << 1 ^ difference >> 63) as u64);
}

pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Whether a reader that doesn't know a field may go on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    Skip,
    Refuse,
}

/// A field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u32, Unknown);

impl Tag {
    pub(crate) const fn required(number: u32) -> Self {
        Self(number, Unknown::Refuse)
    }

    pub(crate) const fn optional(number: u32) -> Self {
        Self(number, Unknown::Skip)
    }

    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    fn key(self, is_bytes: bool) -> u64 {
        u64::from(self.0) << 2 | u64::from(self.1 == Unknown::Refuse) << 1 | u64::from(is_bytes)
    }

    pub(crate) fn int(self, out: &mut Vec<u8>, value: u64) {
        varint(out, self.key(false));
        varint(out, value);
    }

    pub(crate) fn int_if(self, out: &mut Vec<u8>, value: Option<u64>) {
        if let Some(value) = value {
            self.int(out, value);
        }
    }

    pub(crate) fn bytes(self, out: &mut Vec<u8>, value: &[u8]) {
        varint(out, self.key(true));
        varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }

    pub(crate) fn text_if(self, out: &mut Vec<u8>, value: Option<&str>) {
        if let Some(value) = value {
            self.bytes(out, value.as_bytes());
        }
    }

    /// Bytes of a length that is known only once they are written.
    pub(crate) fn written(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        varint(out, self.key(true));
        let start = out.len();
        write(out);
        let end = out.len();
        varint(out, (end - start) as u64);
        let length_bytes = out.len() - end;
        out[start..].rotate_right(length_bytes);
    }
}

/// The fields of a record, one after the other.
pub(crate) struct Fields<'a> {
    reader: Reader<'a>,
    record: &'static str,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(record: &'static str, bytes: &'a [u8]) -> Self {
        Self {
            reader: Reader(bytes),
            record,
        }
    }

    /// The next field that the caller knows, found at once if `known` has field 1 first and
    /// no gaps.
    #[inline]
    pub(crate) fn next(&mut self, known: &[Tag]) -> Result<Option<(Tag, Value<'a>)>, RecordError> {
        while !self.reader.0.is_empty() {
            let (number, required, value) = self.field().ok_or(self.invalid("encoding"))?;
            let is_it = |tag: &&Tag| tag.0 == number;
            let guess = known.get((number as usize).wrapping_sub(1)).filter(is_it);
            if let Some(tag) = guess.or_else(|| known.iter().find(is_it)) {
                return Ok(Some((*tag, value)));
            }
            if required {
                return Err(RecordError::UnknownField {
                    record: self.record,
                    field: number,
                });
            }
        }
        Ok(None)
    }

    /// The next field with its encoding, whether anybody knows it or not; `None` after the
    /// last one, or where the encoding ends.
    pub(crate) fn raw(&mut self) -> Option<(u32, &'a [u8])> {
        let start = self.reader.0;
        let (number, ..) = self.field()?;
        Some((number, &start[..start.len() - self.reader.0.len()]))
    }

    fn field(&mut self) -> Option<(u32, bool, Value<'a>)> {
        let key = self.reader.varint()?;
        let value = if key & 1 == 0 {
            Value::Int(self.reader.varint()?)
        } else {
            Value::Bytes(self.reader.bytes()?)
        };
        Some((u32::try_from(key >> 2).ok()?, key & 2 != 0, value))
    }

    pub(crate) fn invalid(&self, field: &'static str) -> RecordError {
        RecordError::Invalid {
            record: self.record,
            field,
        }
    }
}

impl<'a> Value<'a> {
    pub(crate) fn int<T: TryFrom<u64>>(self) -> Option<T> {
        match self {
            Self::Int(value) => T::try_from(value).ok(),
            Self::Bytes(_) => None,
        }
    }

    pub(crate) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Int(_) => None,
            Self::Bytes(bytes) => Some(bytes),
        }
    }

    pub(crate) fn text(self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            varint(&mut out, value);
            delta(&mut out, 77, value);
            let mut reader = Reader(&out);
            assert_eq!(
                (reader.varint(), reader.delta(77)),
                (Some(value), Some(value))
            );
            assert!(reader.0.is_empty());
        }
        assert_eq!(Reader(&[0xff; 10]).varint(), None);
        assert_eq!(Reader(&[0x80]).varint(), None);
    }

    #[test]
    fn unknown_fields_are_skipped_unless_required() {
        let known = [Tag::required(1)];
        let mut out = Vec::new();
        Tag::optional(9).bytes(&mut out, b"later");
        known[0].written(&mut out, |out| out.extend_from_slice(&[7; 200]));
        let mut fields = Fields::new("test", &out);
        let field = fields.next(&known).unwrap().unwrap();
        assert!(
            matches!(field, (tag, Value::Bytes(bytes)) if tag == known[0] && bytes == [7; 200])
        );
        assert!(fields.next(&known).unwrap().is_none());

        Tag::required(9).int(&mut out, 0);
        let mut fields = Fields::new("test", &out);
        fields.next(&known).unwrap();
        assert_eq!(
            fields.next(&known).unwrap_err().to_string(),
            "a test record has the required field 9, unknown to this version; \
             use the version that wrote it or a later one"
        );
    }
}
