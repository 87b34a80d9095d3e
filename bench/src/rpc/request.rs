//! Requests that are written once and then only change their id.

use crate::load::Slot;

/// Ids all have the same number of digits, so that a new one is patched in place.
const ID_BASE: u32 = 1_000_000;
const ID_DIGITS: usize = 7;

/// A request whose id is the slot that waits for its answer.
pub(crate) struct Request {
    text: Vec<u8>,
    id_at: usize,
}

impl Request {
    /// `params` is JSON text.
    pub(crate) fn new(method: &str, params: &str) -> Request {
        Request::between(
            r#"{"jsonrpc":"2.0","id":"#,
            &format!(r#","method":"{method}","params":{params}}}"#),
        )
    }

    /// With the id between `head` and `tail`, whatever is spoken.
    pub(crate) fn between(head: &str, tail: &str) -> Request {
        Request {
            text: format!("{head}{ID_BASE}{tail}").into_bytes(),
            id_at: head.len(),
        }
    }

    /// The request with the id of `slot`, which must be below 9,000,000.
    pub(crate) fn with_id(&mut self, slot: Slot) -> &[u8] {
        let mut rest = ID_BASE + slot;
        for digit in self.text[self.id_at..self.id_at + ID_DIGITS]
            .iter_mut()
            .rev()
        {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        &self.text
    }
}

/// The slot that an id stands for, if this generator made it.
pub(crate) fn slot_of_id(id: u64) -> Option<Slot> {
    u32::try_from(id).ok()?.checked_sub(ID_BASE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_id_changes() {
        let mut request = Request::new("m", "[]");
        for (slot, id) in [(0, "1000000"), (7, "1000007"), (123_456, "1123456")] {
            let expected = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m","params":[]}}"#);
            assert_eq!(request.with_id(slot), expected.as_bytes());
            assert_eq!(slot_of_id(id.parse().unwrap()), Some(slot));
        }
        assert_eq!(slot_of_id(5), None);
    }
}
