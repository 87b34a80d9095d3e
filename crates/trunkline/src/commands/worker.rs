use super::again;
use crate::{
    args::WorkerArgs,
    context::Context,
    failure::Failure,
    process::{self, Ended, Streams},
    signal::Stop,
    text,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};
use trunkline::{Connection, Push, Pushes, RpcError};
use trunkline_model::{Clock, ErrorCode, SystemClock, Timestamp};

/// Most that a program may print: what a server takes as one message, less the frame.
const OUTPUT_MAX: usize = (1 << 20) - 1024;

pub(crate) async fn worker(context: &Context, args: WorkerArgs) -> Result<(), Failure> {
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
                    Some(push) => self.take(push),
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
    let deadline = meta.deadline.as_ref().and_then(point_in_time);
    let mut environment = vec![("TRUNKLINE_METHOD", push.method.clone())];
    if let Some(deadline) = deadline {
        environment.push(("TRUNKLINE_DEADLINE", deadline.to_string()));
    }
    let stdin = push.params.as_deref().map_or("", RawValue::get).as_bytes();
    let streams = Streams::Collected(OUTPUT_MAX);
    let mut why = ErrorCode::Cancelled;
    let outcome = process::run(&args.command, &environment, stdin, streams, async {
        tokio::select! {
            () = reached(deadline) => why = ErrorCode::Timeout,
            _ = cancelled => {}
        }
    });
    let answered = match outcome.await {
        Ok(Some(ended)) => match result(ended) {
            Ok(result) => client.answer(id.as_id(), &result).await,
            Err(error) => client.answer_error(id.as_id(), &error).await,
        },
        // It frees the worker's slot, and is what the caller gets if it is there first.
        Ok(None) => {
            let text = match why {
                ErrorCode::Timeout => "timed out: the program was killed at the deadline",
                _ => "cancelled: the program was killed, nobody waits for it any more",
            };
            let mut error = error(why, text);
            error.data = Some(json!({"stage": "running"}));
            client.answer_error(id.as_id(), &error).await
        }
        Err(cause) => {
            let program = args.command.first().map(|name| name.to_string_lossy());
            let program = program.unwrap_or_default();
            let text = format!("can't run {program}: {cause}");
            eprintln!("{text}");
            client
                .answer_error(id.as_id(), &error(ErrorCode::HandlerFailed, &text))
                .await
        }
    };
    // A lost connection is the session's matter.
    drop(answered);
}

async fn reached(deadline: Option<Timestamp>) {
    match deadline {
        Some(deadline) => {
            let now = SystemClock::new(Timestamp::ZERO).now();
            sleep(deadline.since(now)).await;
        }
        None => std::future::pending().await,
    }
}

/// What a program's end means: the text of a JSON value, or an error.
fn result(ended: Ended) -> Result<Vec<u8>, RpcError> {
    if !ended.status.success() {
        let mut error = error(
            ErrorCode::HandlerFailed,
            &format!("the program ended with {}", ended.status),
        );
        error.data = Some(json!({"exit_code": ended.status.code(), "stderr": ended.stderr}));
        return Err(error);
    }
    let Some(stdout) = ended.stdout else {
        let text = format!("the program printed more than {OUTPUT_MAX} bytes");
        return Err(error(ErrorCode::TooLarge, &text));
    };
    let text = String::from_utf8_lossy(&stdout);
    if let Ok(json) = serde_json::from_str::<&RawValue>(&text) {
        return Ok(json.get().as_bytes().to_vec());
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let json = json!(text).to_string().into_bytes();
    match json.len() {
        0..=OUTPUT_MAX => Ok(json),
        _ => Err(error(
            ErrorCode::TooLarge,
            "the program's output is too large as JSON",
        )),
    }
}

fn error(code: ErrorCode, message: &str) -> RpcError {
    RpcError {
        code: code.number().into(),
        message: message.to_owned(),
        data: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

    fn ended(code: i32, stdout: &[u8]) -> Ended {
        Ended {
            status: ExitStatus::from_raw(code << 8),
            stdout: Some(stdout.to_vec()),
            stderr: "why\n".to_owned(),
        }
    }

    #[test]
    fn what_a_program_prints_is_the_result() {
        for (stdout, json) in [
            (&b"{\"a\": 1.0}\n"[..], "{\"a\": 1.0}"),
            (b"  [1]  ", "[1]"),
            (b"plain text\n", "\"plain text\""),
            (b"two\nlines\n\n", "\"two\\nlines\\n\""),
            (b"", "\"\""),
            (b"\xff", "\"\u{fffd}\""),
        ] {
            let result = result(ended(0, stdout)).unwrap();
            assert_eq!(String::from_utf8(result).unwrap(), json);
        }
    }

    #[test]
    fn a_failed_program_is_an_error_with_its_stderr() {
        let error = result(ended(3, b"ignored")).unwrap_err();
        assert_eq!(error.code, -32000);
        assert_eq!(error.data, Some(json!({"exit_code": 3, "stderr": "why\n"})));
        let mut much = ended(0, b"");
        much.stdout = None;
        assert_eq!(result(much).unwrap_err().code, -32007);
    }

    #[test]
    fn deadlines_are_read_in_both_forms() {
        let text = point_in_time(&json!("2026-11-20T17:33:56.000Z")).unwrap();
        let number = point_in_time(&json!(text.as_millis())).unwrap();
        assert_eq!(text, number);
        assert_eq!(point_in_time(&json!("soon")), None);
    }
}
