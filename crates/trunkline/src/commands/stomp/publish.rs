use super::{
    connect::{Servers, unreachable},
    of_topic, passes,
};
use crate::{
    args::{KeyValue, MessageArgs, PublishArgs},
    commands::{
        consume::FAREWELL,
        publish::{Chunk, Input, progress_bar},
    },
    context::Context,
    failure::Failure,
    signal::Stop,
    text,
};
use bytes::Bytes;
use indicatif::ProgressBar;
use serde_json::json;
use std::{collections::VecDeque, time::Instant};
use tokio::time::timeout;
use trunkline::Payload;
use trunkline_stomp::{Client, ClientError, Outcome, StompUrl};

/// Messages without a receipt, and their bytes: enough to keep a disk busy while the next travel.
const MESSAGES_MAX: usize = 4_096;
const BYTES_MAX: usize = 8 << 20;
/// Bytes of a frame besides its payload, about.
const OVERHEAD: usize = 128;
/// The least urgent priority of the command line that STOMP has a number for.
const PRIORITY_MAX: u8 = 9;

pub(in crate::commands) async fn publish(
    context: &Context,
    url: &StompUrl,
    args: &PublishArgs,
) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let servers = Servers::new(url)?;
    let destination = of_topic(&args.topic).map_err(Failure::usage)?;
    let headers = headers(&args.message)?;
    let mut input = Input::of(args, OVERHEAD)?;
    let begin = Instant::now();
    let client = tokio::select! {
        client = servers.connect() => client.map_err(unreachable)?,
        () = stop.asked() => return Err(Failure::failed("interrupted")),
    };
    let mut window = Window {
        client,
        destination,
        headers,
        json: args.message.json_payload,
        run: args.retry.then(trunkline::unique_name),
        flying: VecDeque::new(),
        bytes: 0,
        sent: 0,
        confirmed: 0,
        bar: progress_bar(),
    };
    let outcome = window.run(&servers, &mut input, &mut stop).await;
    window.bar.finish_and_clear();
    let (confirmed, sent) = (window.confirmed, window.sent);
    let elapsed = begin.elapsed();
    let verdict = format!("confirmed {confirmed} of {sent}");
    if let Err(failure) = outcome {
        // Without anything sent, nothing needs to be told about it.
        if sent > 0 {
            eprintln!("{verdict}");
        }
        return Err(failure);
    }
    // Everything is confirmed: a goodbye that nobody hears costs nothing.
    let _ = timeout(FAREWELL, window.client.disconnect().start()).await;
    if context.output.json {
        context.output.object(&json!({
            "topic": args.topic, "destination": window.destination,
            "confirmed": confirmed, "sent": sent, "elapsed_ms": elapsed.as_secs_f64() * 1e3,
        }))?;
    } else {
        let (time, rate) = (text::time(elapsed), text::rate(confirmed, elapsed));
        eprintln!("{verdict} in {time} ({rate})");
    }
    Ok(())
}

/// What the options are called in a SEND.
fn headers(args: &MessageArgs) -> Result<Vec<(String, String)>, Failure> {
    let MessageArgs {
        json_payload,
        key,
        group,
        priority,
        ttl,
        delay,
        headers,
    } = args;
    let priority = match priority {
        // The other way round: 9 is most urgent there.
        Some(priority) if *priority <= PRIORITY_MAX => Some(PRIORITY_MAX - priority),
        Some(_) => {
            return Err(Failure::usage(
                "--priority: over STOMP there are priorities 0 to 9",
            ));
        }
        None => None,
    };
    let millis =
        |span: &Option<trunkline_model::Span>| span.map(|span| span.0.as_millis().to_string());
    let options = [
        ("key", key.clone()),
        ("group", group.clone()),
        ("priority", priority.map(|priority| priority.to_string())),
        ("ttl", millis(ttl)),
        ("delay", millis(delay)),
        (
            "content-type",
            json_payload.then(|| "application/json".to_owned()),
        ),
    ];
    let options = options
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let own = headers
        .iter()
        .map(|KeyValue { key, value }| (key.clone(), value.clone()));
    // Of repeated headers the first counts, and an option says what it means.
    Ok(options.chain(own).collect())
}

