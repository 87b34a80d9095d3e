//! Peers that go away without a word.

use super::{World, client::Client};

/// How a peer goes away.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Going {
    /// As the system closes what a dead process had open.
    Closed,
    /// With a reset, as of a machine that has forgotten it.
    Reset,
    /// In the middle of a frame.
    WithinFrame,
}

#[test]
fn a_transaction_of_a_lost_connection_never_was() {
    let world = World::new();
    for going in [Going::Closed, Going::Reset, Going::WithinFrame] {
        let queue = format!("/queue/lost-{going:?}");
        let mut sender = world.client();
        for number in 0..10 {
            sender.ask(format!(
                "SEND\ndestination:{queue}\nreceipt:1\n\n{number}\0"
            ));
        }
        let mut client = world.client();
        client.subscribe(&queue, "ack:client-individual\n");
        let messages: Vec<_> = (0..10).map(|_| client.read()).collect();
        let settled = messages[0].get("ack");
        client.ask(format!("ACK\nid:{settled}\nreceipt:1\n\n\0"));
        client.ask("BEGIN\ntransaction:t\nreceipt:1\n\n\0");
        for message in &messages[1..6] {
            let id = message.get("ack");
            client.ask(format!("ACK\nid:{id}\ntransaction:t\nreceipt:1\n\n\0"));
            client.ask(format!(
                "SEND\ndestination:{queue}\ntransaction:t\nreceipt:1\n\nnever\0"
            ));
        }
        match going {
            Going::Closed => drop(client),
            Going::Reset => {
                client.send("BEGIN\ntransaction:u\nreceipt:1\n\n\0");
                client.reset();
            }
            Going::WithinFrame => {
                client.send("COMMIT\ntransaction:t\n\n");
                drop(client);
            }
        }

        // What follows is behind whatever the transaction might have left.
        let mut client = world.client();
        client.subscribe(&queue, "ack:client-individual\n");
        for number in 1..10 {
            let message = client.read();
            assert_eq!(message.text(), number.to_string(), "{going:?}");
            assert_eq!(message.get("redelivered"), "true");
        }
        sender.ask(format!("SEND\ndestination:{queue}\nreceipt:1\n\nlast\0"));
        let message = client.read();
        assert_eq!(message.text(), "last", "{going:?}");
        assert_eq!(message.get("redelivered"), "false");
    }
    world.stayed_sound();
}

#[test]
fn a_thousand_connections_that_break_off_leave_nothing_behind() {
    let world = World::new();
    let begun: [&[u8]; 5] = [
        b"",
        b"CONNECT\nacc",
        b"CONNECT\naccept-version:1.2\n\n\0",
        b"CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:1\ndestination:/queue/broken\nack:client\n\n\0",
        b"CONNECT\naccept-version:1.2\n\n\0BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/broken\ntransaction:t\n\n",
    ];
    for round in 0..200 {
        for bytes in begun {
            let mut client = Client::new(&world.address);
            client.send(bytes);
            if round % 2 == 0 && bytes.contains(&0) {
                client.reset();
            }
        }
    }
    // Whatever subscribed has let go.
    let mut client = world.client();
    client.subscribe("/queue/broken", "ack:client\n");
    client.send("SEND\ndestination:/queue/broken\n\nfor me\0");
    let message = client.read();
    assert_eq!(message.text(), "for me");
    client.ask(format!("ACK\nid:{}\nreceipt:1\n\n\0", message.get("ack")));
    world.stayed_sound();
}

#[test]
fn who_unsubscribes_at_once_gets_all_his_receipts() {
    let world = World::new();
    for destination in ["/queue/hasty", "/topic/hasty", "/subscription/hasty/other"] {
        let mut client = world.client();
        client.send(format!(
            "SUBSCRIBE\nid:1\ndestination:{destination}\nreceipt:on\n\n\0\
             UNSUBSCRIBE\nid:1\nreceipt:off\n\n\0\
             SUBSCRIBE\nid:1\ndestination:{destination}\n\n\0\
             UNSUBSCRIBE\nid:1\n\n\0\
             SEND\ndestination:/queue/afterwards\nreceipt:sent\n\n\0"
        ));
        for receipt in ["on", "off", "sent"] {
            assert_eq!(client.read().receipt(), receipt, "{destination}");
        }
    }
    world.stayed_sound();
}
