//! A worker of a Trunkline server.

use super::program::{self, Job};
use crate::{
    args::WorkerArgs, commands::again, context::Context, failure::Failure, signal::Stop, text,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{sync::oneshot, task::JoinSet, time::timeout};
use trunkline::{Connection, ErrorCode, Push, Pushes, RequestError, RpcError};
use trunkline_model::Timestamp;

pub(super) async fn worker(context: &Context, args: WorkerArgs) -> Result<(), Failure> {
    let args = Arc::new(args);
    let mut stop = Stop::listen()?;
    let mut connection = tokio::select! {
        connection = context.connect() => connection?,
        () = stop.asked() => return Ok(()),
    };
    loop {
        let mut session = Session::register(&args, connection).await?;
        let (handler, methods) = (&args.handler, args.methods.join(", "));
        eprintln!("worker of {handler} ready: {methods}");
        match session.serve(&mut stop).await {
            End::Stopped => return session.drain(&mut stop).await,
            End::Lost(reason) => eprintln!("{reason}; connecting again"),
            End::Ended(error) => {
                return Err(Failure::from(RequestError::from(error))
                    .while_doing("the server ended the worker"));
            }
        }
        drop(session);
        connection = match again::connect(context, &mut stop).await {
            Some(connection) => connection,
            None => return Ok(()),
        };
    }
}

enum End {
    Stopped,
    Lost(Arc<str>),
    Ended(RpcError),
}

/// One connection: the calls that run for it end with it.
struct Session {
    args: Arc<WorkerArgs>,
    client: Connection,
    pushes: Pushes,
    /// Calls that can be cancelled, by the text of their id.
    cancels: HashMap<String, oneshot::Sender<()>>,
    running: JoinSet<String>,
}

impl Session {
    async fn register(
        args: &Arc<WorkerArgs>,
        (client, pushes): (Connection, Pushes),
    ) -> Result<Self, Failure> {
        let methods: Vec<_> = args
            .methods
            .iter()
            .map(|name| json!({"name": name, "idempotent": args.idempotent}))
            .collect();
        let mut params = json!({
            "handler": args.handler, "methods": methods,
            "concurrency": args.concurrency, "meta": true,
        });
        if let Some(category) = &args.category {
            params["category"] = json!(category);
        }
        client.request("rpc.worker.register", &params).await?;
        Ok(Self {
            args: Arc::clone(args),
            client,
            pushes,
            cancels: HashMap::new(),
            running: JoinSet::new(),
        })
    }

    async fn serve(&mut self, stop: &mut Stop) -> End {
        loop {
            tokio::select! {
                push = self.pushes.next() => match push {
                    Some(push) => match ended(&push) {
                        Some(error) => return End::Ended(error),
                        None => self.take(push),
                    },
                    None => return End::Lost(self.pushes.loss()),
                },
                Some(done) = self.running.join_next() => self.finished(done.ok()),
                () = stop.asked() => return End::Stopped,
            }
        }
    }

    /// Takes no more calls and finishes those that run; a second signal kills them.
    async fn drain(mut self, stop: &mut Stop) -> Result<(), Failure> {
        if !self.running.is_empty() {
            let running = text::counted(self.running.len() as u64, "call");
            eprintln!("finishing {running}; once more to kill");
        }
        let work = async {
            // Calls that were on their way before the server heard of it are still run.
            let drained = self.client.start("rpc.worker.drain", &json!({})).await;
            let Ok(mut drained) = drained else { return };
            let mut told = false;
            while !told || !self.running.is_empty() {
                tokio::select! {
                    _ = &mut drained, if !told => told = true,
                    push = self.pushes.next() => match push {
                        Some(push) => self.take(push),
                        None => return,
                    },
                    Some(done) = self.running.join_next() => self.finished(done.ok()),
                }
            }
            // The last answers are on their way once another request is answered behind them.
            let nothing = json!({});
            let last = self.client.request("rpc.info", &nothing);
            let _ = timeout(Duration::from_secs(2), last).await;
        };
        tokio::select! {
            () = work => {}
            () = stop.asked() => {}
        }
        Ok(())
    }

    fn take(&mut self, push: Push) {
        match (&push.id, push.method.as_str()) {
            (Some(id), _) => {
                let key = id.as_id().as_json().to_owned();
                let (cancel, cancelled) = oneshot::channel();
                self.cancels.insert(key.clone(), cancel);
                let (client, args) = (self.client.clone(), Arc::clone(&self.args));
                self.running.spawn(async move {
                    run(&client, &args, push, cancelled).await;
                    key
                });
            }
            (None, "rpc.cancel") => {
                #[derive(Deserialize)]
                struct Cancel {
                    id: Box<RawValue>,
                }
                if let Ok(Cancel { id }) = push.read() {
                    // Ends the wait of the call's task, which kills its program.
                    self.cancels.remove(id.get());
                }
            }
            _ => {}
        }
    }

    fn finished(&mut self, key: Option<String>) {
        if let Some(key) = key {
            self.cancels.remove(&key);
        }
    }
}

/// Why the server takes no more calls for the worker, if a push says that and it doesn't end itself: then the next
/// connection takes it up.
fn ended(push: &Push) -> Option<RpcError> {
    #[derive(Deserialize)]
    struct Ended {
        error: RpcError,
    }
    if push.id.is_some() || push.method != "rpc.worker.ended" {
        return None;
    }
    let Ended { error } = push.read().ok()?;
    (error.known_code() != Some(ErrorCode::ShuttingDown)).then_some(error)
}

/// What the server tells about a call besides its params.
#[derive(Default, Deserialize)]
struct Meta {
    deadline: Option<Value>,
}

/// A point in time as the wire writes it: RFC 3339, or milliseconds since the epoch.
fn point_in_time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => Some(Timestamp::from_millis(other.as_u64()?)),
    }
}

