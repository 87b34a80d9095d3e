//! Requests that are written once and then only change their id.

use crate::load::Slot;
use crate::ws::Template;

/// Ids all have the same number of digits, so that a new one is patched in place.
const ID_BASE: u32 = 1_000_000;
pub(crate) const ID_DIGITS: usize = 7;

/// The hole for the id in a template of [`request_template`], and that in its params, if any.
pub(crate) const ID_HOLE: usize = 0;
pub(crate) const PARAMS_HOLE: usize = 1;

/// A request whose id is still to be filled in. `params` is JSON text in two parts, with a hole
/// of `width` bytes between them: 0 if they never change.
pub(crate) fn request_template(
    method: &str,
    (before, after): (&str, &str),
    width: usize,
) -> Template {
    let head = format!(r#","method":"{method}","params":{before}"#);
    let tail = format!("{after}}}");
    let parts = [
        br#"{"jsonrpc":"2.0","id":"#,
        head.as_bytes(),
        tail.as_bytes(),
    ];
    Template::new(&parts, &[ID_DIGITS, width])
}

/// The id of the request of `slot`, which must be below 9,000,000.
pub(crate) fn id_of_slot(slot: Slot) -> [u8; ID_DIGITS] {
    let mut digits = [b'0'; ID_DIGITS];
    let mut rest = ID_BASE + slot;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// The slot that an id stands for, if this generator made it.
pub(crate) fn slot_of_id(id: u64) -> Option<Slot> {
    u32::try_from(id).ok()?.checked_sub(ID_BASE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_slots_belong_together() {
        for (slot, id) in [(0, "1000000"), (7, "1000007"), (123_456, "1123456")] {
            assert_eq!(id_of_slot(slot), id.as_bytes());
            assert_eq!(slot_of_id(id.parse().unwrap()), Some(slot));
        }
        assert_eq!(slot_of_id(5), None);
    }

    #[test]
    fn a_request_names_its_method_and_params() {
        for (params, width, content, expected) in [
            (("[]", ""), 0, "", "[]"),
            ((r#"{"k":"#, "}"), 2, "17", r#"{"k":17}"#),
        ] {
            let mut request = request_template("m", params, width);
            request.fill(ID_HOLE, &id_of_slot(42));
            request.fill(PARAMS_HOLE, content.as_bytes());
            let mut frame = request.frame()[2..].to_vec();
            let (key, text) = frame.split_first_chunk_mut::<4>().unwrap();
            for (byte, key) in text.iter_mut().zip(key.iter().cycle()) {
                *byte ^= key;
            }
            let expected =
                format!(r#"{{"jsonrpc":"2.0","id":1000042,"method":"m","params":{expected}}}"#);
            assert_eq!(text, expected.as_bytes());
        }
    }
}
