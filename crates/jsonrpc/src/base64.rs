//! Base64 (RFC 4648 §4: the standard alphabet, padded).

use bytes::BufMut;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value of every byte of the alphabet, and [`NONE`] for the others.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < 64 {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
};
const NONE: u8 = 0xff;

/// Text that isn't base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Base64Error {
    /// The length isn't a multiple of four.
    #[error("base64 must be padded with \"=\" to a multiple of four characters")]
    Length,
    /// A character that isn't of the alphabet, or padding before the end.
    #[error("character {0} is not of the standard base64 alphabet")]
    Character(
        /// Its place, from 0.
        usize,
    ),
    /// The bits after the last byte aren't zero: another text is the encoding of these bytes.
    #[error("the last character has stray bits")]
    StrayBits,
}

/// Appends `bytes` in base64.
pub fn write_base64<B: BufMut>(out: &mut B, bytes: &[u8]) {
    let (triples, rest) = bytes.as_chunks::<3>();
    for triple in triples {
        out.put_slice(&encode_triple(*triple));
    }
    match *rest {
        [a] => {
            let [x, y, ..] = encode_triple([a, 0, 0]);
            out.put_slice(&[x, y, b'=', b'=']);
        }
        [a, b] => {
            let [x, y, z, _] = encode_triple([a, b, 0]);
            out.put_slice(&[x, y, z, b'=']);
        }
        _ => {}
    }
}

fn encode_triple([a, b, c]: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_be_bytes([0, a, b, c]);
    [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 63) as usize])
}

/// The bytes that `text` encodes.
///
/// # Errors
/// Anything but the one text that [`write_base64`] makes of these bytes.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, Base64Error> {
    let (quads, rest) = text.as_bytes().as_chunks::<4>();
    if !rest.is_empty() {
        return Err(Base64Error::Length);
    }
    let Some((last, body)) = quads.split_last() else {
        return Ok(Vec::new());
    };
    let mut out = Vec::with_capacity(quads.len() * 3);
    for (index, quad) in body.iter().enumerate() {
        let [_, a, b, c] = decode_quad(*quad, index * 4)?.to_be_bytes();
        out.extend_from_slice(&[a, b, c]);
    }
    decode_last(*last, body.len() * 4, &mut out)?;
    Ok(out)
}

/// The 24 bits of four characters, of which the first is the text's character `at`.
fn decode_quad(quad: [u8; 4], at: usize) -> Result<u32, Base64Error> {
    let values = quad.map(|byte| VALUES[usize::from(byte)]);
    if let Some(place) = values.iter().position(|&value| value == NONE) {
        return Err(Base64Error::Character(at + place));
    }
    Ok(values
        .iter()
        .fold(0, |bits, &value| bits << 6 | u32::from(value)))
}

/// The last four characters, which may be padded.
fn decode_last(mut quad: [u8; 4], at: usize, out: &mut Vec<u8>) -> Result<(), Base64Error> {
    let padding = match quad {
        [_, _, b'=', b'='] => 2,
        [_, _, _, b'='] => 1,
        _ => 0,
    };
    quad[4 - padding..].fill(b'A');
    let [_, bytes @ ..] = decode_quad(quad, at)?.to_be_bytes();
    let (kept, stray) = bytes.split_at(3 - padding);
    if stray.iter().any(|&byte| byte != 0) {
        return Err(Base64Error::StrayBits);
    }
    out.extend_from_slice(kept);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_base64(&mut out, bytes);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encoded(bytes.as_bytes()), text);
            assert_eq!(decode_base64(text).as_deref(), Ok(bytes.as_bytes()));
        }
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for (text, error) in [
            ("Zg", Base64Error::Length),
            ("Zg=", Base64Error::Length),
            ("Zg==\n", Base64Error::Length),
            ("====", Base64Error::Character(0)),
            ("Z===", Base64Error::Character(1)),
            ("Zg==Zm9v", Base64Error::Character(2)),
            ("Zm9vZm-v", Base64Error::Character(6)),
            ("Zm9é", Base64Error::Length),
            ("Zmé", Base64Error::Character(2)),
            ("Zh==", Base64Error::StrayBits),
            ("Zm9=", Base64Error::StrayBits),
        ] {
            assert_eq!(decode_base64(text), Err(error), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_come_back(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            proptest::prop_assert_eq!(decode_base64(&encoded(&bytes)), Ok(bytes));
        }
    }
}
