//! Frames, byte for byte. The numbers are those of the conformance cases.

use bytes::BytesMut;
use trunkline_stomp::{Command, DecodeError, Decoder, Fault, Frame, FrameLimits, Version, encode};

/// Bytes to frames, in one piece.
fn decode(version: Option<Version>, bytes: &[u8]) -> Result<Vec<Frame>, DecodeError> {
    decode_within(&FrameLimits::default(), version, &[bytes])
}

fn decode_within(
    limits: &FrameLimits,
    version: Option<Version>,
    pieces: &[&[u8]],
) -> Result<Vec<Frame>, DecodeError> {
    let mut decoder = Decoder::new(limits.clone());
    if let Some(version) = version {
        decoder.set_version(version);
    }
    let (mut input, mut frames) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Some(frame) = decoder.decode(&mut input)? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn fault(version: Option<Version>, bytes: &[u8]) -> Fault {
    match decode(version, bytes) {
        Err(error) => error.fault,
        Ok(frames) => panic!("{frames:?}"),
    }
}

fn pairs(frame: &Frame) -> Vec<(&str, &str)> {
    frame.headers.iter().collect()
}

const LAST: Option<Version> = Some(Version::V1_2);

#[test]
fn case_06_a_sized_body_may_hold_nuls() {
    let frames = decode(
        LAST,
        b"SEND\ndestination:/queue/a\ncontent-length:3\n\na\0b\0\n",
    )
    .unwrap();
    assert_eq!(frames.len(), 1);
    assert_eq!(&frames[0].body[..], b"a\0b");
}

#[test]
fn case_06_a_body_without_length_ends_at_the_nul() {
    let frames = decode(LAST, b"SEND\n\nab\0SEND\n\n\0").unwrap();
    assert_eq!(frames.len(), 2);
    assert_eq!(&frames[0].body[..], b"ab");
    assert!(frames[1].body.is_empty());
}

#[test]
fn case_06_lines_may_end_with_cr_lf() {
    for version in Version::ALL {
        let frames = decode(
            Some(version),
            b"SEND\r\na:b\r\n\r\nx\r\n\0\r\n\n\r\nACK\n\n\0",
        )
        .unwrap();
        assert_eq!(frames.len(), 2, "{version}");
        assert_eq!(pairs(&frames[0]), [("a", "b")]);
        assert_eq!(&frames[0].body[..], b"x\r\n");
    }
}

#[test]
fn case_06_a_frame_may_come_in_any_pieces() {
    let bytes =
        b"\n\r\nSEND\r\na:b\\nc\ncontent-length:4\n\n\0a\r\n\0\r\n\nACK\nid:1\n\n\0\nSEND\n\nab\0";
    let whole = decode(LAST, bytes).unwrap();
    assert_eq!(whole.len(), 3);
    let limits = FrameLimits::default();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(decode_within(&limits, LAST, &pieces).unwrap(), whole);
        }
    }
    let singly: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode_within(&limits, LAST, &singly).unwrap(), whole);
}

#[test]
fn case_06_thousands_of_frames_come_in_one_read() {
    let bytes = b"SEND\ndestination:/queue/a\n\nhello\0\n".repeat(10_000);
    let frames = decode(LAST, &bytes).unwrap();
    assert_eq!(frames.len(), 10_000);
    assert!(frames.iter().all(|frame| &frame.body[..] == b"hello"));
}

#[test]
fn case_06_heart_beats_take_no_memory() {
    let mut decoder = Decoder::new(FrameLimits::default());
    let mut input = BytesMut::new();
    for piece in [&b"\n\n\n\r\n"[..], b"\r", b"\n\n"] {
        input.extend_from_slice(piece);
        assert_eq!(decoder.decode(&mut input), Ok(None));
        assert!(input.len() <= 1 && !decoder.is_within_frame());
    }
}

#[test]
fn case_07_headers_are_escaped_by_version() {
    let frame = Frame::new(Command::Send).with("a:b\nc\\d", "e:f\ng\\h");
    for version in [Version::V1_1, Version::V1_2] {
        let mut out = Vec::new();
        encode(&mut out, &frame, Some(version));
        assert!(out.starts_with(b"SEND\na\\cb\\nc\\\\d:e\\cf\\ng\\\\h\n"));
        let read = decode(Some(version), &out).unwrap();
        assert_eq!(pairs(&read[0])[0], ("a:b\nc\\d", "e:f\ng\\h"));
    }
    let carriage_return = Frame::new(Command::Send).with("a", "\r");
    assert!(carriage_return.check(Some(Version::V1_2)).is_ok());
    assert!(carriage_return.check(Some(Version::V1_1)).is_err());
}

#[test]
fn case_07_colons_are_kept_in_values_of_1_0() {
    let frames = decode(Some(Version::V1_0), b"SEND\na:  b:c\\n \n\n\0").unwrap();
    assert_eq!(pairs(&frames[0]), [("a", "b:c\\n ")]);
    // Later versions don't trim; a bare colon is let pass.
    let frames = decode(LAST, b"SEND\na: b:c\n\n\0").unwrap();
    assert_eq!(pairs(&frames[0]), [("a", " b:c")]);
}

