//! A worker on Redis, without a Trunkline server in between: it serves whatever gateways speak the wire.

use super::program::{self, Job};
use crate::{
    args::{WireName, WorkerArgs},
    context::Context,
    failure::Failure,
    signal::Stop,
    text,
};
use bytes::Bytes;
use serde_json::json;
use std::{
    ffi::OsString,
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tracing_subscriber::EnvFilter;
use trunkline::{
    CallPeer, ConsumerGroupsOptions, Failure as HandlerFailure, Handler, HandlerContext,
    MethodSpec, PeerError, QueueMode, RpcError, RpcProcessorOptions, unique_name,
};
use trunkline_model::Span;

/// Longest wait, at the end, for what runs: as good as for ever, a second signal ends it.
const FINISH_WITHIN: Duration = Duration::from_secs(30 * 24 * 3_600);
/// The class of calls where none is named, as on the wires of others.
const CATEGORY: &str = "general";

pub(super) async fn worker(
    context: &Context,
    args: WorkerArgs,
    engine: &str,
) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    log();
    let peer = tokio::select! {
        peer = open(&args, engine) => peer.map_err(refused)?,
        () = stop.asked() => return Ok(()),
    };
    let done = Arc::new(Done::default());
    let serving = peer.serve(handler(&args, &done));
    let serving = serving.map_err(|error| Failure::usage(error.to_string()))?;
    let (name, methods) = (&args.handler, args.methods.join(", "));
    eprintln!("worker of {name} ready on {peer}: {methods}");
    stop.asked().await;
    serving.drain();
    let running = serving.running();
    if running > 0 {
        let running = text::counted(u64::from(running), "call");
        eprintln!("finishing {running}; once more to kill");
    }
    tokio::select! {
        () = peer.close(FINISH_WITHIN) => {}
        () = stop.asked() => {}
    }
    drop(serving);
    let (answered, failed) = (
        done.answered.load(Ordering::Relaxed),
        done.failed.load(Ordering::Relaxed),
    );
    if context.output.json {
        let ended = json!({"event": "stopped", "answered": answered, "failed": failed});
        context.output.object(&ended)?;
    }
    let calls = text::counted(answered + failed, "call");
    eprintln!("answered {calls}, {failed} of them with an error");
    Ok(())
}

/// What became of calls.
#[derive(Default)]
struct Done {
    answered: AtomicU64,
    failed: AtomicU64,
}

async fn open(args: &WorkerArgs, engine: &str) -> Result<CallPeer, PeerError> {
    let category = args.category.as_deref().unwrap_or(CATEGORY);
    match args.wire {
        WireName::Native => CallPeer::native(engine, category).await,
        WireName::ConsumerGroups => {
            let name = || format!("trunkline-{}", unique_name());
            let options = ConsumerGroupsOptions {
                // Without, all calls are in `general`, which is the default category.
                separate_categories: true,
                host: args.consumer_host.clone().unwrap_or_else(name),
                index: args.consumer_index,
                ..ConsumerGroupsOptions::default()
            };
            CallPeer::consumer_groups(engine, options, category).await
        }
        WireName::Rpcprocessor => {
            let mut options = RpcProcessorOptions::default();
            if args.by_method {
                options.serve_mode = QueueMode::ByMethod;
            }
            options.processing.clone_from(&args.processing);
            if let Some(Span(timeout)) = args.call_timeout {
                options.call_timeout = timeout;
            }
            CallPeer::rpcprocessor(engine, options, category).await
        }
    }
}

/// The wires tell their trouble while they try again.
fn log() {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("warn"))
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// The program, as methods.
fn handler(args: &WorkerArgs, done: &Arc<Done>) -> Handler {
    let mut handler = Handler::new(args.handler.as_str()).concurrency(args.concurrency);
    let command = Arc::new(args.command.clone());
    for name in &args.methods {
        let spec = MethodSpec {
            name: name.into(),
            description: None,
            params_schema: None,
            result_schema: None,
            idempotent: args.idempotent,
        };
        let (command, done) = (Arc::clone(&command), Arc::clone(done));
        handler = handler.raw_with(spec, move |params, context| {
            let (command, done) = (Arc::clone(&command), Arc::clone(&done));
            async move {
                let outcome = run(&command, params, &context).await;
                let count = match &outcome {
                    Ok(_) => &done.answered,
                    Err(_) => &done.failed,
                };
                count.fetch_add(1, Ordering::Relaxed);
                outcome
            }
        });
    }
    handler
}

async fn run(
    command: &[OsString],
    params: Option<Bytes>,
    context: &HandlerContext,
) -> Result<Bytes, HandlerFailure> {
    let job = Job {
        method: context.method(),
        params: params.as_deref().unwrap_or_default(),
        deadline: Some(context.deadline()),
    };
    let ran = program::run(command, job, context.cancelled()).await;
    ran.map(Bytes::from).map_err(failure)
}

/// The same error, as handlers give it.
fn failure(error: RpcError) -> HandlerFailure {
    let code = i32::try_from(error.code).unwrap_or(RpcError::FAILED as i32);
    let failure = HandlerFailure::new(code, error.message);
    match error.data {
        Some(data) => failure.with_data(data),
        None => failure,
    }
}

fn refused(error: PeerError) -> Failure {
    match error {
        PeerError::Unreachable { .. } => Failure::unreachable(error.to_string()),
        other => Failure::usage(format!("--engine: {other}")),
    }
}
