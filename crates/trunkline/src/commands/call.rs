use crate::{
    args::CallArgs, context::Context, failure::Failure, latency::Latency, output::Output,
    signal::Stop, text,
};
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use std::{
    io::Read,
    time::{Duration, Instant},
};
use tokio::time::timeout;
use trunkline::{Connection, Push, Pushes, RequestError, RpcError};

/// How much longer than the server the client waits: it should hear the server's verdict.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct CallParams<'a> {
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a str>,
}

pub(crate) async fn call(context: &Context, args: CallArgs) -> Result<(), Failure> {
    let params = read_params(args.params.as_deref())?;
    let request = CallParams {
        method: &args.method,
        params: params.as_deref(),
        timeout_ms: args.timeout.map(|span| span.0.as_millis() as u64),
        idempotency_key: args.idempotency_key.as_deref(),
    };
    let mut stop = Stop::listen()?;
    let (client, pushes) = context.connect().await?;
    let work = async {
        if args.repeat > 1 {
            drop(pushes);
            return repeat(context.output, &client, &request, &args).await;
        }
        let patience = args
            .timeout
            .map_or(Duration::MAX, |span| span.0.saturating_add(GRACE));
        match timeout(
            patience,
            once(context.output, &client, pushes, &request, args.progress),
        )
        .await
        {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::timed_out(format!(
                "{}: no answer from the server",
                args.method
            ))),
        }
    };
    tokio::select! {
        outcome = work => outcome.map_err(|failure| failure.while_doing(&args.method)),
        // The server cancels the calls of a connection that ends.
        () = stop.asked() => Err(Failure::failed(format!("{}: cancelled", args.method))),
    }
}

/// Params must be JSON that JSON-RPC takes; better told here than by the server.
fn read_params(typed: Option<&str>) -> Result<Option<Box<RawValue>>, Failure> {
    let text = match typed {
        None => return Ok(None),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin()
                .lock()
                .read_to_string(&mut text)
                .map_err(|error| Failure::failed(format!("can't read stdin: {error}")))?;
            text
        }
        Some(text) => text.to_owned(),
    };
    let params: Box<RawValue> = serde_json::from_str(text.trim())
        .map_err(|error| Failure::usage(format!("PARAMS is not JSON: {error}")))?;
    match params.get().as_bytes().first() {
        Some(b'{' | b'[') => Ok(Some(params)),
        _ => Err(Failure::usage(format!(
            "PARAMS must be a JSON object or array; for one value write '[{}]'",
            params.get()
        ))),
    }
}

async fn once(
    output: Output,
    client: &Connection,
    mut pushes: Pushes,
    request: &CallParams<'_>,
    progress: bool,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let mut pending = client.start("rpc.call", request).await?;
    let result = loop {
        tokio::select! {
            result = &mut pending => break result?,
            Some(push) = pushes.next() => {
                if progress {
                    show_progress(output, &push);
                }
            }
        }
    };
    if output.json {
        let elapsed_ms = begin.elapsed().as_secs_f64() * 1e3;
        output.object(
            &json!({"method": request.method, "result": result, "elapsed_ms": elapsed_ms}),
        )?;
    } else {
        output.line(result.get())?;
    }
    Ok(())
}

fn show_progress(output: Output, push: &Push) {
    #[derive(Deserialize)]
    struct Progress {
        value: Box<RawValue>,
    }
    if push.method != "rpc.progress" {
        return;
    }
    if let Ok(Progress { value }) = push.read() {
        if output.json {
            eprintln!("{}", json!({"progress": value}));
        } else {
            eprintln!("progress: {}", value.get());
        }
    }
}

/// How many calls ended how, and how long they took.
struct Tally {
    latency: Latency,
    failed: u64,
    first_error: Option<RpcError>,
}

async fn repeat(
    output: Output,
    client: &Connection,
    request: &CallParams<'_>,
    args: &CallArgs,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let mut tally = Tally {
        latency: Latency::new(),
        failed: 0,
        first_error: None,
    };
    let mut flying = FuturesUnordered::new();
    let mut started = 0;
    loop {
        while started < args.repeat && flying.len() < usize::from(args.concurrency) {
            started += 1;
            let since = Instant::now();
            let pending = client.start("rpc.call", request).await?;
            flying.push(async move { (since, pending.await) });
        }
        match flying.next().await {
            Some((since, outcome)) => tally.add(since.elapsed(), outcome)?,
            None => break,
        }
    }
    tally.show(output, args, begin.elapsed())
}

impl Tally {
    /// Errors that the server answers are counted; a lost connection ends the whole.
    fn add(
        &mut self,
        elapsed: Duration,
        outcome: Result<Box<RawValue>, RequestError>,
    ) -> Result<(), Failure> {
        match outcome {
            Ok(_) => self.latency.add(elapsed),
            Err(RequestError::Answer(error)) => {
                self.failed += 1;
                self.first_error.get_or_insert(error);
            }
            Err(lost) => return Err(lost.into()),
        }
        Ok(())
    }

    fn show(self, output: Output, args: &CallArgs, elapsed: Duration) -> Result<(), Failure> {
        let done = self.latency.count();
        if output.json {
            output.object(&json!({
                "method": args.method, "calls": args.repeat, "concurrency": args.concurrency,
                "done": done, "failed": self.failed, "elapsed_ms": elapsed.as_secs_f64() * 1e3,
                "per_second": done as f64 / elapsed.as_secs_f64(),
                "latency_us": self.latency.object(),
            }))?;
        } else {
            let at = |part| text::time(self.latency.quantile(part));
            let rows = [
                ("done", text::count(done)),
                ("failed", text::count(self.failed)),
                ("in", text::time(elapsed)),
                ("rate", text::rate(done, elapsed)),
                ("min", text::time(self.latency.min())),
                ("p50", at(0.5)),
                ("p95", at(0.95)),
                ("p99", at(0.99)),
                ("max", text::time(self.latency.max())),
            ];
            let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
            output.table(&["calls", &format!(">{}", args.method)], rows.into())?;
        }
        match self.first_error {
            None => Ok(()),
            Some(error) => {
                let what = format!("{} of {} calls failed, first", self.failed, args.repeat);
                Err(Failure::from(RequestError::from(error)).while_doing(what))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_an_object_or_an_array() {
        assert_eq!(
            read_params(None).unwrap().map(|raw| raw.get().to_owned()),
            None
        );
        let read = |text| read_params(Some(text)).map(|raw| raw.unwrap().get().to_owned());
        assert_eq!(read(" {\"a\": 1.0} ").unwrap(), "{\"a\": 1.0}");
        for bad in ["", "1", "\"a\"", "{", "[1] 2"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