#[test]
fn no_value_can_become_a_header_or_a_frame() {
    let frame = Frame::new(Command::Message).with("a", "1\nb:2\r\n\n\0SEND");
    for version in [None, Some(Version::V1_0), Some(Version::V1_1), LAST] {
        let mut out = Vec::new();
        encode(&mut out, &frame, version);
        let frames = decode(version, &out).unwrap();
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].headers.len(), 2, "{version:?}");
    }
}

#[test]
fn case_23_undefined_escapes_are_refused() {
    for (version, escape, refused) in [
        (Version::V1_0, "\\t", false),
        (Version::V1_1, "\\t", true),
        (Version::V1_2, "\\t", true),
        (Version::V1_1, "\\r", true),
        (Version::V1_2, "\\r", false),
        (Version::V1_2, "\\", true),
    ] {
        let bytes = format!("SEND\na:1{escape}\nreceipt:7\n\n\0");
        match decode(Some(version), bytes.as_bytes()) {
            Ok(_) => assert!(!refused, "{version} {escape}"),
            Err(error) => {
                assert!(refused, "{version} {escape}");
                assert!(matches!(error.fault, Fault::UndefinedEscape { .. }));
                assert_eq!(error.receipt.as_deref(), Some("7"));
            }
        }
    }
}

#[test]
fn case_23_connect_is_never_escaped() {
    for version in [None, LAST] {
        let frames = decode(version, b"CONNECT\npasscode:a\\cb\\t:c\n\n\0").unwrap();
        assert_eq!(frames[0].get("passcode"), Some("a\\cb\\t:c"));
    }
}

#[test]
fn case_24_the_first_of_repeated_headers_counts_and_all_are_kept() {
    let bytes = b"SEND\na:1\na:2\ncontent-length:1\ncontent-length:9\n\nx\0";
    let frames = decode(LAST, bytes).unwrap();
    assert_eq!(frames[0].get("a"), Some("1"));
    let expected = [
        ("a", "1"),
        ("a", "2"),
        ("content-length", "1"),
        ("content-length", "9"),
    ];
    assert_eq!(pairs(&frames[0]), expected);
}

/// Limits small enough to be written out.
fn narrow() -> FrameLimits {
    FrameLimits {
        command_bytes_max: 11,
        header_line_bytes_max: 10,
        headers_max: 4,
        headers_bytes_max: 30,
        body_bytes_max: 5,
        ignore_stray_bodies: false,
    }
}

#[test]
fn case_28_what_is_at_a_limit_passes_and_one_more_does_not() {
    use Fault::*;
    let (command, line, count, all, body) = (
        CommandTooLong { max: 11 },
        HeaderTooLong { max: 10 },
        TooManyHeaders { max: 4 },
        HeadersTooLong { max: 30 },
        BodyTooLarge { max: 5 },
    );
    for (bytes, expected) in [
        ("UNSUBSCRIBE\r\n\n\0", None),
        ("UNSUBSCRIBES", None),
        ("UNSUBSCRIBESS", Some(&command)),
        ("UNSUBSCRIBES\n", Some(&command)),
        ("SEND\na:23456789\r\n\n\0", None),
        ("SEND\na:23456789", None),
        ("SEND\na:234567890x", Some(&line)),
        ("SEND\na:234567890\n", Some(&line)),
        ("SEND\na:\nb:\nc:\nd:\n\n\0", None),
        ("SEND\na:\nb:\nc:\nd:\ne:\n", Some(&count)),
        ("SEND\na:23456789\na:23456789\na:23456789\n\n\0", None),
        ("SEND\na:23456789\na:23456789\na:2345678\na:\n", Some(&all)),
        ("SEND\n\n12345\0", None),
        ("SEND\n\n123456", Some(&body)),
        ("SEND\n\n123456\0", Some(&body)),
    ] {
        let read = decode_within(&narrow(), LAST, &[bytes.as_bytes()]);
        let found = read.err().map(|error| error.fault);
        assert_eq!(found.as_ref(), expected, "{bytes:?}");
    }
    // At once, whether or not the body ever comes.
    let limits = FrameLimits {
        header_line_bytes_max: 40,
        headers_bytes_max: 40,
        ..narrow()
    };
    for (length, fault) in [
        ("5", None),
        ("6", Some(body.clone())),
        ("99999999999999999999999", Some(body.clone())),
    ] {
        let bytes = format!("SEND\ncontent-length:{length}\n\n");
        let read = decode_within(&limits, LAST, &[bytes.as_bytes()]);
        assert_eq!(read.err().map(|error| error.fault), fault);
    }
}

