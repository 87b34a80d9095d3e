//! Frames that are masked once and then only change in a few places.

use std::ops::Range;

use super::frame::{self, Opcode};

/// The key of every template. A fixed one is fine for a peer that is no browser: a key only has
/// to keep what a page sends from looking like HTTP to a proxy.
const KEY: [u8; 4] = 0x9E37_79B9_u32.to_ne_bytes();

/// A masked text frame with holes of fixed width, which costs one copy to send.
pub(crate) struct Template {
    frame: Vec<u8>,
    /// Where the payload starts: there the mask starts too.
    payload_at: usize,
    holes: Vec<Range<usize>>,
}

impl Template {
    /// A frame of `parts`, with a hole of `widths[n]` bytes after part `n`.
    pub(crate) fn new(parts: &[&[u8]], widths: &[usize]) -> Template {
        let mut text = Vec::new();
        let mut holes = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            text.extend_from_slice(part);
            if let Some(&width) = widths.get(number) {
                holes.push(text.len()..text.len() + width);
                text.resize(text.len() + width, b'0');
            }
        }
        let mut frame = Vec::new();
        frame::encode(&mut frame, Opcode::Text, &text, Some(KEY));
        let payload_at = frame.len() - text.len();
        for hole in &mut holes {
            *hole = hole.start + payload_at..hole.end + payload_at;
        }
        Template {
            frame,
            payload_at,
            holes,
        }
    }

    /// How many bytes go into hole `number`.
    pub(crate) fn width(&self, number: usize) -> usize {
        self.holes[number].len()
    }

    /// Fills hole `number`; `content` must be as wide.
    pub(crate) fn fill(&mut self, number: usize, content: &[u8]) {
        let hole = self.holes[number].clone();
        let key = KEY.iter().cycle().skip((hole.start - self.payload_at) % 4);
        for ((to, from), key) in self.frame[hole].iter_mut().zip(content).zip(key) {
            *to = from ^ key;
        }
    }

    /// The whole frame, as it goes over the wire.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_template_is_the_frame_of_its_text() {
        for tail in [1, 60, 300, 70_000] {
            let tail = "z".repeat(tail);
            let mut template = Template::new(&[b"ab", b"-", tail.as_bytes()], &[3, 5]);
            for (first, second) in [("123", "vwxyz"), ("456", "VWXYZ")] {
                template.fill(0, first.as_bytes());
                template.fill(1, second.as_bytes());
                let text = format!("ab{first}-{second}{tail}");
                let mut expected = Vec::new();
                frame::encode(&mut expected, Opcode::Text, text.as_bytes(), Some(KEY));
                assert!(template.frame() == expected, "{text}");
                assert_eq!((template.width(0), template.width(1)), (3, 5));
            }
        }
    }
}
