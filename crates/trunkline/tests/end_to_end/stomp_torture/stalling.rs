//! Peers that take their time.

use super::{World, client::Client};
use std::{
    io::Write,
    time::{Duration, Instant},
};

#[test]
fn who_never_says_connect_is_closed() {
    const PEERS: usize = 200;
    let world = World::with(&[("CONNECT_TIMEOUT", "1s")]);
    let mut peers: Vec<Client> = (0..PEERS).map(|_| Client::new(&world.address)).collect();
    // A byte now and then doesn't help; ends of lines, which a server passes over, neither.
    for byte in "\n\n\nCONNECT\naccept-v".bytes() {
        for peer in &mut peers {
            // One may have been closed already.
            let _ = peer.stream.write_all(&[byte]);
        }
        world.bystander.goes_on();
    }
    for mut peer in peers {
        let error = peer.ended();
        let text = String::from_utf8(error.body).unwrap();
        assert!(text.contains("CONNECT"), "{text}");
    }
    world.stayed_sound();
}

#[test]
fn frames_that_never_end_hold_up_nobody() {
    const PEERS: usize = 200;
    let world = World::new();
    let begun = "SEND\ndestination:/queue/slow\nreceipt:1\n\nslow";
    let mut peers: Vec<Client> = (0..PEERS).map(|_| world.client()).collect();
    for byte in begun.bytes() {
        for peer in &mut peers {
            peer.send([byte]);
        }
        world.bystander.goes_on();
    }
    // Half of them come to an end after all; of the others nothing is to be seen.
    for (number, mut peer) in peers.into_iter().enumerate() {
        if number % 2 == 0 {
            peer.ask("\0");
        }
    }
    let mut client = world.client();
    client.subscribe("/queue/slow", "");
    for _ in 0..PEERS / 2 {
        assert_eq!(client.read().text(), "slow");
    }
    client.ask("SEND\ndestination:/queue/other\nreceipt:1\n\n\0");
    world.stayed_sound();
}

#[test]
fn who_never_reads_is_closed_and_his_messages_go_to_others() {
    const MESSAGES: usize = 400;
    let world = World::with(&[("WRITE_TIMEOUT", "1s")]);
    let mut sender = world.client();
    let body = "m".repeat(64 << 10);
    // 25 MiB: more than the sockets and the server's buffers for a client take.
    for number in 0..MESSAGES {
        sender.ask(format!(
            "SEND\ndestination:/queue/unread\nreceipt:1\nn:{number}\n\n{body}\0"
        ));
    }
    let mut deaf = world.client();
    deaf.send("SUBSCRIBE\nid:1\ndestination:/queue/unread\nack:client-individual\n\n\0");
    world.bystander.goes_on();
    let mut client = world.client();
    client.subscribe("/queue/unread", "ack:client-individual\n");
    let mut seen = vec![false; MESSAGES];
    for _ in 0..MESSAGES {
        let message = client.read();
        assert_eq!(message.text().len(), body.len());
        let number: usize = message.get("n").parse().unwrap();
        assert!(
            !std::mem::replace(&mut seen[number], true),
            "{number} twice"
        );
        let ack = message.get("ack");
        client.send(format!("ACK\nid:{ack}\n\n\0"));
    }
    drop(deaf);
    world.stayed_sound();
}

#[test]
fn who_never_reads_his_receipts_is_not_read_either() {
    let world = World::with(&[("WRITE_TIMEOUT", "1s")]);
    let mut deaf = world.client();
    let receipt = "r".repeat(1_000);
    let frame = format!("SEND\ndestination:/topic/nobody\nreceipt:{receipt}\n\n\0");
    let frames = frame.repeat(1_000);
    // Until the server has enough of it, which is long before this ends.
    let mut sent = 0_u64;
    while deaf.stream.write_all(frames.as_bytes()).is_ok() {
        sent += 1;
        assert!(sent < 500, "{sent} MB and no end");
    }
    world.stayed_sound();
}

#[test]
fn who_never_listens_costs_other_listeners_nothing() {
    const MESSAGES: usize = 1_000;
    let world = World::with(&[("WRITE_TIMEOUT", "1s")]);
    let mut deaf = world.client();
    deaf.subscribe("/topic/flood", "");
    let mut client = world.client();
    client.subscribe("/topic/flood", "");
    let mut sender = world.client();
    let body = "m".repeat(64 << 10);
    // One at a time, so that who reads misses none: 62 MiB.
    for number in 0..MESSAGES {
        sender.ask(format!(
            "SEND\ndestination:/topic/flood\nreceipt:1\nn:{number}\n\n{body}\0"
        ));
        let message = client.read();
        assert_eq!(message.get("n"), number.to_string());
        assert_eq!(message.text().len(), body.len());
    }
    world.stayed_sound();
}

/// A client that was busy for longer than its heart-beats was closed as silent: they came, but the server, which
/// had much for it that was not taken, did not read them.
#[test]
fn who_reads_late_but_sends_heart_beats_is_not_silent() {
    const MESSAGES: usize = 400;
    const SILENT_AFTER: Duration = Duration::from_secs(4);
    let world = World::with(&[("HEART_BEAT_RECEIVE", "2s")]);
    let mut sender = world.client();
    let body = "m".repeat(64 << 10);
    for _ in 0..MESSAGES {
        sender.ask(format!(
            "SEND\ndestination:/queue/late\nreceipt:1\n\n{body}\0"
        ));
    }
    let mut busy = Client::new(&world.address);
    busy.send("CONNECT\naccept-version:1.2\nheart-beat:2000,0\n\n\0");
    assert_eq!(busy.read().get("heart-beat"), "0,2000");
    busy.send("SUBSCRIBE\nid:1\ndestination:/queue/late\n\n\0");
    let began = Instant::now();
    while began.elapsed() < SILENT_AFTER + SILENT_AFTER / 4 {
        busy.send("\n");
        world.bystander.goes_on();
    }
    for _ in 0..MESSAGES {
        assert_eq!(busy.read().text().len(), body.len());
    }
    busy.ask("DISCONNECT\nreceipt:1\n\n\0");
    world.stayed_sound();
}
