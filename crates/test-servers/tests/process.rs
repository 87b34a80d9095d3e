//! What was started ends with its owner, in whatever way that ends.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is wrong"
)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use trunkline_test_servers::{Process, wait_until};

/// Names a directory to the process that owns a server in the test of a kill.
const OWNER: &str = "TRUNKLINE_TEST_OWNER";

const WAIT: Duration = Duration::from_secs(30);

/// Starts a process beside it, and tells both ids.
const TWO: &str = "sleep 1000 & echo $$ $!; wait";

fn start(directory: &Path) -> Process {
    let log = directory.join("log");
    Process::start(Command::new("sh").args(["-c", TWO]), directory, &log)
}

fn ids(directory: &Path) -> Vec<String> {
    wait_until("the two ids", WAIT, || {
        let log = fs::read_to_string(directory.join("log")).map_err(|error| error.to_string())?;
        let whole = log.strip_suffix('\n').ok_or("no line yet")?;
        Ok(whole.split(' ').map(str::to_owned).collect())
    })
    .unwrap()
}

/// Neither there nor a zombie that nobody has collected yet.
fn gone(id: &str) -> Result<(), String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    match stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next())
    {
        None | Some('Z') => Ok(()),
        Some(state) => Err(format!("process {id} is in state {state}")),
    }
}

fn wait_until_gone(ids: &[String]) {
    for id in ids {
        wait_until("its end", WAIT, || gone(id)).unwrap();
    }
}

#[test]
fn dropping_it_kills_the_program_and_what_it_started() {
    let directory = TempDir::new().unwrap();
    let process = start(directory.path());
    let ids = ids(directory.path());
    assert_eq!(ids[0], process.id().to_string());
    assert_eq!(ids.len(), 2);
    for id in &ids {
        gone(id).unwrap_err();
    }
    drop(process);
    wait_until_gone(&ids);
    assert!(directory.path().exists(), "the directory is its owner's");
}

#[test]
fn killing_the_owner_kills_it_and_removes_its_directory() {
    if let Some(directory) = env::var_os(OWNER) {
        let _process = start(&PathBuf::from(directory));
        println!("started");
        std::thread::park();
        unreachable!("it is killed here");
    }
    let outer = TempDir::new().unwrap();
    let directory = outer.path().join("server");
    fs::create_dir(&directory).unwrap();
    let mut owner = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "killing_the_owner_kills_it_and_removes_its_directory",
        ])
        .arg("--nocapture")
        .env(OWNER, &directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("started")));
    let ids = ids(&directory);

    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until_gone(&ids);
    wait_until("the directory's end", WAIT, || match directory.exists() {
        true => Err("it is still there".to_owned()),
        false => Ok(()),
    })
    .unwrap();
}

#[test]
fn it_can_be_paused_and_goes_on() {
    let directory = TempDir::new().unwrap();
    let process = start(directory.path());
    let ids = ids(directory.path());
    let state_is = |wanted: &[char]| {
        for id in &ids {
            wait_until("its state", WAIT, || {
                let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
                let state = stat.rsplit(") ").next().unwrap().chars().next().unwrap();
                let stat = format!("process {id} is in state {state}");
                wanted.contains(&state).then_some(()).ok_or(stat)
            })
            .unwrap();
        }
    };
    process.pause();
    state_is(&['T']);
    process.resume();
    state_is(&['S', 'R']);
}

#[test]
fn a_failure_shows_the_end_of_the_log() {
    let directory = TempDir::new().unwrap();
    let log = directory.path().join("log");
    let mut process = Process::start(
        Command::new("sh").args(["-c", "seq 100; echo wrong >&2; exit 3"]),
        directory.path(),
        &log,
    );
    let status = wait_until("its end", WAIT, || {
        process.ended().ok_or_else(|| "it runs".to_owned())
    });
    assert_eq!(status.unwrap().code(), Some(3));
    let tail = process.log_tail();
    assert!(tail.ends_with("99\n100\nwrong"), "{tail}");
    assert!(!tail.contains("\n61\n"), "only the end: {tail}");
}
