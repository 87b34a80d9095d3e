//! Calls to a worker of ours that echoes.

use std::thread;

use anyhow::Result;

use super::{LoadPlan, LoadResult, measure};
use crate::load::Gauge;
use crate::rpc::{self, Requester};
use crate::workloads::calls::Worker;

pub(super) fn run(plan: &LoadPlan, gauge: &Gauge) -> Result<LoadResult> {
    let payload = rpc::payload_of(plan.payload_bytes);
    let handler = format!("bench.{}", plan.name);
    let method = format!("{handler}.echo");
    let concurrency = plan.connections.saturating_mul(plan.window);
    let worker = Worker::start(plan.connect()?, &handler, &method, concurrency, &payload)?;
    let closer = worker.closer()?;
    let working = thread::Builder::new()
        .name("worker".to_owned())
        .spawn(move || worker.work())?;
    let params = format!("[{payload}]");
    let called = (0..plan.connections)
        .map(|_| Ok(Requester::new(plan.connect()?, &method, &params).expecting(&payload)))
        .collect::<Result<Vec<_>>>()
        .and_then(|mut callers| measure(plan, gauge, &mut callers));
    closer.close();
    let worked = working.join().expect("the worker returns its errors");
    called.map_err(|error| match worked {
        // What the worker saw comes first: the callers only saw that it was gone.
        Err(worker) => error.context(format!("the worker ended: {worker:#}")),
        Ok(()) => error,
    })
}
