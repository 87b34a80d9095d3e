use super::{
    connect::{Servers, unreachable},
    is_destination, of_subscription, passes,
    shown::{self, Shown},
};
use crate::{
    args::ConsumeArgs,
    commands::{
        again::Broken,
        consume::{CREDIT, Delivery, FAREWELL, REMEMBERED_MAX, idle},
        exec,
    },
    context::Context,
    failure::Failure,
    output,
    signal::Stop,
};
use futures_util::{FutureExt, future::Either};
use std::{
    collections::{HashSet, VecDeque},
    future::pending,
    io::{self, Write},
};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use trunkline_stomp::{
    AckMode, Acked, Client, ClientError, Message, MessageTag, Operation, Outcome, StompUrl,
    Subscription,
};

/// Acks in flight that are waited for; more messages go with the next.
const SETTLING_MAX: usize = 8;
/// Bytes that are printed and acknowledged at once, about.
const PRINTED_AT_ONCE: usize = 1 << 20;
/// Most that other servers can count.
const CREDIT_MAX: u32 = 65_535;

pub(in crate::commands) async fn consume(
    context: &Context,
    url: &StompUrl,
    args: &ConsumeArgs,
) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let servers = Servers::new(url)?;
    if args.from.is_some() {
        return Err(Failure::usage(
            "--from can't be said over STOMP; make the subscription first: trunkline subscription add",
        ));
    }
    let destination = of_subscription(&args.topic, &args.subscription).map_err(Failure::usage)?;
    let mut client = tokio::select! {
        client = servers.connect() => client.map_err(unreachable)?,
        () = stop.asked() => return Ok(()),
    };
    let mut consumer = Consumer::new(args);
    loop {
        let mut session = Session {
            client,
            subscription: None,
            settling: VecDeque::new(),
        };
        let outcome = match session.start(args, &destination, &consumer).await {
            Ok(()) => consumer.run(context, args, &mut session, &mut stop).await,
            Err(error) => Err(error.into()),
        };
        match outcome {
            Err(Broken::Connection(cause)) if args.retry && passes(&cause) => {
                consumer.lost(&mut session);
                eprintln!("{cause}; connecting again");
            }
            outcome => {
                let settled = consumer.end(session).await;
                return outcome.map_err(Failure::from).and(settled);
            }
        }
        match servers.connect_again(&mut stop).await {
            Some(connected) => client = connected,
            None => return Ok(()),
        }
    }
}

/// A message that was handled, as its connection calls it and as every one does.
struct Handled {
    tag: MessageTag,
    id: String,
}

/// An ACK on its way, and the messages that it is about.
struct Settling {
    /// Absent once it has failed.
    outcome: Option<Outcome>,
    ids: Vec<String>,
}

impl Settling {
    fn new(outcome: Outcome, ids: Vec<String>) -> Self {
        Self {
            outcome: Some(outcome),
            ids,
        }
    }
}

/// What means something on one connection.
struct Session {
    client: Client,
    subscription: Option<Subscription>,
    settling: VecDeque<Settling>,
}

impl Session {
    async fn start(
        &mut self,
        args: &ConsumeArgs,
        destination: &str,
        consumer: &Consumer,
    ) -> Result<(), ClientError> {
        let mut subscribe = self
            .client
            .subscribe(destination)
            .id(&args.subscription)
            .ack(consumer.mode)
            .header("prefetch-count", &consumer.credit.to_string());
        if destination.starts_with("/topic/") {
            // What brokers need to keep what comes while nobody is there.
            subscribe = subscribe
                .header("durable", "true")
                .header("auto-delete", "false");
        }
        self.subscription = Some(subscribe.await?);
        Ok(())
    }
}

struct Consumer {
    mode: AckMode,
    /// Messages that were handled and whose ack is not sent yet.
    handled: VecDeque<Handled>,
    /// Messages that were handled and whose acks were lost with a connection: if they come
    /// again, they are only acked.
    remembered: HashSet<String>,
    /// Messages handled.
    count: u64,
    /// Messages that are acked, or about to be: what the server will have let go.
    acked: u64,
    credit: u32,
    limit: Option<u64>,
}

