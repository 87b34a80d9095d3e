//! The inside of strings, looked at many bytes at a time.

/// Bytes that are looked at together in long text; the compiler makes vector instructions of it.
const BLOCK: usize = 32;
/// Bytes that are looked at together in short text: most names and ids end within two words.
const WORD: usize = 8;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The index of the first byte of `bytes` that a JSON string can't have as it is: a quote, a
/// backslash or what is below 0x20.
#[inline]
pub(crate) fn first_special(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for _ in 0..2 {
        let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) else {
            return in_tail(bytes, at);
        };
        if let Some(found) = in_word(*word) {
            return Some(at + found);
        }
        at += WORD;
    }
    in_blocks(bytes, at)
}

/// The same from `at`, for text that turned out to be long.
#[inline]
fn in_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    let (blocks, _) = bytes[at..].as_chunks::<BLOCK>();
    at += blocks.iter().take_while(|block| is_clean(block)).count() * BLOCK;
    let (words, _) = bytes[at..].as_chunks::<WORD>();
    for word in words {
        if let Some(found) = in_word(*word) {
            return Some(at + found);
        }
        at += WORD;
    }
    in_tail(bytes, at)
}

fn in_tail(bytes: &[u8], at: usize) -> Option<usize> {
    let found = bytes[at..].iter().position(|byte| is_special(*byte));
    found.map(|found| at + found)
}

fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// No early end: that is what lets all bytes be compared at once.
#[inline]
fn is_clean(block: &[u8; BLOCK]) -> bool {
    !block
        .iter()
        .fold(false, |found, byte| found | is_special(*byte))
}

/// The index of the first special byte of a word.
///
/// `x - n·0x01…` sets the high bit of every byte below `n` that has none, and of no other byte
/// below the first of these: a borrow can only start there. So the lowest bit found is right.
/// With 2 flipped, the quote (0x22) is 0x20 and space (0x20) is 0x22: one comparison with 0x21
/// finds quote and control characters. The backslash is 0 after xor with itself.
#[inline]
fn in_word(word: [u8; WORD]) -> Option<usize> {
    let x = u64::from_le_bytes(word);
    let quote_or_control = (x ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (x ^ (ONES * 0x5c)).wrapping_sub(ONES);
    let found = (quote_or_control | backslash) & !x & HIGHS;
    (found != 0).then_some(found.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_found_or_not_as_it_should() {
        for length in [0, 1, 7, 8, 9, 15, 16, 17, 31, 47, 48, 49, 80, 119] {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    for around in [b' ', b'a', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff] {
                        let mut text = vec![around; length];
                        text[place] = byte;
                        let expected = is_special(byte).then_some(place);
                        assert_eq!(first_special(&text), expected, "{byte} at {place}");
                    }
                }
            }
        }
    }

    #[test]
    fn of_two_the_first_counts() {
        for (first, second) in [(b'"', b'\\'), (b'\\', b'"'), (0, b'"'), (b'"', 0x1f)] {
            for place in 0..70 {
                let mut text = vec![b'!'; 80];
                (text[place], text[place + 1]) = (first, second);
                text[79] = second;
                assert_eq!(first_special(&text), Some(place));
            }
        }
    }
}