/// Messages on their way, in order.
struct Window {
    client: Client,
    destination: String,
    headers: Vec<(String, String)>,
    /// Payloads have to be JSON.
    json: bool,
    /// What publish ids begin with, if there are any.
    run: Option<String>,
    flying: VecDeque<Flight>,
    bytes: usize,
    sent: u64,
    confirmed: u64,
    bar: ProgressBar,
}

/// A message, kept until it is confirmed.
struct Flight {
    /// From 0.
    number: u64,
    payload: Bytes,
    outcome: Outcome,
}

impl Window {
    /// Publishes everything; ends once it is confirmed. What can't be read ends it too, after
    /// everything before it is confirmed.
    async fn run(
        &mut self,
        servers: &Servers,
        input: &mut Input,
        stop: &mut Stop,
    ) -> Result<(), Failure> {
        let mut end = None;
        while end.is_none() || !self.flying.is_empty() {
            let room = self.flying.len() < MESSAGES_MAX && self.bytes < BYTES_MAX;
            tokio::select! {
                // What is confirmed is counted before anything else goes wrong.
                biased;
                result = first(&mut self.flying) => match result {
                    Ok(()) => self.settle(),
                    Err(error) => self.recover(servers, stop, error).await?,
                },
                next = input.next(), if end.is_none() && room => match next {
                    Some(Ok(chunk)) => {
                        if let Err(failure) = self.send_all(&chunk) {
                            end = Some(Err(failure));
                        }
                    }
                    Some(Err(error)) => {
                        end = Some(Err(Failure::failed(format!("can't read stdin: {error}"))));
                    }
                    None => end = Some(Ok(())),
                },
                () = stop.asked() => return Err(Failure::failed("interrupted")),
            }
        }
        end.unwrap_or(Ok(()))
    }

    fn send_all(&mut self, chunk: &Chunk) -> Result<(), Failure> {
        for payload in chunk.payloads() {
            let number = self.sent;
            if self.json {
                Payload::json(payload)
                    .map_err(|error| Failure::usage(format!("message {}: {error}", number + 1)))?;
            }
            self.sent += 1;
            self.bytes += payload.len();
            let payload = Bytes::copy_from_slice(payload);
            let outcome = self.send(number, payload.clone());
            self.flying.push_back(Flight {
                number,
                payload,
                outcome,
            });
        }
        Ok(())
    }

    fn send(&self, number: u64, payload: Bytes) -> Outcome {
        let mut request = self.client.send(&self.destination, payload).receipt("auto");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(run) = &self.run {
            request = request.header("publish-id", &format!("{run}-{number}"));
        }
        request.start()
    }

    fn settle(&mut self) {
        if let Some(flight) = self.flying.pop_front() {
            self.bytes -= flight.payload.len();
            self.confirmed += 1;
            self.bar.set_position(self.confirmed);
        }
    }

    /// Connects again and sends again what is not confirmed, if that was asked for and can help.
    async fn recover(
        &mut self,
        servers: &Servers,
        stop: &mut Stop,
        error: ClientError,
    ) -> Result<(), Failure> {
        if self.run.is_none() || !passes(&error) {
            return Err(error.into());
        }
        self.bar.suspend(|| eprintln!("{error}; connecting again"));
        let client = servers.connect_again(stop).await;
        self.client = client.ok_or_else(|| Failure::failed("interrupted"))?;
        let mut flying = std::mem::take(&mut self.flying);
        for flight in &mut flying {
            flight.outcome = self.send(flight.number, flight.payload.clone());
        }
        self.flying = flying;
        Ok(())
    }
}

/// What becomes of the oldest message; never, if there is none.
async fn first(flying: &mut VecDeque<Flight>) -> Result<(), ClientError> {
    match flying.front_mut() {
        Some(flight) => (&mut flight.outcome).await.map(drop),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_headers() {
        let args = MessageArgs {
            json_payload: true,
            key: Some("k".to_owned()),
            priority: Some(0),
            ttl: Some("2s".parse().unwrap()),
            headers: vec!["h=v".parse().unwrap()],
            ..MessageArgs::default()
        };
        let pairs = headers(&args).unwrap();
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| format!("{name}:{value}"))
            .collect();
        assert_eq!(
            pairs,
            [
                "key:k",
                "priority:9",
                "ttl:2000",
                "content-type:application/json",
                "h:v"
            ]
        );
        let beyond = MessageArgs {
            priority: Some(10),
            ..MessageArgs::default()
        };
        assert!(headers(&beyond).is_err());
    }
}
