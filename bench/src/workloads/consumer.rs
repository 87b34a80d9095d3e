//! A consumer that acks every push with one request.

use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::json;

use super::end_to_end::Consumer;
use crate::rpc::{self, scan};
use crate::ws::WebSocket;

/// Unacked deliveries that a consumer allows, unless told otherwise.
pub(super) const CREDIT: u32 = 1_000;

/// The subscription, unless told otherwise.
pub(super) const SUBSCRIPTION: &str = "bench";

/// Acks every push with one request.
pub(crate) struct JsonConsumer {
    socket: WebSocket,
    /// The start of every ack request, up to the tags.
    head: Vec<u8>,
    ack: Vec<u8>,
}

/// What one read of a consumer brought.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    /// Deliveries.
    pub(crate) delivered: u64,
    /// Of these, how many were acked.
    pub(crate) acked: u64,
    /// Acks that the server has confirmed, of these or earlier ones.
    pub(crate) confirmed: u64,
}

impl JsonConsumer {
    pub(crate) fn start(socket: WebSocket, topic: &str) -> Result<JsonConsumer> {
        JsonConsumer::of(socket, topic, SUBSCRIPTION, CREDIT)
    }

    /// The same, of this subscription and with so much credit.
    pub(super) fn of(
        mut socket: WebSocket,
        topic: &str,
        subscription: &str,
        credit: u32,
    ) -> Result<JsonConsumer> {
        let params = json!({"topic": topic, "subscription": subscription, "credit": credit});
        let answer = rpc::request(&mut socket, "rpc.topic.consume", &params)?;
        let consumer = json!(rpc::string_member(&answer, "consumer")?);
        let head = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"rpc.topic.ack","params":{{"consumer":{consumer},"tags":["#
        );
        Ok(JsonConsumer {
            socket,
            head: head.into_bytes(),
            ack: Vec::new(),
        })
    }

    /// Whether something arrives before `until`.
    pub(crate) fn arrives_by(&self, until: Instant) -> Result<bool> {
        self.socket.arrives_by(until)
    }

    /// Blocks until something arrives, acks all pushes in it, after `see` has seen each, and
    /// returns how many earlier acks were confirmed.
    pub(crate) fn step(&mut self, see: impl FnMut(&[u8])) -> Result<u64> {
        Ok(self.step_choosing(see, || true)?.confirmed)
    }

    /// The same, but of the deliveries only those are acked for which `settles` says so.
    pub(super) fn step_choosing(
        &mut self,
        mut see: impl FnMut(&[u8]),
        mut settles: impl FnMut() -> bool,
    ) -> Result<Step> {
        let mut step = Step::default();
        self.socket.fill()?;
        while let Some((text, outgoing)) = self.socket.next_text()? {
            let (delivered, acked) = write_ack(&mut self.ack, &self.head, text, &mut settles);
            if delivered > 0 {
                see(text);
                if acked > 0 {
                    outgoing.queue(&self.ack);
                }
                step.delivered += delivered;
                step.acked += acked;
            } else if let Some(acked) = scan::member_number(text, br#""acked":"#) {
                step.confirmed += acked;
            } else {
                bail!("unexpected: {}", String::from_utf8_lossy(text));
            }
        }
        self.socket.flush()?;
        Ok(step)
    }
}

impl Consumer for JsonConsumer {
    fn settle(&mut self, messages: u64) -> Result<()> {
        let mut settled = 0;
        while settled < messages {
            settled += self.step(|_| {})?;
        }
        Ok(())
    }
}

/// Makes `ack` the request that acks those deliveries in `push` that `settles` chooses; returns
/// how many deliveries there are and how many of them are chosen. Without any it is no request.
fn write_ack(
    ack: &mut Vec<u8>,
    head: &[u8],
    push: &[u8],
    mut settles: impl FnMut() -> bool,
) -> (u64, u64) {
    ack.clear();
    ack.extend_from_slice(head);
    let (mut delivered, mut acked) = (0, 0);
    for tag in scan::tags(push) {
        delivered += 1;
        if settles() {
            write_number(ack, tag);
            ack.push(b',');
            acked += 1;
        }
    }
    if acked > 0 {
        ack.pop();
    }
    ack.extend_from_slice(b"]}}");
    (delivered, acked)
}

fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[start..].reverse();
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"{\"params\":{\"tags\":[";
    const PUSH: &[u8] = br#"{"params":{"deliveries":[{"tag":9},{"tag":10},{"tag":1200}]}}"#;

    #[test]
    fn one_ack_for_all_deliveries_of_a_push() {
        let mut ack = Vec::new();
        assert_eq!(write_ack(&mut ack, HEAD, PUSH, || true), (3, 3));
        assert_eq!(ack, b"{\"params\":{\"tags\":[9,10,1200]}}");
        let answer = br#"{"id":1,"result":{"acked":3}}"#;
        assert_eq!(write_ack(&mut ack, HEAD, answer, || true), (0, 0));
    }

    #[test]
    fn only_chosen_deliveries_are_acked() {
        let mut ack = Vec::new();
        let mut choices = [true, false, true].into_iter();
        let chosen = write_ack(&mut ack, HEAD, PUSH, || choices.next() == Some(true));
        assert_eq!(chosen, (3, 2));
        assert_eq!(ack, b"{\"params\":{\"tags\":[9,1200]}}");
        assert_eq!(write_ack(&mut ack, HEAD, PUSH, || false), (3, 0));
    }
}
