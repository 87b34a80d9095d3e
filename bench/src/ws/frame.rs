//! WebSocket frames (RFC 6455 §5.2), as much of them as a load generator needs: no fragments, no
//! extensions, no allocation.

use std::ops::Range;

use anyhow::{Result, bail};

use crate::net::ReadBuffer;

/// Longest frame that is believed; a longer one means that the two ends have lost step.
const PAYLOAD_BYTES_MAX: u64 = 64 << 20;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    /// A whole text message.
    Text,
    /// The end of the connection, with a code and a reason.
    Close,
    /// To be answered by a pong.
    Ping,
    /// The answer to a ping; ignored.
    Pong,
}

impl Opcode {
    const fn bits(self) -> u8 {
        match self {
            Opcode::Text => 0x1,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xA,
        }
    }

    fn from_bits(bits: u8) -> Result<Opcode> {
        Ok(match bits {
            0x1 => Opcode::Text,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => {
                bail!("a WebSocket frame with opcode {bits:#x}, which this generator doesn't read")
            }
        })
    }
}

/// A frame found at the start of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: Opcode,
    /// Where the payload lies; its end is where the next frame begins.
    pub(crate) payload: Range<usize>,
    /// Set if the payload still has to be unmasked.
    pub(crate) mask: Option<[u8; 4]>,
}

/// Finds the frame at the start of `bytes`; `None` if not all of it has arrived.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Frame>> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & 0xF0 != FIN {
        bail!("a fragmented or extended WebSocket frame, which this generator doesn't read");
    }
    let opcode = Opcode::from_bits(first & 0x0F)?;
    let (length, mut at) = match second & !MASKED {
        126 => match rest.first_chunk::<2>() {
            Some(wide) => (u64::from(u16::from_be_bytes(*wide)), 4),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(wide) => (u64::from_be_bytes(*wide), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    if length > PAYLOAD_BYTES_MAX {
        bail!("a WebSocket frame of {length} bytes");
    }
    let mask = if second & MASKED == 0 {
        None
    } else {
        let Some(key) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) else {
            return Ok(None);
        };
        at += 4;
        Some(*key)
    };
    let end = at + length as usize;
    if end > bytes.len() {
        return Ok(None);
    }
    Ok(Some(Frame {
        opcode,
        payload: at..end,
        mask,
    }))
}

/// Takes the next whole frame out of `buffer`; its payload is unmasked and stays where it is until
/// more is read.
pub(crate) fn take(buffer: &mut ReadBuffer) -> Result<Option<(Opcode, Range<usize>)>> {
    let Some(frame) = decode(buffer.arrived())? else {
        return Ok(None);
    };
    let whole = buffer.take(frame.payload.end);
    let payload = whole.start + frame.payload.start..whole.end;
    if let Some(key) = frame.mask {
        apply_mask(buffer.taken_mut(payload.clone()), key);
    }
    Ok(Some((frame.opcode, payload)))
}

/// Appends one frame to `out`, masked if a key is given (clients must mask, servers must not).
pub(crate) fn encode(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    let masked = if mask.is_some() { MASKED } else { 0 };
    out.push(FIN | opcode.bits());
    match payload.len() {
        short @ ..=125 => out.push(masked | short as u8),
        medium @ 126..=0xFFFF => {
            out.push(masked | 126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(masked | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    match mask {
        None => out.extend_from_slice(payload),
        Some(key) => {
            out.extend_from_slice(&key);
            let start = out.len();
            out.extend_from_slice(payload);
            apply_mask(&mut out[start..], key);
        }
    }
}

/// Masks or unmasks in place (RFC 6455 §5.3), eight bytes at a time.
pub(crate) fn apply_mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_6455_section_5_7() {
        let mut out = Vec::new();
        encode(&mut out, Opcode::Text, b"Hello", None);
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);

        out.clear();
        encode(
            &mut out,
            Opcode::Text,
            b"Hello",
            Some([0x37, 0xfa, 0x21, 0x3d]),
        );
        assert_eq!(
            out,
            [
                0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58
            ]
        );

        out.clear();
        encode(&mut out, Opcode::Ping, &[0; 256], None);
        assert_eq!(out[..4], [0x89, 0x7E, 0x01, 0x00]);
    }

    #[test]
    fn every_length_form_survives_the_round_trip_and_every_cut() {
        for length in [0, 1, 125, 126, 300, 0xFFFF, 0x1_0000, 200_000] {
            let payload: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            for mask in [None, Some([1, 2, 3, 4])] {
                let mut out = Vec::new();
                encode(&mut out, Opcode::Text, &payload, mask);
                for cut in (0..out.len()).take(20) {
                    assert_eq!(decode(&out[..cut]).unwrap(), None, "{length} cut at {cut}");
                }
                assert_eq!(decode(&out[..out.len() - 1]).unwrap(), None);

                let end = out.len();
                out.extend_from_slice(b"the next frame");
                let frame = decode(&out).unwrap().unwrap();
                assert_eq!((frame.opcode, frame.mask), (Opcode::Text, mask));
                assert_eq!(frame.payload.end, end);
                if let Some(key) = mask {
                    apply_mask(&mut out[frame.payload.clone()], key);
                }
                assert_eq!(out[frame.payload], payload);
            }
        }
    }

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let mut wire = Vec::new();
        let payloads: Vec<Vec<u8>> = (0..200).map(|n| vec![n as u8; n * 97]).collect();
        for payload in &payloads {
            encode(&mut wire, Opcode::Text, payload, Some([9, 8, 7, 6]));
        }
        for step in [1_000, 4_096, 65_537, wire.len()] {
            let mut buffer = ReadBuffer::new();
            let mut seen = Vec::new();
            for mut piece in wire.chunks(step) {
                while !piece.is_empty() {
                    buffer.fill(&mut piece).unwrap();
                    while let Some((opcode, payload)) = take(&mut buffer).unwrap() {
                        assert_eq!(opcode, Opcode::Text);
                        seen.push(buffer.taken(payload).to_vec());
                    }
                }
            }
            assert_eq!(seen, payloads, "in steps of {step}");
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        for (bytes, why) in [
            (&[0x01, 0x00][..], "fragment"),
            (&[0xC1, 0x00], "extension bit"),
            (&[0x82, 0x00], "binary"),
            (
                &[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255],
                "length",
            ),
        ] {
            assert!(decode(bytes).is_err(), "{why}");
        }
    }
}
