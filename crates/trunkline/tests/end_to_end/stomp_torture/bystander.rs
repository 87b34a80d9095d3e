//! Somebody who does as he should while others don't.

use super::client::Client;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
};

/// A client that sends, receives and acknowledges one durable message after the other, and fails if
/// anything about that is not as it should be.
pub(super) struct Bystander {
    /// One for each round that ended.
    rounds: Receiver<()>,
    stops: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Bystander {
    pub(super) fn start(address: &str) -> Self {
        let (ended, rounds) = mpsc::channel();
        let stops = Arc::new(AtomicBool::new(false));
        let mut client = Client::open(address);
        client.subscribe("/queue/bystander", "ack:client-individual\n");
        let thread = thread::spawn({
            let stops = stops.clone();
            move || {
                let mut number = 0;
                while !stops.load(Ordering::Relaxed) {
                    round(&mut client, number);
                    number += 1;
                    // Nobody may be waiting any more.
                    let _ = ended.send(());
                }
                client.ask("DISCONNECT\nreceipt:1\n\n\0");
                assert_eq!(client.next(), None);
            }
        });
        Self {
            rounds,
            stops,
            thread,
        }
    }

    /// Waits until one more round has begun and ended: what was written before has had its turn at
    /// the server, and did not harm him.
    #[track_caller]
    pub(super) fn goes_on(&self) {
        while self.rounds.try_recv().is_ok() {}
        // The first of the two may have begun before.
        for _ in 0..2 {
            assert_eq!(self.rounds.recv(), Ok(()), "the bystander has ended");
        }
    }

    /// Ends it, and with it the test if anything went wrong.
    #[track_caller]
    pub(super) fn stayed_content(self) {
        self.goes_on();
        self.stops.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn round(client: &mut Client, number: u64) {
    let body = number.to_string();
    client.send(format!(
        "SEND\ndestination:/queue/bystander\nreceipt:s{number}\n\n{body}\0"
    ));
    // Both come once it is durable; which is first nobody promises.
    let frames = [client.read(), client.read()];
    let [message, receipt] = match frames {
        [first, second] if first.command == "MESSAGE" => [first, second],
        [first, second] => [second, first],
    };
    assert_eq!(receipt.receipt(), format!("s{number}"));
    assert_eq!(message.text(), body);
    assert_eq!(message.get("redelivered"), "false");
    let ack = message.get("ack");
    client.send(format!("ACK\nid:{ack}\nreceipt:a{number}\n\n\0"));
    assert_eq!(client.read().receipt(), format!("a{number}"));
}