#[test]
fn case_28_a_flood_keeps_no_more_than_the_limits() {
    let limits = FrameLimits::default();
    for (start, flood) in [
        (&b"SEND\n"[..], &b"abcdefgh"[..]),
        (b"SEND\n", b"a:b\n"),
        (b"", b"X"),
        (b"SEND\n\n", b"body"),
        (b"", b"\r\n"),
    ] {
        let mut decoder = Decoder::new(limits.clone());
        let mut input = BytesMut::from(start);
        let (mut kept, mut fed) = (0, 0);
        while fed < 20 << 20 {
            input.extend_from_slice(&flood.repeat(4_096));
            fed += flood.len() * 4_096;
            if decoder.decode(&mut input).is_err() {
                break;
            }
            kept = kept.max(input.len());
        }
        let max = if start.len() == 6 {
            limits.body_bytes_max
        } else {
            64 << 10
        };
        assert!(kept <= max, "{kept} bytes of {flood:?}");
    }
}

#[test]
fn case_28_the_end_of_a_body_must_be_where_its_length_says() {
    let found = fault(LAST, b"SEND\ncontent-length:2\n\nabc\0");
    assert_eq!(found, Fault::LengthMismatch { length: 2 });
    for length in ["-1", "", "1x", " 1", "+1", "0x1"] {
        let bytes = format!("SEND\ncontent-length:{length}\n\na\0");
        assert!(matches!(
            fault(LAST, bytes.as_bytes()),
            Fault::BadContentLength(_)
        ));
    }
}

#[test]
fn what_is_not_a_frame_is_named() {
    let send = |rest: &str| format!("SEND\n{rest}").into_bytes();
    for (bytes, text) in [
        (
            send("abc\n"),
            r#"the header line that begins with "abc" has no colon; headers are name:value and end with an empty line"#,
        ),
        (
            send(":b\n"),
            r#"a header line begins with its colon; headers are name:value"#,
        ),
        (
            send("a\0"),
            "a NUL among the headers; an empty line ends them, then comes the body, then the NUL",
        ),
        (
            b"SEND\na:\xff\n\n\0".to_vec(),
            "the header line that begins with \"a\" is not UTF-8; encode it",
        ),
        (
            b"SEND\n\xff:b\n\n\0".to_vec(),
            "the header line that begins with \"\" is not UTF-8; encode it",
        ),
        (
            b"send\n\n\0".to_vec(),
            r#"unknown command "send"; commands are written in upper case and without blanks"#,
        ),
        (
            b"ACK\nid:1\n\nx".to_vec(),
            "ACK with a body; only SEND, MESSAGE and ERROR have one",
        ),
        (
            b"ACK\ncontent-length:1\n\n".to_vec(),
            "ACK with a body; only SEND, MESSAGE and ERROR have one",
        ),
    ] {
        assert_eq!(fault(LAST, &bytes).to_string(), text);
    }
}

#[test]
fn an_unknown_command_is_refused_at_once_unless_a_receipt_may_follow() {
    let error = decode(None, b"GET / HTTP/1.1\r\n").unwrap_err();
    assert!(matches!(error.fault, Fault::UnknownCommand(_)));
    assert_eq!(decode(LAST, b"JUMP\nreceipt:1\n").unwrap(), []);
    let error = decode(LAST, b"JUMP\nreceipt:1\n\n").unwrap_err();
    assert_eq!(error.receipt.as_deref(), Some("1"));
}

#[test]
fn nothing_is_read_after_a_fault() {
    let mut decoder = Decoder::new(FrameLimits::default());
    let first = decoder.decode(&mut BytesMut::from(&b"HELLO\n"[..]));
    let second = decoder.decode(&mut BytesMut::from(&b"CONNECT\n\n\0"[..]));
    assert!(first.is_err());
    assert_eq!(first, second);
}

#[test]
fn stray_bodies_can_be_let_pass() {
    let limits = FrameLimits {
        ignore_stray_bodies: true,
        ..FrameLimits::default()
    };
    let bytes = b"ACK\nid:1\n\nx\0BEGIN\ncontent-length:1\n\n\0\0";
    let frames = decode_within(&limits, LAST, &[bytes]).unwrap();
    assert_eq!(frames.len(), 2);
    assert!(frames.iter().all(|frame| frame.body.is_empty()));
}

#[test]
fn case_30_odd_frames_of_clients_are_taken() {
    let bytes =
        b"CONNECT\nlogin:a\\cb\naccept-version:1.0,1.1,1.2\nheart-beat:0,0\ncontent-length:0\n\n\0";
    let frames = decode(None, bytes).unwrap();
    assert_eq!(frames[0].get("login"), Some("a\\cb"));
    let bytes = b"SUBSCRIBE\nbody:\nid:1\ndestination:/queue/a\ncontent-length:0\n\n\0";
    let frames = decode(LAST, bytes).unwrap();
    assert_eq!(frames[0].get("body"), Some(""));
}

#[test]
fn bodies_share_the_memory_of_what_was_read() {
    let mut input = BytesMut::from(&b"SEND\ncontent-length:8\n\nabcdefgh\0"[..]);
    let place = input.as_ptr().addr() + 23;
    let mut decoder = Decoder::new(FrameLimits::default());
    let frame = decoder.decode(&mut input).unwrap().unwrap();
    assert_eq!(frame.body.as_ptr().addr(), place);
}

#[test]
fn debug_text_shows_no_secret() {
    let frame = Frame::new(Command::Connect)
        .with("passcode", "secret")
        .with_body("secret");
    assert!(!format!("{frame:?}").contains("secret"));
}
