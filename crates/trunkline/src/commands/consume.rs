use super::{
    again::{self, Broken},
    exec,
};
use crate::{args::ConsumeArgs, context::Context, failure::Failure, output, signal::Stop};
use futures_util::future::Either;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{
    collections::{HashSet, VecDeque},
    future::pending,
    io::{self, Write},
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout};
use trunkline::{Connection, MessageId, Pending, Push, Pushes, Received, RequestError, RpcError};

pub(super) const CREDIT: u32 = 1_000;
/// Requests that settle, in flight; more tags wait and go together.
const SETTLING_MAX: usize = 8;
/// Longest wait for the answers to the last acks.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);
/// Most messages that are remembered because their acks may be lost with a connection.
pub(super) const REMEMBERED_MAX: usize = 1_000_000;

pub(crate) async fn consume(context: &Context, args: ConsumeArgs) -> Result<(), Failure> {
    if let Some(url) = context.stomp()? {
        return super::stomp::consume(context, &url, &args).await;
    }
    let mut stop = Stop::listen()?;
    let (client, mut pushes) = tokio::select! {
        connection = context.connect() => connection?,
        () = stop.asked() => return Ok(()),
    };
    let mut consumer = Consumer::new(client, &args);
    loop {
        let outcome = match consumer.start(&args).await {
            Ok(()) => consumer.run(context, &args, &mut pushes, &mut stop).await,
            Err(error) => Err(error.into()),
        };
        match outcome {
            Err(Broken::Connection(cause)) if args.retry && again::passes(&cause) => {
                consumer.lost();
                eprintln!("{cause}; connecting again");
            }
            outcome => {
                // What still comes is returned below; it must not hold back the answers.
                drop(pushes);
                let settled = consumer.end().await;
                return outcome.map_err(Failure::from).and(settled);
            }
        }
        match again::connect(context, &mut stop).await {
            Some(connection) => (consumer.client, pushes) = connection,
            None => return Ok(()),
        }
    }
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

/// A message that was handled, as this connection calls it and as every one does.
#[derive(Clone, Copy)]
struct Handled {
    tag: u64,
    id: Option<MessageId>,
}

/// A request that settles, and the messages that it acks.
struct Settling {
    /// Absent once it has failed.
    answer: Option<Pending>,
    acks: Vec<MessageId>,
}

impl Settling {
    fn new(answer: Pending, acks: Vec<MessageId>) -> Self {
        Self {
            answer: Some(answer),
            acks,
        }
    }
}

struct Consumer {
    client: Connection,
    /// Its name on this connection, once it has one.
    consumer: Option<String>,
    /// Messages that were handled and whose ack is not sent yet.
    handled: Vec<Handled>,
    settling: VecDeque<Settling>,
    /// Messages that were handled and whose acks were lost with a connection: if they come
    /// again, they are only acked.
    remembered: HashSet<MessageId>,
    /// Messages handled.
    count: u64,
    /// Messages that are acked, or about to be: what the server will have let go.
    acked: u64,
    /// The most credit that it takes, and what the server knows.
    credit_max: u32,
    credit: u32,
    limit: Option<u64>,
    /// The subscription says itself how long a message waits that failed.
    retries: bool,
}

impl Consumer {
    fn new(client: Connection, args: &ConsumeArgs) -> Self {
        let default = match (&args.exec, args.no_ack) {
            (Some(_), _) => 1,
            (None, true) => 1_000_000,
            (None, false) => CREDIT,
        };
        Self {
            client,
            consumer: None,
            handled: Vec::new(),
            settling: VecDeque::new(),
            remembered: HashSet::new(),
            count: 0,
            acked: 0,
            credit_max: args.credit.unwrap_or(default),
            credit: 0,
            limit: args.count,
            retries: false,
        }
    }

    async fn start(&mut self, args: &ConsumeArgs) -> Result<(), RequestError> {
        let left = self.limit.map(|limit| limit.saturating_sub(self.acked));
        self.credit = left.map_or(self.credit_max, |left| {
            u64::from(self.credit_max).min(left) as u32
        });
        let mut params = json!({
            "topic": args.topic, "subscription": args.subscription, "credit": self.credit,
        });
        if let Some(from) = args.from {
            params["from"] = json!(from.start());
        }
        #[derive(Deserialize)]
        struct Consuming {
            consumer: String,
        }
        let Consuming { consumer } = self.client.ask("rpc.topic.consume", &params).await?;
        self.consumer = Some(consumer);
        if args.exec.is_some() {
            self.retries = self.has_retry(args).await?;
        }
        Ok(())
    }

    /// Whether the subscription or its topic has the option `retry`. Who may consume and not
    /// inspect is not told: then it counts as absent.
    async fn has_retry(&self, args: &ConsumeArgs) -> Result<bool, RequestError> {
        #[derive(Deserialize)]
        struct Topic {
            options: Options,
            subscriptions: Vec<Subscription>,
        }
        #[derive(Deserialize)]
        struct Subscription {
            subscription: String,
            options: Options,
        }
        #[derive(Deserialize)]
        struct Options {
            #[serde(default)]
            retry: Option<Value>,
        }
        let params = json!({"topic": args.topic});
        let topic: Topic = match self.client.ask("rpc.topic.inspect", &params).await {
            Ok(topic) => topic,
            Err(RequestError::Answer(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut subscriptions = topic.subscriptions.into_iter();
        let own = subscriptions.find(|each| each.subscription == args.subscription);
        let own = own.and_then(|subscription| subscription.options.retry);
        Ok(own.or(topic.options.retry).is_some())
    }

    /// Forgets what meant something on a connection that is gone.
    fn lost(&mut self) {
        self.consumer = None;
        let acking = self.settling.drain(..).flat_map(|settling| settling.acks);
        let unsure: Vec<_> = acking.collect();
        self.acked = self.acked.saturating_sub(unsure.len() as u64);
        let unsent = self.handled.drain(..).filter_map(|handled| handled.id);
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
        }
        self.remembered.extend(unsure.into_iter().chain(unsent));
    }

    async fn run(
        &mut self,
        context: &Context,
        args: &ConsumeArgs,
        pushes: &mut Pushes,
        stop: &mut Stop,
    ) -> Result<(), Broken> {
        let mut idle_since = Instant::now();
        while !self.complete() {
            let over = match args.idle_timeout {
                Some(span) => Either::Left(sleep_until(idle_since + span.0)),
                None => Either::Right(pending()),
            };
            tokio::select! {
                push = pushes.next() => {
                    let Some(push) = push else {
                        return Err(RequestError::Lost(pushes.loss()).into());
                    };
                    self.take(context, args, push, pushes, stop).await?;
                    idle_since = Instant::now();
                }
                answer = first(&mut self.settling) => {
                    answer?;
                    self.settle().await?;
                }
                () = over => return Ok(idle(args, self.count)?),
                () = stop.asked() => return Ok(()),
            }
        }
        Ok(())
    }

    fn complete(&self) -> bool {
        self.limit.is_some_and(|limit| self.count >= limit)
    }

    /// Handles a push and those right behind it: one flush of stdout and one ack for all.
    async fn take(
        &mut self,
        context: &Context,
        args: &ConsumeArgs,
        push: Push,
        pushes: &mut Pushes,
        stop: &mut Stop,
    ) -> Result<(), Broken> {
        let mut next = Some(push);
        let mut out = Vec::new();
        let mut printed = Vec::new();
        let mut outcome = Ok(());
        while let Some(push) = next {
            let deliveries = deliveries(&push).unwrap_or_else(|broken| {
                outcome = Err(broken);
                Vec::new()
            });
            for raw in deliveries {
                let delivery: Delivery<'_> = read(raw)?;
                let handled = Handled {
                    tag: delivery.tag,
                    id: delivery.id.parse().ok(),
                };
                if handled.id.is_some_and(|id| self.remembered.remove(&id)) {
                    self.handled.push(handled);
                    continue;
                }
                if self.complete() {
                    break;
                }
                self.count += 1;
                if let Some(command) = &args.exec {
                    let payload = payload(raw)?;
                    let topic = &args.topic;
                    if exec::handle(command, topic, &delivery, &payload, stop).await? {
                        self.handled.push(handled);
                        self.settle().await?;
                    } else {
                        self.count -= 1;
                        self.nack(&delivery).await?;
                    }
                } else {
                    print(context, raw, &mut out)?;
                    printed.push(handled);
                }
            }
            next = match out.len() {
                0..1_048_576 if !self.complete() && outcome.is_ok() => pushes.try_next(),
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
        outcome
    }

    /// Sends the acks that are due, unless enough are on their way; then they go with the next.
    async fn settle(&mut self) -> Result<(), RequestError> {
        if self.handled.is_empty() || self.settling.len() >= SETTLING_MAX {
            return Ok(());
        }
        // Before the last messages the credit shrinks, so that none is sent beyond the limit.
        let acked = self.acked + self.handled.len() as u64;
        if let Some(limit) = self.limit {
            let left = limit.saturating_sub(acked);
            if left < u64::from(self.credit) {
                self.credit = left as u32;
                let params = json!({"consumer": self.consumer, "credit": self.credit});
                let pending = self.client.start("rpc.topic.credit", &params).await?;
                self.settling.push_back(Settling::new(pending, Vec::new()));
            }
        }
        let tags: Vec<_> = self.handled.iter().map(|handled| handled.tag).collect();
        let params = json!({"consumer": self.consumer, "tags": tags});
        let pending = self.client.start("rpc.topic.ack", &params).await?;
        let ids = self.handled.drain(..).filter_map(|handled| handled.id);
        self.settling
            .push_back(Settling::new(pending, ids.collect()));
        self.acked = acked;
        Ok(())
    }

    /// Gives a message back that failed. Others come meanwhile: it waits with the server.
    async fn nack(&mut self, delivery: &Delivery<'_>) -> Result<(), RequestError> {
        let mut params = json!({"consumer": self.consumer, "tags": [delivery.tag]});
        if !self.retries {
            params["delay_ms"] = json!(exec::wait(delivery.attempt).as_millis() as u64);
        }
        let pending = self.client.start("rpc.topic.nack", &params).await?;
        self.settling.push_back(Settling::new(pending, Vec::new()));
        Ok(())
    }

    /// Waits for the answers to all acks, and returns what was not handled.
    async fn end(mut self) -> Result<(), Failure> {
        let Some(consumer) = self.consumer.clone() else {
            return Ok(());
        };
        let farewell = async {
            while !self.settling.is_empty() || !self.handled.is_empty() {
                self.settle().await?;
                let settling = self.settling.pop_front();
                if let Some(answer) = settling.and_then(|settling| settling.answer) {
                    answer.await?;
                }
            }
            let params = json!({"consumer": consumer});
            self.client.request("rpc.topic.cancel", &params).await?;
            Ok::<(), Failure>(())
        };
        match timeout(FAREWELL, farewell).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::timed_out("no answer to the last acks")),
        }
    }
}

/// Nothing came for a while: the end, and a failure only if more was asked for.
pub(super) fn idle(args: &ConsumeArgs, count: u64) -> Result<(), Failure> {
    match args.count {
        None => Ok(()),
        Some(wanted) => Err(Failure::timed_out(format!(
            "{count} of {wanted} messages, then none for {}",
            args.idle_timeout.unwrap_or_default()
        ))),
    }
}

/// Takes the answer to the oldest request that settles; never ends, if there is none. One that
/// failed stays, with what it was to ack.
async fn first(settling: &mut VecDeque<Settling>) -> Result<(), RequestError> {
    let Some(oldest) = settling.front_mut() else {
        return pending().await;
    };
    if let Some(answer) = &mut oldest.answer
        && let Err(error) = answer.await
    {
        oldest.answer = None;
        return Err(error);
    }
    settling.pop_front();
    Ok(())
}

/// The deliveries of a push.
fn deliveries(push: &Push) -> Result<Vec<&RawValue>, Broken> {
    #[derive(Deserialize)]
    struct Deliver<'a> {
        #[serde(borrow)]
        deliveries: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Ended {
        error: RpcError,
    }
    let Some(params) = push.params.as_deref() else {
        return Ok(Vec::new());
    };
    match push.method.as_str() {
        "rpc.topic.deliver" => Ok(read::<Deliver<'_>>(params)?.deliveries),
        "rpc.topic.ended" => {
            let Ended { error } = read(params)?;
            Err(RequestError::from(error).into())
        }
        _ => Ok(Vec::new()),
    }
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
        output::put_line(out, raw.get().as_bytes());
    } else {
        out.extend_from_slice(&payload(raw)?);
        out.push(b'\n');
    }
    Ok(())
}
