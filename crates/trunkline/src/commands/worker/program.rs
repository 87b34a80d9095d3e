//! One call, run by a program.

use crate::process::{self, Ended, Streams};
use serde_json::{json, value::RawValue};
use std::{ffi::OsString, future::Future};
use tokio::time::sleep;
use trunkline::RpcError;
use trunkline_model::{Clock, ErrorCode, SystemClock, Timestamp};

/// Most that a program may print: what a server takes as one message, less the frame.
const OUTPUT_MAX: usize = (1 << 20) - 1024;

/// What a program is to do.
pub(super) struct Job<'a> {
    pub(super) method: &'a str,
    /// JSON; empty if absent.
    pub(super) params: &'a [u8],
    /// When it is killed.
    pub(super) deadline: Option<Timestamp>,
}

/// Runs the program for one call, until nobody waits for it: the text of a JSON value, or what
/// the caller gets instead.
pub(super) async fn run(
    command: &[OsString],
    job: Job<'_>,
    cancelled: impl Future<Output = ()>,
) -> Result<Vec<u8>, RpcError> {
    let deadline = job.deadline;
    let mut environment = vec![("TRUNKLINE_METHOD", job.method.to_owned())];
    if let Some(deadline) = deadline {
        environment.push(("TRUNKLINE_DEADLINE", deadline.to_string()));
    }
    let streams = Streams::Collected(OUTPUT_MAX);
    let mut why = ErrorCode::Cancelled;
    let outcome = process::run(command, &environment, job.params, streams, async {
        tokio::select! {
            () = reached(deadline) => why = ErrorCode::Timeout,
            () = cancelled => {}
        }
    });
    match outcome.await {
        Ok(Some(ended)) => result(ended),
        // It frees the worker's slot, and is what the caller gets if it is there first.
        Ok(None) => {
            let text = match why {
                ErrorCode::Timeout => "timed out: the program was killed at the deadline",
                _ => "cancelled: the program was killed, nobody waits for it any more",
            };
            Err(error(why, text).with_data(json!({"stage": "running"})))
        }
        Err(cause) => {
            let program = command.first().map(|name| name.to_string_lossy());
            let program = program.unwrap_or_default();
            let text = format!("can't run {program}: {cause}");
            eprintln!("{text}");
            Err(error(ErrorCode::HandlerFailed, &text))
        }
    }
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
}
