//! Frames of STOMP, whole and in pieces.

use bytes::BytesMut;
use trunkline_stomp::{DecodeError, Decoder, Frame, FrameLimits, Version, encode};

/// The first byte says the version (0 to 3) and the limits (4: small ones, 8: bodies everywhere), the
/// second how the rest is split.
///
/// # Panics
/// If pieces make a difference, if more is kept than the limits allow, or if a frame is not read as it is
/// written.
pub fn stomp_decoder(input: &[u8]) {
    let [how, seed, bytes @ ..] = input else {
        return;
    };
    let version = [
        None,
        Some(Version::V1_0),
        Some(Version::V1_1),
        Some(Version::V1_2),
    ][usize::from(how & 3)];
    let mut limits = FrameLimits::default();
    if how & 4 != 0 {
        limits = FrameLimits {
            command_bytes_max: 16,
            header_line_bytes_max: 24,
            headers_max: 3,
            headers_bytes_max: 48,
            body_bytes_max: 16,
            ignore_stray_bodies: false,
        };
    }
    limits.ignore_stray_bodies = how & 8 != 0;
    let whole = read(version, &limits, [bytes]);
    assert_eq!(whole, read(version, &limits, bytes.chunks(1)), "by bytes");
    let pieces = split(bytes, *seed);
    assert_eq!(whole, read(version, &limits, pieces), "in pieces");
    for frame in &whole.0 {
        written_again(frame, version, &limits);
    }
}

/// Frames up to a fault.
fn read<'a>(
    version: Option<Version>,
    limits: &FrameLimits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(limits.clone());
    if let Some(version) = version {
        decoder.set_version(version);
    }
    let mut input = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    let again = decoder.decode(&mut input);
                    assert_eq!(again.as_ref(), Err(&error), "it stays broken");
                    return (frames, Some(error));
                }
            }
        }
        assert!(input.len() <= waiting_max(limits), "it waits for too much");
    }
    for frame in &frames {
        within(frame, limits);
    }
    (frames, None)
}

/// The longest beginning of a frame that may be left: a line with CR LF, or a body.
pub(crate) fn waiting_max(limits: &FrameLimits) -> usize {
    let line = limits.command_bytes_max.max(limits.header_line_bytes_max);
    line.max(limits.body_bytes_max) + 1
}

fn within(frame: &Frame, limits: &FrameLimits) {
    assert!(frame.headers.len() <= limits.headers_max);
    assert!(frame.body.len() <= limits.body_bytes_max);
    let headers = frame.headers.iter();
    let bytes: usize = headers
        .map(|(name, value)| name.len() + value.len() + 1)
        .sum();
    assert!(bytes <= limits.headers_bytes_max);
}

/// What was read can be written, and is then read as the same.
fn written_again(frame: &Frame, version: Option<Version>, limits: &FrameLimits) {
    if frame.check(version).is_err() {
        return;
    }
    let mut bytes = Vec::new();
    encode(&mut bytes, frame, version);
    // Escapes and `content-length` may make it longer than it was.
    let larger = FrameLimits {
        headers_max: limits.headers_max + 1,
        header_line_bytes_max: 2 * limits.header_line_bytes_max + 32,
        headers_bytes_max: 2 * limits.headers_bytes_max + 64,
        ..limits.clone()
    };
    let (frames, error) = read(version, &larger, [&bytes[..]]);
    assert_eq!(error, None, "{frame:?}");
    let [again] = &frames[..] else {
        panic!("{frame:?} was read as {frames:?}");
    };
    assert_eq!(again.command, frame.command);
    assert_eq!(again.body, frame.body);
    let others = |frame: &Frame| {
        let headers = frame.headers.iter();
        let others = headers.filter(|(name, _)| *name != "content-length");
        others
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(others(again), others(frame));
}

/// Pieces of one to 16 bytes, as a seed says.
fn split(bytes: &[u8], seed: u8) -> Vec<&[u8]> {
    let (mut rest, mut state) = (bytes, u32::from(seed));
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = ((state >> 24) as usize % 16 + 1).min(rest.len());
        let (piece, after) = rest.split_at(length);
        pieces.push(piece);
        rest = after;
    }
    pieces
}
