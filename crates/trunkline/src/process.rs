//! One run of a program: bytes in, bytes out, and nothing of it left behind.

use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    collections::VecDeque,
    ffi::OsString,
    future::Future,
    io,
    process::{ExitStatus, Stdio},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::Command,
};

/// Bytes of stderr that are kept: its end.
const STDERR_TAIL: usize = 4096;

/// How a program ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// What it printed; `None` if that was more than allowed.
    pub(crate) stdout: Option<Vec<u8>>,
    /// The end of what it said on stderr.
    pub(crate) stderr: String,
}

/// What becomes of a program's stdout and stderr.
#[derive(Clone, Copy)]
pub(crate) enum Streams {
    /// They are collected; stdout up to so many bytes.
    Collected(usize),
    /// They are the terminal's.
    Inherited,
}

/// Runs a program in a process group of its own; `None` if `stop` resolved first, which kills
/// the whole group, as does dropping the future.
pub(crate) async fn run(
    command: &[OsString],
    environment: &[(&str, String)],
    stdin: &[u8],
    streams: Streams,
    stop: impl Future<Output = ()>,
) -> io::Result<Option<Ended>> {
    let [program, arguments @ ..] = command else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let stream = || match streams {
        Streams::Collected(_) => Stdio::piped(),
        Streams::Inherited => Stdio::inherit(),
    };
    let mut child = Command::new(program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(stream())
        .stderr(stream())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let mut group = Group(
        child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)),
    );
    let limit = match streams {
        Streams::Collected(limit) => limit,
        Streams::Inherited => 0,
    };
    let input = child.stdin.take();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let feed = async {
            if let Some(mut input) = input {
                // A program need not read what it is given.
                let _ = input.write_all(stdin).await;
            }
        };
        let ((), stdout, stderr) = tokio::join!(feed, collect(out, limit), tail(err));
        (child.wait().await, stdout, stderr)
    };
    tokio::select! {
        (status, stdout, stderr) = work => {
            group.0 = None;
            Ok(Some(Ended { status: status?, stdout, stderr }))
        }
        () = stop => Ok(None),
    }
}

/// Kills a process group when dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails only if nothing of it is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads to the end; keeps everything, or nothing if it is more than `limit` bytes.
async fn collect(from: Option<impl AsyncRead + Unpin>, limit: usize) -> Option<Vec<u8>> {
    let mut kept = Some(Vec::new());
    read_all(from, |bytes| {
        if kept
            .as_ref()
            .is_some_and(|kept| kept.len() + bytes.len() > limit)
        {
            kept = None;
        }
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(bytes);
        }
    })
    .await;
    kept
}

/// Reads to the end and keeps the last [`STDERR_TAIL`] bytes.
async fn tail(from: Option<impl AsyncRead + Unpin>) -> String {
    let mut kept = VecDeque::new();
    read_all(from, |bytes| {
        kept.extend(bytes);
        kept.drain(..kept.len().saturating_sub(STDERR_TAIL));
    })
    .await;
    String::from_utf8_lossy(kept.make_contiguous()).into_owned()
}

async fn read_all(from: Option<impl AsyncRead + Unpin>, mut each: impl FnMut(&[u8])) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 8192];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        each(&buffer[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::{pending, ready},
        io::Read,
    };

    async fn shell(script: &str, limit: usize) -> Ended {
        let command = ["sh", "-c", script].map(OsString::from);
        let environment = [("TRUNKLINE_METHOD", "m".to_owned())];
        run(
            &command,
            &environment,
            b"in",
            Streams::Collected(limit),
            pending(),
        )
        .await
        .unwrap()
        .unwrap()
    }

    #[tokio::test]
    async fn bytes_in_bytes_out() {
        let ended = shell("cat; printf $TRUNKLINE_METHOD; echo oops >&2; exit 3", 3).await;
        assert_eq!(ended.stdout.as_deref(), Some(&b"inm"[..]));
        assert_eq!(
            (ended.stderr.as_str(), ended.status.code()),
            ("oops\n", Some(3))
        );
    }

    #[tokio::test]
    async fn too_much_is_not_kept_and_stdin_need_not_be_read() {
        let ended = shell("exec <&-; echo 12345; head -c 9000 /dev/zero >&2", 3).await;
        assert_eq!((ended.stdout, ended.stderr.len()), (None, STDERR_TAIL));
    }

    #[tokio::test]
    async fn stopping_kills_what_the_program_started() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        // The reader of the pipe sees its end only once every writer is dead.
        let script = format!("mkfifo {0}; (sleep 1000 > {0}) & wait", fifo.display());
        let command = ["sh", "-c", &script].map(OsString::from);
        let mut reader = None;
        let started = async {
            while reader.is_none() {
                tokio::task::yield_now().await;
                reader = std::fs::File::open(&fifo).ok();
            }
        };
        let ended = run(&command, &[], b"", Streams::Collected(9), started).await;
        assert!(ended.unwrap().is_none());
        let mut read = Vec::new();
        reader.unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, b"");
        let missing = [OsString::from("/no/such/program")];
        assert!(
            run(&missing, &[], b"", Streams::Inherited, ready(()))
                .await
                .is_err()
        );
    }
}
