//! Calls to a worker that echoes its params: both at this end, the server between them.

use std::thread;

use anyhow::{Context as _, Result, ensure};
use memchr::memmem;
use serde_json::json;

use super::Context;
use crate::load::{self, Exchange};
use crate::measure::Measure;
use crate::net::Closer;
use crate::rpc::{self, Requester, scan};
use crate::ws::{Template, WebSocket};

const HANDLER: &str = "bench";
const METHOD: &str = "bench.echo";

/// `connections` callers with `window` calls in flight each; one worker.
pub(super) fn run(context: &Context<'_>, connections: u32, window: u32) -> Result<Measure> {
    let params = format!("[{}]", rpc::payload());
    let payload = rpc::payload();
    let concurrency = connections * window;
    let worker = Worker::start(context.connect()?, HANDLER, METHOD, concurrency, &payload)?;
    let closer = worker.closer()?;
    measure(
        context,
        move || worker.work(),
        || closer.close(),
        || callers(context, connections, &params),
        window,
    )
}

/// Loads `callers` while `work` answers them on another thread, until `stop` ends its connection.
pub(crate) fn measure<E: Exchange>(
    context: &Context<'_>,
    work: impl FnOnce() -> Result<()> + Send + 'static,
    stop: impl FnOnce(),
    callers: impl FnOnce() -> Result<Vec<E>>,
    window: u32,
) -> Result<Measure> {
    let working = thread::Builder::new()
        .name("worker".to_owned())
        .spawn(work)?;
    let load = callers().and_then(|callers| {
        load::run_fleet(
            callers,
            window,
            context.plan.warm_up,
            context.plan.measure,
            &context.meter_without_disk(),
        )
    });
    stop();
    let worked = working.join().expect("the worker returns its errors");
    match (load, worked) {
        (Ok(load), _) => Ok(Measure::of_load(&load)),
        // What the worker saw comes first: the callers only saw that it was gone.
        (Err(callers), Err(worker)) => {
            Err(callers.context(format!("the worker ended: {worker:#}")))
        }
        (Err(callers), Ok(())) => Err(callers),
    }
}

fn callers(context: &Context<'_>, connections: u32, params: &str) -> Result<Vec<Requester>> {
    (0..connections)
        .map(|_| Ok(Requester::new(context.connect()?, METHOD, params).expecting(&rpc::payload())))
        .collect()
}

/// Answers every call with the payload it brought.
pub(crate) struct Worker {
    socket: WebSocket,
    echo: Echo,
}

/// What a call looks like and what is answered: of calls that only differ in their ids, the second
/// costs two comparisons and a copy.
struct Echo {
    payload: Vec<u8>,
    /// What the last call had before its id, and behind it.
    head: Vec<u8>,
    tail: Vec<u8>,
    answer: Template,
}

impl Worker {
    /// Offers `method`; `payload` is the JSON text that each of its calls brings.
    pub(crate) fn start(
        mut socket: WebSocket,
        handler: &str,
        method: &str,
        concurrency: u32,
        payload: &str,
    ) -> Result<Worker> {
        let params = json!({
            "handler": handler,
            "methods": [method],
            "concurrency": concurrency,
        });
        rpc::request(&mut socket, "rpc.worker.register", &params)?;
        Ok(Worker {
            socket,
            echo: Echo::new(payload.to_owned()),
        })
    }

    pub(crate) fn closer(&self) -> Result<Closer> {
        self.socket.closer()
    }

    /// Works until the connection ends.
    pub(crate) fn work(mut self) -> Result<()> {
        loop {
            self.socket.fill()?;
            while let Some((call, outgoing)) = self.socket.next_text()? {
                outgoing.queue_frame(self.echo.answer(call)?);
            }
            self.socket.flush()?;
        }
    }
}

impl Echo {
    /// `payload` is the JSON text that every call has to bring.
    fn new(payload: String) -> Echo {
        Echo {
            answer: answer_template(&payload, 0),
            payload: payload.into_bytes(),
            head: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// The frame that answers `call`.
    fn answer(&mut self, call: &[u8]) -> Result<&[u8]> {
        let usual = call
            .strip_prefix(&*self.head)
            .and_then(|rest| rest.strip_suffix(&*self.tail))
            .filter(|id| !id.is_empty() && !self.tail.is_empty());
        let id = match usual {
            Some(id) => id,
            None => self.learn(call)?,
        };
        if id.len() != self.answer.width(ID_HOLE) {
            let payload = String::from_utf8_lossy(&self.payload);
            self.answer = answer_template(&payload, id.len());
        }
        self.answer.fill(ID_HOLE, id);
        Ok(self.answer.frame())
    }

    /// The id of a call that isn't like the one before.
    fn learn<'c>(&mut self, call: &'c [u8]) -> Result<&'c [u8]> {
        let id = scan::id_place(call).context("a call without an id")?;
        ensure!(
            memmem::find(call, &self.payload).is_some(),
            "not the call that was made: {}",
            String::from_utf8_lossy(call)
        );
        self.head = call[..id.start].to_vec();
        self.tail = call[id.end..].to_vec();
        Ok(&call[id])
    }
}

const ID_HOLE: usize = 0;

/// The answer to a call whose id has `width` bytes.
fn answer_template(payload: &str, width: usize) -> Template {
    let tail = format!(r#","result":{payload}}}"#);
    Template::new(&[br#"{"jsonrpc":"2.0","id":"#, tail.as_bytes()], &[width])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_the_id_of_the_call_whatever_it_looks_like() {
        let mut echo = Echo::new(r#""abc""#.to_owned());
        for id in ["1", "2", "10", r#""x-1""#, r#""x-2""#, "3"] {
            let expected = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"abc"}}"#);
            let mut frame = Vec::new();
            for call in [
                format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m","params":["abc"]}}"#),
                format!(r#"{{"method":"m","params":["abc"],"id":{id}}}"#),
            ] {
                frame.clear();
                frame.extend_from_slice(&echo.answer(call.as_bytes()).unwrap()[2..]);
                let (key, text) = frame.split_first_chunk_mut::<4>().unwrap();
                for (byte, key) in text.iter_mut().zip(key.iter().cycle()) {
                    *byte ^= key;
                }
                assert_eq!(text, expected.as_bytes(), "{call}");
            }
        }
        assert!(
            echo.answer(br#"{"id":1,"method":"m","params":["ab"]}"#)
                .is_err()
        );
        assert!(echo.answer(br#"{"method":"m","params":["abc"]}"#).is_err());
    }
}
