//! A real RabbitMQ, as tests use it.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is wrong"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use trunkline_test_servers::RabbitMq;

const CONNECT: &str = "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0";

/// Sends frames and reads until an answer contains `until`.
fn exchange(server: &RabbitMq, frames: &str, until: &str) -> String {
    let mut stream = TcpStream::connect(server.stomp()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    write!(stream, "{CONNECT}{frames}").unwrap();
    let mut answer = String::new();
    let mut piece = [0; 4096];
    while !answer.contains(until) {
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "it closed after {answer:?}");
        answer += std::str::from_utf8(&piece[..length]).unwrap();
    }
    answer
}

#[test]
fn a_broker_comes_back_on_its_ports_with_what_it_stored() {
    let Some(mut server) = RabbitMq::start() else {
        return;
    };
    let address = server.stomp();
    exchange(
        &server,
        "SEND\ndestination:/queue/kept\npersistent:true\nreceipt:1\n\nhello\0",
        "RECEIPT",
    );
    server.kill();
    assert!(TcpStream::connect(address).is_err(), "it is dead");
    server.restart();
    assert_eq!(server.stomp(), address);
    let received = exchange(
        &server,
        "SUBSCRIBE\nid:0\ndestination:/queue/kept\n\n\0",
        "hello",
    );
    assert!(received.contains("MESSAGE\n"), "{received}");
}

#[test]
fn two_brokers_run_beside_each_other_and_all_tests_share_one() {
    let (Some(one), Some(other)) = (RabbitMq::shared(), RabbitMq::start()) else {
        return;
    };
    assert_ne!(one.stomp(), other.stomp());
    exchange(
        one,
        "SEND\ndestination:/queue/a\nreceipt:1\n\none\0",
        "RECEIPT",
    );
    exchange(
        &other,
        "SEND\ndestination:/queue/a\nreceipt:1\n\nother\0",
        "RECEIPT",
    );
    let frames = "SUBSCRIBE\nid:0\ndestination:/queue/a\n\n\0";
    assert!(exchange(&other, frames, "other").contains("MESSAGE\n"));
    let again = RabbitMq::shared().unwrap();
    assert!(exchange(again, frames, "one").contains("MESSAGE\n"));
}
