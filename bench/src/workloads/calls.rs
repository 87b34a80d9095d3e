//! Calls to a worker that echoes its params: both at this end, the server between them.

use std::thread;

use anyhow::{Context as _, Result, ensure};
use memchr::memmem::Finder;
use serde_json::json;

use super::Context;
use crate::load::{self, Exchange};
use crate::measure::Measure;
use crate::rpc::{self, Request, Requester, scan};
use crate::ws::{Closer, WebSocket};

const HANDLER: &str = "bench";
const METHOD: &str = "bench.echo";

/// `connections` callers with `window` calls in flight each; one worker.
pub(super) fn run(context: &Context<'_>, connections: u32, window: u32) -> Result<Measure> {
    let params = format!("[{}]", rpc::payload());
    let worker = Worker::start(context, connections * window)?;
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
        .map(|_| {
            Ok(Requester::new(
                context.connect()?,
                Request::new(METHOD, params),
            ))
        })
        .collect()
}

/// Answers every call with the payload it brought.
struct Worker {
    socket: WebSocket,
    /// Finds the payload that every call has to bring.
    payload: Finder<'static>,
    answer: Vec<u8>,
}

impl Worker {
    fn start(context: &Context<'_>, concurrency: u32) -> Result<Worker> {
        let mut socket = context.connect()?;
        let params = json!({
            "handler": HANDLER,
            "methods": [METHOD],
            "concurrency": concurrency,
        });
        rpc::request(&mut socket, "rpc.worker.register", &params)?;
        Ok(Worker {
            socket,
            payload: Finder::new(rpc::payload().as_bytes()).into_owned(),
            answer: Vec::new(),
        })
    }

    fn closer(&self) -> Result<Closer> {
        self.socket.closer()
    }

    /// Works until the connection ends.
    fn work(mut self) -> Result<()> {
        loop {
            self.socket.fill()?;
            while let Some((call, outgoing)) = self.socket.next_text()? {
                let id = scan::id_text(call).context("a call without an id")?;
                ensure!(
                    self.payload.find(call).is_some(),
                    "not the call that was made: {}",
                    String::from_utf8_lossy(call)
                );
                self.answer.clear();
                self.answer.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
                self.answer.extend_from_slice(id);
                self.answer.extend_from_slice(br#","result":"#);
                self.answer.extend_from_slice(self.payload.needle());
                self.answer.push(b'}');
                outgoing.queue(&self.answer);
            }
            self.socket.flush()?;
        }
    }
}
