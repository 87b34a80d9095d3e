use super::chunk::Encoded;
use crate::{commands::again, context::Context, failure::Failure, signal::Stop};
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::VecDeque;
use trunkline::{Connection, Durability, Pending, RequestError};

const PUBLISH: &str = "rpc.topic.publish";
/// Requests in flight: enough to keep a disk busy while the next ones travel.
const REQUESTS_MAX: usize = 16;
/// Ids that are kept to be printed.
const IDS_MAX: usize = 10_000;

/// What is to be published.
pub(in crate::commands) trait Source {
    /// The next request; `None` at the end. Nothing is lost if it isn't waited for to its end.
    async fn next(&mut self) -> Option<Result<Encoded, Failure>>;
}

/// Publishes in flight, in the order of the source.
pub(in crate::commands) struct Window {
    client: Connection,
    retry: bool,
    bar: ProgressBar,
    flying: VecDeque<Flight>,
    outcome: Outcome,
}

/// A request, kept until it is confirmed.
struct Flight {
    encoded: Encoded,
    answer: Result<Pending, RequestError>,
}

/// What came of it.
#[derive(Default)]
pub(in crate::commands) struct Outcome {
    /// Messages that were sent.
    pub(in crate::commands) sent: u64,
    /// Messages confirmed without a gap from the first one on.
    pub(in crate::commands) confirmed: u64,
    /// What the confirmed messages survive, as the server says.
    pub(super) durability: Option<Durability>,
    pub(super) ids: Ids,
}

/// Ids of confirmed messages.
#[derive(Default)]
pub(in crate::commands) struct Ids {
    pub(super) first: Option<String>,
    pub(super) last: Option<String>,
    /// The first ones, all of them if there are not too many.
    pub(super) all: Vec<String>,
}

impl Window {
    pub(in crate::commands) fn new(client: Connection, retry: bool, bar: ProgressBar) -> Self {
        Self {
            client,
            retry,
            bar,
            flying: VecDeque::new(),
            outcome: Outcome::default(),
        }
    }

    /// The connection of now.
    pub(in crate::commands) fn client(&self) -> &Connection {
        &self.client
    }

    /// Publishes everything; ends once it is confirmed. What can't be read or encoded ends it
    /// too, after everything before it is confirmed.
    pub(in crate::commands) async fn run(
        &mut self,
        context: &Context,
        source: &mut impl Source,
        stop: &mut Stop,
    ) -> Result<(), Failure> {
        let mut end = None;
        while end.is_none() || !self.flying.is_empty() {
            tokio::select! {
                // What is confirmed is counted before anything else goes wrong.
                biased;
                answer = first(&mut self.flying) => {
                    if let Err(error) = self.settle(answer) {
                        self.recover(context, stop, error).await?;
                    }
                }
                next = source.next(), if end.is_none() && self.flying.len() < REQUESTS_MAX => {
                    match next {
                        Some(Ok(encoded)) => self.send(encoded).await,
                        Some(Err(failure)) => end = Some(Err(failure)),
                        None => end = Some(Ok(())),
                    }
                }
                () = stop.asked() => return Err(Failure::failed("interrupted")),
            }
        }
        end.unwrap_or(Ok(()))
    }

    pub(in crate::commands) fn finish(self) -> Outcome {
        self.bar.finish_and_clear();
        self.outcome
    }

    /// A request that can't be sent any more fails in its turn, after those before it.
    async fn send(&mut self, encoded: Encoded) {
        self.outcome.sent += encoded.messages;
        let answer = self.client.start(PUBLISH, &encoded.params).await;
        self.flying.push_back(Flight { encoded, answer });
    }

    /// Counts the oldest request's answer.
    fn settle(&mut self, answer: Result<Box<RawValue>, RequestError>) -> Result<(), RequestError> {
        #[derive(Deserialize)]
        struct Published {
            ids: Vec<String>,
            durability: Option<Durability>,
        }
        let answer = answer?;
        let Some(Flight { encoded, .. }) = self.flying.pop_front() else {
            return Ok(());
        };
        let published: Published = serde_json::from_str(answer.get())
            .map_err(|error| RequestError::Unreadable(error.to_string().into()))?;
        self.outcome.confirmed += encoded.messages;
        self.outcome.durability = published.durability;
        self.outcome.ids.add(published.ids);
        self.bar.set_position(self.outcome.confirmed);
        Ok(())
    }

    /// Connects again and sends again what is not confirmed, if that was asked for and can help.
    pub(in crate::commands) async fn recover(
        &mut self,
        context: &Context,
        stop: &mut Stop,
        error: RequestError,
    ) -> Result<(), Failure> {
        let mut cause = error;
        for attempt in 0.. {
            if !self.retry || !again::passes(&cause) {
                return Err(cause.into());
            }
            if attempt == 0 {
                self.bar.suspend(|| eprintln!("{cause}; connecting again"));
            }
            if !again::wait(attempt, stop).await {
                return Err(Failure::failed("interrupted"));
            }
            match self.reconnect(context).await {
                Ok(()) => return Ok(()),
                Err(Some(error)) => cause = error,
                Err(None) => {}
            }
        }
        Ok(())
    }

    /// `Err(None)`: nobody there yet.
    async fn reconnect(&mut self, context: &Context) -> Result<(), Option<RequestError>> {
        let (client, _) = context.connect().await.map_err(|_| None)?;
        self.client = client;
        for flight in &mut self.flying {
            flight.answer = Ok(self.client.start(PUBLISH, &flight.encoded.params).await?);
        }
        Ok(())
    }
}

/// The answer to the oldest request; never, if there is none.
async fn first(flying: &mut VecDeque<Flight>) -> Result<Box<RawValue>, RequestError> {
    match flying.front_mut().map(|flight| &mut flight.answer) {
        Some(Ok(pending)) => pending.await,
        Some(Err(error)) => Err(error.clone()),
        None => std::future::pending().await,
    }
}

impl Ids {
    fn add(&mut self, ids: Vec<String>) {
        if self.first.is_none() {
            self.first = ids.first().cloned();
        }
        if let Some(last) = ids.last() {
            self.last = Some(last.clone());
        }
        let room = IDS_MAX.saturating_sub(self.all.len());
        self.all.extend(ids.into_iter().take(room));
    }
}
