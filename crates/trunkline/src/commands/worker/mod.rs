//! Any program as a worker: of a Trunkline server, or on Redis without one.

mod direct;
mod gateway;
mod program;

use crate::{args::WorkerArgs, context::Context, failure::Failure};

pub(crate) async fn worker(context: &Context, args: WorkerArgs) -> Result<(), Failure> {
    match args.engine.clone() {
        Some(engine) => direct::worker(context, args, &engine).await,
        None => gateway::worker(context, args).await,
    }
}
