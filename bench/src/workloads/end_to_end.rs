//! From the first publish to the last confirmed ack: the life of a message.

use std::thread;
use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::json;

use super::{Context, publish};
use crate::load::{self, Exchange, Until};
use crate::measure::Measure;
use crate::rpc::{self, scan};
use crate::ws::WebSocket;

/// Unacked deliveries that the consumer allows.
const CREDIT: u32 = 1_000;

/// `publishers` connections with `window` publishes in flight each, one consumer.
pub(super) fn run(context: &Context<'_>, publishers: u32, window: u32) -> Result<Measure> {
    let topic = context.unique(&format!("end-to-end-{publishers}"));
    let consumer = JsonConsumer::start(context.connect()?, &topic)?;
    let senders = (0..publishers)
        .map(|_| publish::publisher(context, &topic))
        .collect::<Result<Vec<_>>>()?;
    let measure = measure(context, senders, consumer, window)?;
    let mut control = context.connect()?;
    rpc::request(&mut control, "rpc.topic.delete", &json!({"topic": topic}))?;
    Ok(measure)
}

/// The receiving side of the life of a message.
pub(crate) trait Consumer {
    /// Consumes until the server has confirmed the acks of `messages` deliveries.
    fn settle(&mut self, messages: u64) -> Result<()>;
}

/// A tenth of the plan's messages that doesn't count, then all of them.
pub(crate) fn measure<E: Exchange>(
    context: &Context<'_>,
    mut senders: Vec<E>,
    mut consumer: impl Consumer,
    window: u32,
) -> Result<Measure> {
    let meter = context.meter();

    pass(
        &mut senders,
        &mut consumer,
        window,
        context.plan.messages / 10,
    )?;
    let before = meter.read()?;
    let started = Instant::now();
    let settled = pass(&mut senders, &mut consumer, window, context.plan.messages)?;
    let elapsed = started.elapsed();
    let usage = meter.read()?.since(&before);
    let per_second = settled as f64 / elapsed.as_secs_f64();
    Ok(Measure::of_rate(settled, per_second, usage))
}

/// Publishes about `messages` and returns how many, once all are acked and that is confirmed.
fn pass<E: Exchange>(
    senders: &mut [E],
    consumer: &mut impl Consumer,
    window: u32,
    messages: u64,
) -> Result<u64> {
    let each = messages / senders.len() as u64;
    let all = each * senders.len() as u64;
    thread::scope(|scope| {
        let publishing: Vec<_> = senders
            .iter_mut()
            .map(|sender| {
                scope.spawn(move || load::run_loop(sender, window, Until::Requests(each)).map(drop))
            })
            .collect();
        let consumed = consumer.settle(all);
        for publisher in publishing {
            publisher
                .join()
                .expect("a load thread returns its errors")?;
        }
        consumed
    })?;
    Ok(all)
}

/// Acks every push with one request.
pub(crate) struct JsonConsumer {
    socket: WebSocket,
    /// The start of every ack request, up to the tags.
    head: Vec<u8>,
    ack: Vec<u8>,
}

impl JsonConsumer {
    pub(crate) fn start(mut socket: WebSocket, topic: &str) -> Result<JsonConsumer> {
        let params = json!({"topic": topic, "subscription": "bench", "credit": CREDIT});
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
    pub(crate) fn step(&mut self, mut see: impl FnMut(&[u8])) -> Result<u64> {
        let mut settled = 0;
        self.socket.fill()?;
        while let Some((text, outgoing)) = self.socket.next_text()? {
            if write_ack(&mut self.ack, &self.head, text) {
                see(text);
                outgoing.queue(&self.ack);
            } else if let Some(acked) = scan::member_number(text, br#""acked":"#) {
                settled += acked;
            } else {
                bail!("unexpected: {}", String::from_utf8_lossy(text));
            }
        }
        self.socket.flush()?;
        Ok(settled)
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

/// Makes `ack` the request that acks all deliveries in `push`; false if there are none.
fn write_ack(ack: &mut Vec<u8>, head: &[u8], push: &[u8]) -> bool {
    ack.clear();
    ack.extend_from_slice(head);
    let before = ack.len();
    for tag in scan::tags(push) {
        write_number(ack, tag);
        ack.push(b',');
    }
    if ack.len() == before {
        return false;
    }
    ack.pop();
    ack.extend_from_slice(b"]}}");
    true
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

    #[test]
    fn one_ack_for_all_deliveries_of_a_push() {
        let mut ack = Vec::new();
        let push = br#"{"params":{"deliveries":[{"tag":9},{"tag":10},{"tag":1200}]}}"#;
        assert!(write_ack(&mut ack, b"{\"params\":{\"tags\":[", push));
        assert_eq!(ack, b"{\"params\":{\"tags\":[9,10,1200]}}");
        assert!(!write_ack(
            &mut ack,
            b"",
            br#"{"id":1,"result":{"acked":3}}"#
        ));
    }
}