impl Consumer {
    fn new(args: &ConsumeArgs) -> Self {
        let default = match (&args.exec, args.no_ack) {
            (Some(_), _) => 1,
            (None, true) => 1_000_000,
            (None, false) => CREDIT,
        };
        let credit = args.credit.unwrap_or(default);
        let credit = match is_destination(&args.topic) {
            true => credit.min(CREDIT_MAX),
            false => credit,
        };
        Self {
            mode: match args.exec.is_some() || args.no_ack {
                true => AckMode::ClientIndividual,
                false => AckMode::Client,
            },
            handled: VecDeque::new(),
            remembered: HashSet::new(),
            count: 0,
            acked: 0,
            credit: args
                .count
                .map_or(credit, |count| u64::from(credit).min(count) as u32),
            limit: args.count,
        }
    }

    /// Forgets what meant something on a connection that is gone.
    fn lost(&mut self, session: &mut Session) {
        let acking = session.settling.drain(..).flat_map(|settling| settling.ids);
        let unsure: Vec<_> = acking.collect();
        self.acked = self.acked.saturating_sub(unsure.len() as u64);
        let unsent = self.handled.drain(..).map(|handled| handled.id);
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
        }
        self.remembered.extend(unsure.into_iter().chain(unsent));
    }

    async fn run(
        &mut self,
        context: &Context,
        args: &ConsumeArgs,
        session: &mut Session,
        stop: &mut Stop,
    ) -> Result<(), Broken<ClientError>> {
        let mut idle_since = Instant::now();
        while !self.complete() {
            let over = match args.idle_timeout {
                Some(span) => Either::Left(sleep_until(idle_since + span.0)),
                None => Either::Right(pending()),
            };
            tokio::select! {
                message = next(&mut session.subscription) => {
                    self.take(context, args, session, message?, stop).await?;
                    idle_since = Instant::now();
                }
                settled = first(&mut session.settling) => {
                    settled?;
                    self.settle(session, false);
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

    /// Handles a message and those right behind it: one flush of stdout and one ack for all.
    async fn take(
        &mut self,
        context: &Context,
        args: &ConsumeArgs,
        session: &mut Session,
        message: Message,
        stop: &mut Stop,
    ) -> Result<(), Broken<ClientError>> {
        let mut coming = Some(message);
        let mut out = Vec::new();
        let mut printed = VecDeque::new();
        let mut outcome = Ok(());
        while let Some(message) = coming.take() {
            let handled = Handled {
                tag: message.tag(),
                id: shown::id(&message).to_owned(),
            };
            if self.remembered.remove(&handled.id) {
                printed.push_back(handled);
            } else if let Some(command) = &args.exec {
                self.count += 1;
                let delivery = Delivery {
                    tag: 0,
                    id: &handled.id,
                    attempt: shown::attempt(&message),
                    key: message.header("key").map(str::to_owned),
                };
                if exec::handle(command, &args.topic, &delivery, message.body(), stop).await? {
                    self.handled.push_back(handled);
                    self.settle(session, false);
                } else {
                    self.count -= 1;
                    let wait = exec::wait(delivery.attempt);
                    if is_destination(&args.topic) {
                        // Another server may send it again at once.
                        tokio::select! {
                            () = sleep(wait) => {}
                            () = stop.asked() => return Err(interrupted().into()),
                        }
                    }
                    let millis = wait.as_millis().to_string();
                    let nack = session.client.nack(&message).receipt("auto");
                    let outcome = nack.header("delay", &millis).start();
                    let settling = Settling::new(outcome, Vec::new());
                    session.settling.push_back(settling);
                }
            } else {
                self.count += 1;
                print(context, &message, &mut out)?;
                printed.push_back(handled);
            }
            if out.len() < PRINTED_AT_ONCE && !self.complete() {
                match next(&mut session.subscription).now_or_never() {
                    Some(Ok(message)) => coming = Some(message),
                    Some(Err(error)) => outcome = Err(error.into()),
                    None => {}
                }
            }
        }
        // Acked only once it is written.
        let mut stdout = io::stdout().lock();
        stdout.write_all(&out)?;
        stdout.flush()?;
        drop(stdout);
        if !args.no_ack {
            self.handled.append(&mut printed);
            self.settle(session, false);
        }
        outcome
    }

    /// Sends the acks that are due, unless enough are on their way; then they go with the next.
    fn settle(&mut self, session: &mut Session, at_the_end: bool) {
        if session.settling.len() >= SETTLING_MAX && !at_the_end {
            return;
        }
        // An ack lets the server send another message. So that none is sent beyond the limit, the
        // last acks wait for the end.
        let due = match self.limit {
            Some(limit) if !at_the_end => {
                let free = limit.saturating_sub(u64::from(self.credit) + self.acked);
                self.handled
                    .len()
                    .min(usize::try_from(free).unwrap_or(usize::MAX))
            }
            _ => self.handled.len(),
        };
        if due == 0 {
            return;
        }
        self.acked += due as u64;
        let handled: Vec<_> = self.handled.drain(..due).collect();
        let ack = |tag| Operation::ack(Acked::Tag(tag));
        if self.mode == AckMode::ClientIndividual {
            for handled in &handled[..due - 1] {
                // What fails ends the session, and so the last one as well.
                drop(session.client.execute(ack(handled.tag)));
            }
        }
        let last = ack(handled[due - 1].tag).with("receipt", "auto");
        let Ok(outcome) = session.client.execute(last) else {
            unreachable!("an ACK of a message is an operation");
        };
        let ids = handled.into_iter().map(|handled| handled.id).collect();
        session.settling.push_back(Settling::new(outcome, ids));
    }

    /// Waits until all acks are taken, and lets go what was not handled.
    async fn end(mut self, mut session: Session) -> Result<(), Failure> {
        self.settle(&mut session, true);
        // Ends it right behind the acks: what they make room for is not for us.
        session.subscription = None;
        let goodbye = session.client.disconnect().start();
        let farewell = async {
            for settling in session.settling.drain(..) {
                if let Some(outcome) = settling.outcome {
                    outcome.await?;
                }
            }
            goodbye.await?;
            Ok::<(), ClientError>(())
        };
        match timeout(FAREWELL, farewell).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(Failure::timed_out("no answer to the last acks")),
        }
    }
}

/// The next message; never, if there is no subscription.
async fn next(subscription: &mut Option<Subscription>) -> Result<Message, ClientError> {
    let Some(open) = subscription else {
        return pending().await;
    };
    match open.next().await {
        Some(message) => message,
        None => {
            // Nobody but this command ends it.
            *subscription = None;
            pending().await
        }
    }
}

/// Waits for the oldest ack; never ends, if there is none. One that failed stays, with what it
/// was about.
async fn first(settling: &mut VecDeque<Settling>) -> Result<(), ClientError> {
    let Some(oldest) = settling.front_mut() else {
        return pending().await;
    };
    if let Some(outcome) = &mut oldest.outcome
        && let Err(error) = outcome.await
    {
        oldest.outcome = None;
        return Err(error);
    }
    settling.pop_front();
    Ok(())
}

fn interrupted() -> Failure {
    Failure::failed("interrupted; the message goes back")
}

fn print(context: &Context, message: &Message, out: &mut Vec<u8>) -> Result<(), Failure> {
    if context.output.json {
        let object = serde_json::to_vec(&Shown(message));
        let object = object.map_err(|error| Failure::failed(error.to_string()))?;
        output::put_line(out, &object);
    } else {
        out.extend_from_slice(message.body());
        out.push(b'\n');
    }
    Ok(())
}
