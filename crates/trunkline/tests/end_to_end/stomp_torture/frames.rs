//! Bytes that are frames, however they come, and bytes that are none.

use super::{World, client::Client};
use std::{io::Write, thread};

/// A conversation with all that a frame can have; its answers are RECEIPT `s`, MESSAGE, RECEIPT `d`.
fn conversation(queue: usize) -> Vec<u8> {
    format!(
        "STOMP\r\naccept-version:1.0,1.2\r\nhost:a\r\n\r\n\0\r\n\n\
         SUBSCRIBE\nid:1\ndestination:/queue/split-{queue}\nreceipt:s\n\n\0\
         SEND\ndestination:/queue/split-{queue}\na\\cb:c\\n\\\\d\ncontent-length:5\n\na\0\n\0b\0\n"
    )
    .into_bytes()
}

#[test]
fn every_split_of_frames_is_the_same() {
    let world = World::new();
    let length = conversation(100).len();
    for at in 1..length {
        // Three digits, so that every one is as long.
        let bytes = conversation(100 + at);
        let (first, second) = bytes.split_at(at);
        let mut client = Client::new(&world.address);
        client.send(first);
        world.bystander.goes_on();
        client.send(second);
        assert_eq!(client.read().get("version"), "1.2");
        assert_eq!(client.read().receipt(), "s");
        let message = client.read();
        assert_eq!(message.body, b"a\0\n\0b", "{at}");
        assert_eq!(message.get("a\\cb"), "c\\n\\\\d");
        client.send("DISCONNECT\nreceipt:d\n\n\0");
        assert_eq!(client.read().receipt(), "d");
        assert_eq!(client.next(), None);
    }
    world.stayed_sound();
}

#[test]
fn thousands_of_frames_at_once_are_answered_in_order() {
    const FRAMES: usize = 5_000;
    let world = World::new();
    let mut client = world.client();
    let mut bytes = Vec::new();
    for number in 0..FRAMES {
        let frame = format!("SEND\ndestination:/queue/many\nreceipt:{number}\n\nbody {number}\0\n");
        bytes.extend_from_slice(frame.as_bytes());
    }
    let mut writer = client.stream.try_clone().unwrap();
    let writing = thread::spawn(move || writer.write_all(&bytes).unwrap());
    for number in 0..FRAMES {
        assert_eq!(client.read().receipt(), number.to_string());
    }
    writing.join().unwrap();
    client.subscribe("/queue/many", "ack:client\n");
    for number in 0..FRAMES {
        let message = client.read();
        assert_eq!(message.text(), format!("body {number}"));
        // Each covers those before; there would be no more than a thousand without.
        if number % 500 == 499 {
            client.send(format!("ACK\nid:{}\n\n\0", message.get("ack")));
        }
    }
    client.ask("BEGIN\ntransaction:t\nreceipt:1\n\n\0");
    world.stayed_sound();
}

/// What is sent after CONNECTED; what the ERROR says; the `receipt-id` that it has.
const REFUSED: &[(&[u8], &str, Option<&str>)] = &[
    (b"JUMP\nreceipt:1\n\n\0", "JUMP", Some("1")),
    (
        b"CONNECT\naccept-version:1.2\nreceipt:1\n\n\0",
        "CONNECT",
        Some("1"),
    ),
    (b"STOMP\naccept-version:1.2\n\n\0", "STOMP", None),
    (b"MESSAGE\n\n\0", "MESSAGE", None),
    (b"SEND\nreceipt:1\n\nx\0", "destination", Some("1")),
    (
        b"SEND\ndestination:nowhere\nreceipt:1\n\nx\0",
        "/queue/NAME",
        Some("1"),
    ),
    (b"SEND\nreceipt:1\na:\0\n\n\0", "NUL", Some("1")),
    (b"SEND\nreceipt:1\na:\xff\xfe\n\n\0", "UTF-8", Some("1")),
    (b"SEND\nreceipt:1\nno colon\n\n\0", "colon", Some("1")),
    (b"SEND\nreceipt:1\n:no name\n\n\0", "name", Some("1")),
    (b"SEND\nreceipt:1\na:\\t\n\n\0", "\\t", Some("1")),
    (
        b"SEND\nreceipt:1\ncontent-length:2\n\nabc\0",
        "content-length",
        Some("1"),
    ),
    (
        b"SEND\nreceipt:1\ncontent-length:-1\n\n\0",
        "content-length",
        Some("1"),
    ),
    (
        b"SEND\nreceipt:1\ncontent-length:1e3\n\n\0",
        "content-length",
        Some("1"),
    ),
    (
        b"SEND\nreceipt:1\ncontent-length:99999999999999999999\n\n",
        "16777216",
        Some("1"),
    ),
    (
        b"BEGIN\nreceipt:1\ntransaction:t\n\nbody\0",
        "BEGIN",
        Some("1"),
    ),
    (
        b"ACK\nreceipt:1\nid:never-issued\n\n\0",
        "never-issued",
        Some("1"),
    ),
    (
        b"COMMIT\nreceipt:1\ntransaction:t\n\n\0",
        "transaction",
        Some("1"),
    ),
    (b"UNSUBSCRIBE\nreceipt:1\nid:9\n\n\0", "9", Some("1")),
];

#[test]
fn what_is_no_frame_is_refused_and_ends_the_connection() {
    let world = World::new();
    for (bytes, says, receipt) in REFUSED {
        let shown = String::from_utf8_lossy(bytes);
        let mut client = world.client();
        client.send(bytes);
        let error = client.ended();
        let text = String::from_utf8(error.body.clone()).unwrap();
        assert!(text.contains(says), "{shown:?}: {text}");
        assert!(!error.get("message").is_empty());
        match receipt {
            Some(id) => assert_eq!(error.get("receipt-id"), *id, "{shown:?}"),
            None => assert!(!error.has("receipt-id"), "{shown:?}"),
        }
    }
    for (first, says) in [
        ("SEND\ndestination:/queue/a\n\n\0", "CONNECT"),
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET"),
        ("CONNECT\naccept-version:2.0\n\n\0", "1.2"),
        ("\0", "NUL"),
    ] {
        let mut client = Client::new(&world.address);
        client.send(first);
        let error = client.ended();
        let text = String::from_utf8(error.body).unwrap();
        assert!(text.contains(says), "{first:?}: {text}");
    }
    world.stayed_sound();
}
