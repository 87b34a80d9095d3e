//! What holds for any frame and any bytes.

use bytes::BytesMut;
use proptest::prelude::*;
use trunkline_stomp::{Command, DecodeError, Decoder, Frame, FrameLimits, Version, encode};

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(Version::ALL.to_vec())
}

/// Text of every kind of character, many of which have to be escaped.
fn text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "\\", ":", "\n", "\r", " ", "é", "c", "n", "\\c", "\u{feff}",
    ]);
    prop_oneof![
        prop::collection::vec(odd, 0..8).prop_map(|parts| parts.concat()),
        "[ -~]{0,20}",
        "\\PC{0,10}",
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let headers = prop::collection::vec((text(), text()), 0..8);
    let body = prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..200)];
    (prop::sample::select(Command::ALL.to_vec()), headers, body).prop_map(
        |(command, headers, body)| {
            let mut frame = Frame::new(command);
            for (name, value) in headers {
                if !name.is_empty() && name != "content-length" {
                    frame.headers.push(name, value);
                }
            }
            if command.has_body() {
                frame = frame.with_body(body);
            }
            frame
        },
    )
}

/// Bytes made of the pieces that frames are made of, so that many are nearly frames.
fn nearly_frames() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        &b"SEND\n"[..],
        b"ACK\n",
        b"CONNECT\n",
        b"MESSAGE\r\n",
        b"SEND",
        b"destination:/queue/a\n",
        b"content-length:",
        b"3\n",
        b"0\n",
        b"receipt:1\n",
        b"a\\cb:c\\\\\n",
        b"\\t",
        b":",
        b"\\",
        b"\r",
        b"\n",
        b"\n\n",
        b"\0",
        b"abc\0",
        b"\xff",
        b"body",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

/// Frames up to a fault, whatever the pieces that bytes come in.
fn read(
    version: Option<Version>,
    bytes: &[u8],
    cuts: &[usize],
) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(FrameLimits::default());
    if let Some(version) = version {
        decoder.set_version(version);
    }
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let (mut input, mut frames, mut from) = (BytesMut::new(), Vec::new(), 0);
    for cut in cuts {
        input.extend_from_slice(&bytes[from..cut]);
        from = cut;
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// What a reader makes of a frame that was written for a version: 1.0 trims, and the length of
/// the body is added.
fn as_read(frame: &Frame, version: Version) -> Frame {
    let mut read = Frame::new(frame.command).with_body(frame.body.clone());
    for (name, value) in frame.headers.iter() {
        match version {
            Version::V1_0 => read.headers.push(name, value.trim_start_matches(' ')),
            _ => read.headers.push(name, value),
        }
    }
    if frame.command.has_body() {
        read.headers
            .push("content-length", frame.body.len().to_string());
    }
    read
}

proptest! {
    #[test]
    fn frames_read_as_they_were_written(
        frames in prop::collection::vec(frame(), 0..5),
        version in version(),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        let fitting = frames.into_iter().filter(|frame| frame.check(Some(version)).is_ok());
        let fitting: Vec<Frame> = fitting.collect();
        let mut bytes = Vec::new();
        for frame in &fitting {
            encode(&mut bytes, frame, Some(version));
        }
        let (read, error) = read(Some(version), &bytes, &cuts);
        prop_assert_eq!(error, None);
        let expected: Vec<Frame> = fitting.iter().map(|frame| as_read(frame, version)).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn whatever_is_written_is_one_frame(frame in frame(), version in prop::option::of(version())) {
        let mut bytes = Vec::new();
        encode(&mut bytes, &frame, version);
        let (read, error) = read(version, &bytes, &[]);
        prop_assert_eq!(error, None);
        prop_assert_eq!(read.len(), 1);
        let added = usize::from(frame.command.has_body());
        prop_assert_eq!(read[0].headers.len(), frame.headers.len() + added);
        prop_assert_eq!(&read[0].body, &frame.body);
    }

    #[test]
    fn pieces_make_no_difference(
        bytes in prop_oneof![nearly_frames(), prop::collection::vec(any::<u8>(), 0..100)],
        version in prop::option::of(version()),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        let (whole, error) = read(version, &bytes, &[]);
        let (pieces, same) = read(version, &bytes, &cuts);
        prop_assert_eq!(whole, pieces);
        prop_assert_eq!(error, same);
    }
}
