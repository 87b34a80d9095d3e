//! A record: `crc u32, kind << 24 | length u32, payload`.

use super::{RECORD_HEADER, le};
use crate::lsn::RecordKind;

/// Bytes that a record with a payload of `payload` bytes takes.
pub(crate) const fn record_len(payload: usize) -> usize {
    RECORD_HEADER + payload
}

/// Appends a record with the concatenation of `parts` as its payload. The caller has checked that it is below 2^24 bytes.
pub(crate) fn encode_record(out: &mut Vec<u8>, kind: RecordKind, parts: &[&[u8]]) {
    let start = out.len();
    let len: usize = parts.iter().map(|part| part.len()).sum();
    debug_assert!(len < 1 << 24);
    out.reserve(record_len(len));
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(len as u32 | u32::from(kind.0) << 24).to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
    let crc = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordFault {
    /// The record is longer than the bytes at hand: so many are needed.
    Short(usize),
    /// The checksum doesn't hold.
    Checksum,
}

/// The record at the start of `bytes`: its kind and the length of its payload, which follows the header. Verifies the checksum.
pub(crate) fn decode_record(bytes: &[u8]) -> Result<(RecordKind, usize), RecordFault> {
    if bytes.len() < RECORD_HEADER {
        return Err(RecordFault::Short(RECORD_HEADER));
    }
    let (kind, len) = header(bytes);
    let end = record_len(len);
    if bytes.len() < end {
        return Err(RecordFault::Short(end));
    }
    if crc32c::crc32c(&bytes[4..end]) != le::u32(bytes, 0) {
        return Err(RecordFault::Checksum);
    }
    Ok((kind, len))
}

/// The kind and the length of the payload that a record's header says.
fn header(bytes: &[u8]) -> (RecordKind, usize) {
    let word = le::u32(bytes, 4);
    (RecordKind((word >> 24) as u8), (word & 0xFF_FFFF) as usize)
}

/// The records of a batch's body, in order, each with its offset in the body.
pub(crate) struct Records<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    /// Reads `body`, the records of one batch without header and padding.
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0 }
    }

    /// The records of a body that [`Records::new`] found whole, without the checksums again.
    pub(crate) fn verified(
        body: &'a [u8],
    ) -> impl Iterator<Item = (u32, RecordKind, &'a [u8])> + use<'a> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = body.get(at..).filter(|rest| rest.len() >= RECORD_HEADER)?;
            let (kind, len) = header(rest);
            let payload = rest.get(RECORD_HEADER..record_len(len))?;
            let offset = at as u32;
            at += record_len(len);
            Some((offset, kind, payload))
        })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(u32, RecordKind, &'a [u8]), RecordFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.body[self.at..];
        if rest.is_empty() {
            return None;
        }
        let at = self.at;
        Some(match decode_record(rest) {
            Ok((kind, len)) => {
                self.at += record_len(len);
                Ok((at as u32, kind, &rest[RECORD_HEADER..RECORD_HEADER + len]))
            }
            Err(fault) => {
                self.at = self.body.len();
                Err(fault)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_format_document() {
        let mut out = Vec::new();
        encode_record(&mut out, RecordKind(0x81), &[b"ab", b"", b"c"]);
        assert_eq!(out[4..], [3, 0, 0, 0x81, b'a', b'b', b'c']);
        assert_eq!(le::u32(&out, 0), crc32c::crc32c(&out[4..]));
    }

    #[test]
    fn records_follow_each_other_without_a_gap() {
        let mut out = Vec::new();
        encode_record(&mut out, RecordKind(0), &[]);
        encode_record(&mut out, RecordKind(7), &[b"seven"]);
        let records: Vec<_> = Records::new(&out).collect::<Result<_, _>>().unwrap();
        assert_eq!(
            records,
            [
                (0, RecordKind(0), &b""[..]),
                (8, RecordKind(7), &b"seven"[..])
            ]
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let mut out = Vec::new();
        encode_record(&mut out, RecordKind(3), &[b"payload"]);
        for bit in 0..out.len() * 8 {
            let mut bad = out.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_record(&bad).is_err(), "bit {bit}");
        }
        for cut in 0..out.len() {
            assert!(
                matches!(decode_record(&out[..cut]), Err(RecordFault::Short(_))),
                "cut at {cut}"
            );
        }
    }
}
