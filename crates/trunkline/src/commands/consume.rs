use super::exec;
use crate::{args::ConsumeArgs, context::Context, failure::Failure, signal::Stop};
use futures_util::{StreamExt, future::Either, stream::FuturesUnordered};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::{
    future::pending,
    io::{self, Write},
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout};
use trunkline::{Connection, Pending, Push, Pushes, Received};

const CREDIT: u32 = 1_000;
/// Requests that settle, in flight; more tags wait and go together.
const SETTLING_MAX: usize = 8;
/// Longest wait for the answers to the last acks.
const FAREWELL: Duration = Duration::from_secs(5);

pub(crate) async fn consume(context: &Context, args: ConsumeArgs) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let connection = tokio::select! {
        connection = context.connect() => connection?,
        () = stop.asked() => return Ok(()),
    };
    let (client, mut pushes) = connection;
    let mut consumer = Consumer::start(client, &args).await?;
    let outcome = consumer.run(context, &args, &mut pushes, &mut stop).await;
    // What still comes is returned below; it must not hold back the answers.
    drop(pushes);
    let settled = consumer.end().await;
    outcome.and(settled)
}

/// A delivery, as far as its handling needs it; the whole is kept as it came.
#[derive(Deserialize)]
pub(super) struct Delivery<'a> {
    pub(super) tag: u64,
    pub(super) id: &'a str,
    pub(super) attempt: u32,
    #[serde(default)]
    pub(super) key: Option<String>,
}

struct Consumer {
    client: Connection,
    consumer: String,
    /// Tags whose messages were handled and whose ack is not sent yet.
    handled: Vec<u64>,
    settling: FuturesUnordered<Pending>,
    /// Messages handled.
    count: u64,
    /// Messages that are acked, or about to be: what the server will have let go.
    acked: u64,
    /// The credit that the server knows.
    credit: u32,
    limit: Option<u64>,
}

impl Consumer {
    async fn start(client: Connection, args: &ConsumeArgs) -> Result<Self, Failure> {
        let default = match (&args.exec, args.no_ack) {
            (Some(_), _) => 1,
            (None, true) => 1_000_000,
            (None, false) => CREDIT,
        };
        let credit = args.credit.unwrap_or(default);
        let credit = args
            .count
            .map_or(credit, |count| u64::from(credit).min(count) as u32);
        let mut params = json!({
            "topic": args.topic, "subscription": args.subscription, "credit": credit,
        });
        if let Some(from) = args.from {
            params["from"] = json!(from.start());
        }
        #[derive(Deserialize)]
        struct Consuming {
            consumer: String,
        }
        let Consuming { consumer } = client.ask("rpc.topic.consume", &params).await?;
        Ok(Self {
            client,
            consumer,
            handled: Vec::new(),
            settling: FuturesUnordered::new(),
            count: 0,
            acked: 0,
            credit,
            limit: args.count,
        })
    }

    async fn run(
        &mut self,
        context: &Context,
        args: &ConsumeArgs,
        pushes: &mut Pushes,
        stop: &mut Stop,
    ) -> Result<(), Failure> {
        let mut idle_since = Instant::now();
        while !self.complete() {
            let idle = match args.idle_timeout {
                Some(span) => Either::Left(sleep_until(idle_since + span.0)),
                None => Either::Right(pending()),
            };
            tokio::select! {
                push = pushes.next() => {
                    let Some(push) = push else {
                        return Err(Failure::failed(format!("lost the connection: {}", pushes.loss())));
                    };
                    self.take(context, args, push, pushes, stop).await?;
                    idle_since = Instant::now();
                }
                Some(answer) = self.settling.next() => {
                    answer?;
                    self.settle().await?;
                }
                () = idle => return self.idle(args),
                () = stop.asked() => return Ok(()),
            }
        }
        Ok(())
    }

    fn complete(&self) -> bool {
        self.limit.is_some_and(|limit| self.count >= limit)
    }

    /// Nothing came for a while: the end, and a failure only if more was asked for.
    fn idle(&self, args: &ConsumeArgs) -> Result<(), Failure> {
        match args.count {
            None => Ok(()),
            Some(wanted) => Err(Failure::timed_out(format!(
                "{} of {wanted} messages, then none for {}",
                self.count,
                args.idle_timeout.unwrap_or_default()
            ))),
        }
    }

