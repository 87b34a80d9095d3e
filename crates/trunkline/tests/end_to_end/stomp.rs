//! The program's STOMP listeners.

use crate::setup::{Server, run, setup, store, text, trunkline};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustix::process::Signal;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
};

const CONNECT: &str = "CONNECT\naccept-version:1.2\nhost:h\n\n\0";

/// Reads until `text` has come.
fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&read).contains(text) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "never came: {text:?}");
        read.extend(byte);
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn a_durable_send_survives_kill_and_a_stop_says_goodbye() {
    let store = store();
    let server = store.serve();
    let mut client = TcpStream::connect(server.stomp_address()).unwrap();
    client
        .write_all(format!("{CONNECT}SEND\ndestination:/queue/q\nreceipt:1\n\nhello\0").as_bytes())
        .unwrap();
    read_until(&mut client, "RECEIPT\nreceipt-id:1\n\n\0");
    server.kill();

    let mut server = store.serve();
    let mut client = TcpStream::connect(server.stomp_address()).unwrap();
    client
        .write_all(format!("{CONNECT}SUBSCRIBE\nid:1\ndestination:/queue/q\n\n\0").as_bytes())
        .unwrap();
    read_until(&mut client, "\n\nhello\0");
    server.process.signal(Signal::TERM);
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert!(
        rest.starts_with("ERROR\n") && rest.contains("the server is shutting down"),
        "{rest}"
    );
    drop(client);
    assert!(server.process.wait().success());
}

#[test]
fn both_addresses_are_told() {
    let mut server = setup();
    let address = server.stomp_address().to_owned();
    assert!(server.ready["stomp_tls"].is_null());
    server.process.says(&format!("stomp://{address}"));
}

#[test]
fn certificates_are_read_at_the_start_and_again_at_sighup() {
    let store = store();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = store.file("cert.pem", &cert.pem());
    let key = store.file("key.pem", "nonsense");
    let config = store.file(
        "c.yaml",
        &format!(
            "engine: {{url: 'memory:'}}\nhttp: {{listen: '127.0.0.1:0'}}\nstomp:\n  tls:\n    \
             listen: 127.0.0.1:0\n    certificate: {}\n    key: {}\n",
            certificate.display(),
            key.display()
        ),
    );
    let says = format!("stomp.tls: no private key in {}", key.display());
    run(trunkline(&["serve", "--config", text(&config)]), b"").fails(2, &says);

    fs::write(&key, signing_key.serialize_pem()).unwrap();
    let mut server = Server::start(&["--config", text(&config)]);
    let tls = server.ready["stomp_tls"].as_str().unwrap().to_owned();
    server.process.says(&format!("stomp+ssl://{tls}"));
    server.process.signal(Signal::HUP);
    server
        .process
        .says("certificate and key of stomp.tls are read again");
    fs::remove_file(&key).unwrap();
    server.process.signal(Signal::HUP);
    server.process.says("The old certificate stays in use");
    assert!(server.stop().success());
}
