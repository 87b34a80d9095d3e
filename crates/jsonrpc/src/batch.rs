//! The answer to a batch.

/// Collects the answers to a batch in the order in which they come, into one array.
#[derive(Debug, Default)]
pub struct BatchAnswer {
    text: Vec<u8>,
}

impl BatchAnswer {
    /// An answer with no entries yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The buffer to append exactly one answer to, by one of the `encode_` functions.
    pub fn entry(&mut self) -> &mut Vec<u8> {
        self.text
            .push(if self.text.is_empty() { b'[' } else { b',' });
        &mut self.text
    }

    /// Bytes collected so far: what a bound on the outgoing buffer must count.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The array; `None` if the batch had notifications only, and so isn't answered at all.
    #[must_use]
    pub fn finish(mut self) -> Option<Vec<u8>> {
        if self.text.is_empty() {
            return None;
        }
        self.text.push(b']');
        Some(self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Integer, encode_result};

    #[test]
    fn no_answers_are_no_frame() {
        assert_eq!(BatchAnswer::new().finish(), None);
    }

    #[test]
    fn answers_are_one_array() {
        let mut answer = BatchAnswer::new();
        for id in 1..=2 {
            encode_result(answer.entry(), Integer::from_unsigned(id).as_id(), b"true");
        }
        assert_eq!(
            answer.finish().expect("two answers"),
            br#"[{"jsonrpc":"2.0","id":1,"result":true},{"jsonrpc":"2.0","id":2,"result":true}]"#
        );
    }
}