    /// Handles a push and those right behind it: one flush of stdout and one ack for all.
    async fn take(
        &mut self,
        context: &Context,
        args: &ConsumeArgs,
        push: Push,
        pushes: &mut Pushes,
        stop: &mut Stop,
    ) -> Result<(), Failure> {
        let mut next = Some(push);
        let mut out = Vec::new();
        let mut printed = Vec::new();
        while let Some(push) = next {
            let raw = push
                .params
                .as_deref()
                .filter(|_| push.method == "rpc.topic.deliver");
            for raw in raw.map(deliveries).transpose()?.unwrap_or_default() {
                if self.complete() {
                    break;
                }
                self.count += 1;
                let delivery: Delivery<'_> = read(raw)?;
                if let Some(command) = &args.exec {
                    let payload = payload(raw)?;
                    let topic = &args.topic;
                    if exec::handle(command, topic, &delivery, &payload, stop).await? {
                        self.handled.push(delivery.tag);
                        self.settle().await?;
                    } else {
                        self.count -= 1;
                        self.nack(delivery.tag).await?;
                    }
                } else {
                    print(context, raw, &mut out)?;
                    printed.push(delivery.tag);
                }
            }
            next = match out.len() {
                0..1_048_576 if !self.complete() => pushes.try_next(),
                _ => None,
            };
        }
        // Acked only once it is written.
        let mut stdout = io::stdout().lock();
        stdout.write_all(&out)?;
        stdout.flush()?;
        drop(stdout);
        if !args.no_ack {
            self.handled.append(&mut printed);
            self.settle().await?;
        }
        Ok(())
    }

    /// Sends the acks that are due, unless enough are on their way; then they go with the next.
    async fn settle(&mut self) -> Result<(), Failure> {
        if self.handled.is_empty() || self.settling.len() >= SETTLING_MAX {
            return Ok(());
        }
        let tags = std::mem::take(&mut self.handled);
        self.acked += tags.len() as u64;
        // Before the last messages the credit shrinks, so that none is sent beyond the limit.
        if let Some(limit) = self.limit {
            let left = limit.saturating_sub(self.acked);
            if left < u64::from(self.credit) {
                self.credit = left as u32;
                let params = json!({"consumer": self.consumer, "credit": self.credit});
                let pending = self.client.start("rpc.topic.credit", &params).await?;
                self.settling.push(pending);
            }
        }
        let params = json!({"consumer": self.consumer, "tags": tags});
        let pending = self.client.start("rpc.topic.ack", &params).await?;
        self.settling.push(pending);
        Ok(())
    }

    async fn nack(&mut self, tag: u64) -> Result<(), Failure> {
        let params = json!({"consumer": self.consumer, "tags": [tag]});
        let pending = self.client.start("rpc.topic.nack", &params).await?;
        self.settling.push(pending);
        Ok(())
    }

    /// Waits for the answers to all acks, and returns what was not handled.
    async fn end(mut self) -> Result<(), Failure> {
        let farewell = async {
            while !self.settling.is_empty() || !self.handled.is_empty() {
                self.settle().await?;
                if let Some(answer) = self.settling.next().await {
                    answer?;
                }
            }
            let params = json!({"consumer": self.consumer});
            self.client.request("rpc.topic.cancel", &params).await?;
            Ok::<(), Failure>(())
        };
        match timeout(FAREWELL, farewell).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::timed_out("no answer to the last acks")),
        }
    }
}

fn deliveries(params: &RawValue) -> Result<Vec<&RawValue>, Failure> {
    #[derive(Deserialize)]
    struct Deliver<'a> {
        #[serde(borrow)]
        deliveries: Vec<&'a RawValue>,
    }
    let Deliver { deliveries } = read(params)?;
    Ok(deliveries)
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Failure> {
    serde_json::from_str(raw.get())
        .map_err(|error| Failure::failed(format!("the server's delivery can't be read: {error}")))
}

fn payload(raw: &RawValue) -> Result<std::borrow::Cow<'_, [u8]>, Failure> {
    let received: Received<'_> = read(raw)?;
    received
        .bytes()
        .map_err(|error| Failure::failed(error.to_string()))
}

fn print(context: &Context, raw: &RawValue, out: &mut Vec<u8>) -> Result<(), Failure> {
    if context.output.json {
        out.extend_from_slice(raw.get().as_bytes());
    } else {
        out.extend_from_slice(&payload(raw)?);
    }
    out.push(b'\n');
    Ok(())
}
