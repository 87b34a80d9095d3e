//! More than is allowed, of everything.

use super::{GROWTH_WITH_LARGEST_MAX_KIB, World, client::Client};
use std::{io::Write, net::TcpStream, thread};

/// Writes so many bytes of one kind after a beginning, or as much as the server takes.
fn pour(mut stream: TcpStream, begins: &'static str, unit: &'static [u8], bytes: usize) {
    let piece: Vec<u8> = unit
        .iter()
        .copied()
        .cycle()
        .take(unit.len() << 12)
        .collect();
    let _ = stream.write_all(begins.as_bytes());
    for _ in 0..bytes / piece.len() + 1 {
        // The server stops reading at some time, and closes.
        if stream.write_all(&piece).is_err() {
            break;
        }
    }
}

#[test]
fn what_has_no_end_is_refused_at_the_limit() {
    let world = World::new();
    let floods: [(&str, &[u8], usize, &str); 6] = [
        ("", b"x", 64 << 20, "bytes"),
        ("SEND\na:", b"x", 8 << 20, "bytes"),
        ("SEND\n", b"h:x\n", 50_000 * 4, "headers"),
        ("SEND\ndestination:/queue/a\n\n", b"x", 64 << 20, "16777216"),
        (
            "SEND\ncontent-length:16777217\n\n",
            b"x",
            64 << 20,
            "16777216",
        ),
        (
            "SEND\ncontent-length:16777217\n\n",
            b"\0",
            64 << 20,
            "16777216",
        ),
    ];
    for (begins, unit, bytes, says) in floods {
        let mut client = world.client();
        let stream = client.stream.try_clone().unwrap();
        let pouring = thread::spawn(move || pour(stream, begins, unit, bytes));
        let error = client.read();
        assert_eq!(error.command, "ERROR", "{error:?}");
        let text = String::from_utf8(error.body.clone()).unwrap();
        assert!(text.contains(says), "{begins:?}: {text}");
        while client.next().is_some() {}
        pouring.join().unwrap();
        world.bystander.goes_on();
    }
    world.stayed_sound();
}

#[test]
fn what_is_just_allowed_is_served() {
    let world = World::new();
    let mut client = world.client();
    client.subscribe("/queue/large", "");
    // 128 headers with the three that are there, lines of 10 KiB, and a body that fits with them into what
    // is written to the disk at a time.
    let short: String = (0..120).map(|number| format!("h{number}:x\n")).collect();
    let long: String = (0..5)
        .map(|number| format!("l{number}:{}\n", "y".repeat((10 << 10) - 3)))
        .collect();
    let body = vec![b'z'; (16 << 20) - (128 << 10)];
    let head = format!(
        "SEND\ndestination:/queue/large\nreceipt:1\ncontent-length:{}\n{short}{long}\n",
        body.len()
    );
    client.send(head);
    client.send(&body);
    client.send("\0");
    let frames = [client.read(), client.read()];
    let message = frames.iter().find(|frame| frame.command == "MESSAGE");
    let message = message.unwrap_or_else(|| panic!("{}", frames[0].command));
    assert!(message.body == body, "{} bytes", message.body.len());
    assert_eq!(message.get("h119"), "x");
    assert_eq!(message.get("l4").len(), (10 << 10) - 3);
    world.stayed_sound_within(GROWTH_WITH_LARGEST_MAX_KIB);
}

#[test]
fn ten_thousand_subscriptions_are_served_and_one_more_is_refused() {
    const SUBSCRIPTIONS: usize = 10_000;
    let world = World::with(&[("MAX_SUBSCRIPTIONS", "10000")]);
    let mut client = world.client();
    let mut writer = client.stream.try_clone().unwrap();
    let writing = thread::spawn(move || {
        for number in 0..SUBSCRIPTIONS {
            let frame = format!(
                "SUBSCRIBE\nid:{number}\ndestination:/topic/many.{number}\nreceipt:{number}\n\n\0"
            );
            writer.write_all(frame.as_bytes()).unwrap();
        }
    });
    for number in 0..SUBSCRIPTIONS {
        assert_eq!(client.read().receipt(), number.to_string());
    }
    writing.join().unwrap();
    let mut sender = Client::open(&world.address);
    for number in [0, 4_999, SUBSCRIPTIONS - 1] {
        sender.ask(format!(
            "SEND\ndestination:/topic/many.{number}\nreceipt:1\n\n{number}\0"
        ));
        let message = client.read();
        assert_eq!(message.text(), number.to_string());
        assert_eq!(message.get("subscription"), number.to_string());
    }
    client.send("SUBSCRIBE\nid:more\ndestination:/topic/more\nreceipt:more\n\n\0");
    let error = client.ended();
    assert_eq!(error.get("receipt-id"), "more");
    assert!(String::from_utf8_lossy(&error.body).contains("10000"));
    world.stayed_sound();
}