/// Runs the program for one call and answers it.
async fn run(client: &Connection, args: &WorkerArgs, push: Push, cancelled: oneshot::Receiver<()>) {
    let Some(id) = &push.id else { return };
    let meta = push.meta.as_deref().map(RawValue::get);
    let meta: Meta = meta
        .and_then(|meta| serde_json::from_str(meta).ok())
        .unwrap_or_default();
    let job = Job {
        method: &push.method,
        params: push.params.as_deref().map_or("", RawValue::get).as_bytes(),
        deadline: meta.deadline.as_ref().and_then(point_in_time),
    };
    let cancelled = async {
        // Its sender is dropped when the call is cancelled.
        let _ = cancelled.await;
    };
    let answered = match program::run(&args.command, job, cancelled).await {
        Ok(result) => client.answer(id.as_id(), &result).await,
        Err(error) => client.answer_error(id.as_id(), &error).await,
    };
    // A lost connection is the session's matter.
    drop(answered);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_the_server_ends_says_why_unless_it_comes_back() {
        let push = |method: &str, code: i64| Push {
            id: None,
            method: method.to_owned(),
            params: serde_json::from_value(
                json!({"worker": "w1", "error": {"code": code, "message": "m"}}),
            )
            .unwrap(),
            meta: None,
        };
        assert_eq!(
            ended(&push("rpc.worker.ended", -32600)),
            Some(RpcError::new(-32600, "m"))
        );
        assert_eq!(ended(&push("rpc.worker.ended", -32012)), None);
        assert_eq!(ended(&push("rpc.cancel", -32600)), None);
    }

    #[test]
    fn deadlines_are_read_in_both_forms() {
        let text = point_in_time(&json!("2026-11-20T17:33:56.000Z")).unwrap();
        let number = point_in_time(&json!(text.as_millis())).unwrap();
        assert_eq!(text, number);
        assert_eq!(point_in_time(&json!("soon")), None);
    }
}
