//! Finding the few headers that matter, without parsing the rest.

use memchr::memmem;

use crate::load::Slot;
use crate::rpc::{scan, slot_of_id};

/// The frame at the start of `bytes` without its NUL, the line ends before it, and how many bytes
/// all of that takes; `None` if not all of it has arrived.
pub(super) fn frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let blank = bytes
        .iter()
        .take_while(|byte| matches!(byte, b'\n' | b'\r'));
    let start = blank.count();
    let end = memchr::memchr(0, &bytes[start..])? + start;
    Some((&bytes[start..end], end + 1))
}

/// The slot that a RECEIPT names.
pub(super) fn receipt(frame: &[u8]) -> Option<Slot> {
    let id = match frame.strip_prefix(b"RECEIPT\nreceipt-id:") {
        Some(id) => id,
        None => header(frame.strip_prefix(b"RECEIPT")?, b"\nreceipt-id:")?,
    };
    slot_of_id(scan::leading_number(id)?.0)
}

/// What stands in a MESSAGE behind the first `name`, which is written as `\nname:`.
pub(super) fn header<'f>(frame: &'f [u8], name: &[u8]) -> Option<&'f [u8]> {
    let value = &frame[memmem::find(frame, name)? + name.len()..];
    Some(&value[..memchr::memchr(b'\n', value)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_ends_at_its_nul() {
        for (bytes, expected) in [
            (
                "RECEIPT\nreceipt-id:1\n\n\0",
                Some("RECEIPT\nreceipt-id:1\n\n"),
            ),
            (
                "\n\r\nMESSAGE\n\nbody\0MESSAGE\n\n",
                Some("MESSAGE\n\nbody"),
            ),
            ("MESSAGE\n\nbo", None),
            ("\n\n", None),
            ("", None),
        ] {
            let found = frame(bytes.as_bytes());
            assert_eq!(found.map(|(frame, _)| frame), expected.map(str::as_bytes));
            if let Some((_, taken)) = found {
                assert_eq!(bytes.as_bytes()[taken - 1], 0, "{bytes:?}");
            }
        }
    }

    #[test]
    fn a_receipt_names_its_slot_wherever_its_header_stands() {
        for (frame, slot) in [
            ("RECEIPT\nreceipt-id:1000042\n\n", Some(42)),
            ("RECEIPT\nx:1\nreceipt-id:1000007\n\n", Some(7)),
            ("RECEIPT\nreceipt-id:5\n\n", None),
            ("RECEIPT\nreceipt-id:last\n\n", None),
            ("MESSAGE\nreceipt-id:1000042\n\n", None),
        ] {
            assert_eq!(receipt(frame.as_bytes()), slot, "{frame:?}");
        }
    }

    #[test]
    fn headers_are_found_by_their_whole_name() {
        let frame = b"MESSAGE\nx-ack:0\nack:T_1@@s@@7\n\nbody";
        assert_eq!(header(frame, b"\nack:"), Some(&b"T_1@@s@@7"[..]));
        assert_eq!(header(frame, b"\nid:"), None);
    }
}
