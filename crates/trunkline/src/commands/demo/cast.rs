use super::{METHOD, SUBSCRIPTION, TOPIC, input::Lines, say};
use crate::{failure::Failure, text};
use indicatif::ProgressBar;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::{
    env,
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// Longest silence before something must be wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// The other processes of the demo, and the directory that goes away with them.
pub(super) struct Cast {
    pub(super) url: String,
    server: Child,
    others: Vec<Child>,
    consumer: Option<ChildStdout>,
    _data: TempDir,
}

/// What a server says when it is ready.
#[derive(Deserialize)]
struct Ready {
    url: String,
}

impl Cast {
    pub(super) async fn start() -> Result<Self, Failure> {
        let data = TempDir::with_prefix("trunkline-demo-")?;
        let mut server = own(&["--json", "serve", "--http", "127.0.0.1:0", "--stomp", "off"])?
            .arg("--data")
            .arg(data.path().join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = server.stdout.take() {
            let mut stdout = BufReader::new(stdout);
            // Without a line, what follows says that there is no server.
            let _ = timeout(PATIENCE, stdout.read_line(&mut line)).await;
        }
        let Ready { url } = serde_json::from_str(&line)
            .map_err(|_| Failure::failed("the server didn't start; try `trunkline serve`"))?;
        let dir = data.path().display();
        say(&format!(
            "server     {url}, durable in {dir} (process {})",
            id(&server)
        ));
        let worker = own(&["--url", &url, "demo-worker"])?
            .stdout(Stdio::null())
            .spawn()?;
        say(&format!(
            "worker     answers {METHOD} (process {})",
            id(&worker)
        ));
        let mut consumer = own(&[
            "--url",
            &url,
            "consume",
            TOPIC,
            "--subscription",
            SUBSCRIPTION,
        ])?
        .stdout(Stdio::piped())
        .spawn()?;
        let subscription = format!("subscription {SUBSCRIPTION} of topic {TOPIC}");
        say(&format!(
            "consumer   {subscription} (process {})",
            id(&consumer)
        ));
        Ok(Self {
            url,
            server,
            consumer: consumer.stdout.take(),
            others: vec![worker, consumer],
            _data: data,
        })
    }

    /// Whoever checks what the consumer prints.
    pub(super) fn auditor(&mut self) -> Result<Auditor, Failure> {
        match self.consumer.take() {
            Some(stdout) => Ok(Auditor {
                printed: BufReader::with_capacity(1 << 18, stdout),
            }),
            None => Err(Failure::failed("the consumer has no output")),
        }
    }

    /// Ends everybody the way an operator would.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        for part in self.others.iter_mut().chain([&mut self.server]) {
            if let Some(pid) = part
                .id()
                .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            {
                // Fails only if it is gone already.
                let _ = kill_process(pid, Signal::TERM);
            }
            match timeout(PATIENCE, part.wait()).await {
                Ok(status) if status.as_ref().is_ok_and(std::process::ExitStatus::success) => {}
                Ok(status) => {
                    let status = status?;
                    return Err(Failure::failed(format!("a process ended with {status}")));
                }
                Err(_) => return Err(Failure::failed("a process did not end when told to")),
            }
        }
        Ok(())
    }
}

/// This program again, in a process group of its own: Ctrl-C is for the demo, which then ends
/// the others.
fn own(args: &[&str]) -> Result<Command, Failure> {
    let mut command = Command::new(env::current_exe()?);
    command
        .args(args)
        .env_remove("TRUNKLINE_TOKEN")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

fn id(child: &Child) -> u32 {
    child.id().unwrap_or_default()
}

/// Compares what the consumer prints with what was published.
pub(super) struct Auditor {
    printed: BufReader<ChildStdout>,
}

/// What a round's check found.
#[derive(Debug, Default)]
pub(super) struct Audited {
    /// Lines that came, each the right one at its place.
    pub(super) right: u64,
    /// The first line that was another one than expected.
    pub(super) wrong: Option<String>,
    /// From the start of the round to its last line.
    pub(super) elapsed: Duration,
}

impl Auditor {
    /// Reads a round's lines; each must be the published one, in the published order.
    pub(super) async fn audit(
        &mut self,
        lines: &Lines,
        bar: &ProgressBar,
    ) -> Result<Audited, Failure> {
        let begin = Instant::now();
        let mut audited = Audited::default();
        let mut line = Vec::new();
        for number in 0..lines.round() {
            line.clear();
            let read = self.printed.read_until(b'\n', &mut line);
            match timeout(PATIENCE, read).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0)) => return Err(Failure::failed("the consumer ended")),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    let came = text::count(number);
                    let wanted = text::count(lines.round());
                    return Err(Failure::failed(format!(
                        "only {came} of {wanted} lines came"
                    )));
                }
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            if line == lines.get(number) {
                audited.right += 1;
            } else if audited.wrong.is_none() {
                audited.wrong = Some(format!("line {number}: {}", String::from_utf8_lossy(line)));
            }
            if number % 256 == 0 {
                bar.set_position(number);
            }
        }
        bar.set_position(lines.round());
        audited.elapsed = begin.elapsed();
        Ok(audited)
    }
}
