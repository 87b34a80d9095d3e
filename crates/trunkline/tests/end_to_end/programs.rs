//! The programs that documents show, run, with what they print.
//!
//! A block ```` ```python ```` (or `javascript`, `perl`, `sh`) that a block ```` ```text ```` follows is a
//! whole program and what it prints on stdout. The addresses in it are those of a server with defaults;
//! here they become those of the server that the document gets.

use crate::setup::{Server, store, text};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    ffi::OsString,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};
use tempfile::TempDir;
use trunkline_test_servers::{Redis, program};

/// Longer than any of them takes.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn the_page_on_stomp_shows_programs_that_run() {
    let programs = programs(include_str!("../../../../docs/stomp.md"));
    let languages: Vec<_> = programs.iter().map(|program| program.language).collect();
    assert_eq!(languages, ["sh", "python", "javascript", "perl"]);
    let (store, directory) = (store(), TempDir::new().unwrap());
    let server = store.serve();
    let port = |address: &str| address.rsplit_once(':').unwrap().1.to_owned();
    let (stomp, http) = (port(server.stomp_address()), port(server.address()));
    for program in &programs {
        let Some((interpreter, path)) = interpreter(program.language) else {
            continue;
        };
        let text = program.text.replace("61613", &stomp).replace("7400", &http);
        let file = directory.path().join(program.language);
        fs::write(&file, text).unwrap();
        let mut command = Command::new(interpreter);
        command.arg(&file).env("PATH", path);
        let printed = run(command, &file);
        assert_eq!(printed, program.prints, "line {}", program.line);
    }
}

#[test]
fn the_page_on_redis_shows_programs_that_run() {
    let document = include_str!("../../../../docs/redis.md");
    let programs = programs(document);
    let languages: Vec<_> = programs.iter().map(|program| program.language).collect();
    assert_eq!(languages, ["python", "python", "sh", "sh", "sh"]);
    let (Some(redis), Some(python)) = (Redis::start(), program("TRUNKLINE_TEST_PYTHON")) else {
        return;
    };
    let port = redis.address().port().to_string();
    let (_, settings) = document.split_once("```yaml\n").unwrap();
    let (settings, _) = settings.split_once("```").unwrap();
    let (store, directory) = (store(), TempDir::new().unwrap());
    let config = store.file("trunkline.yaml", &settings.replace("6379", &port));
    let data = store.path();
    let serve = ["--http", "127.0.0.1:0", "--data", text(&data)];
    let server = Server::start(&[&serve[..], &["--config", text(&config)]].concat());
    let path = path_with_redis_cli(directory.path(), &port);
    for program in &programs {
        let interpreter = match program.language {
            "python" => python.clone(),
            _ => "sh".into(),
        };
        let file = directory.path().join(program.language);
        fs::write(&file, program.text.replace("6379", &port)).unwrap();
        let mut command = Command::new(interpreter);
        command
            .arg(&file)
            .current_dir(directory.path())
            .env("PATH", &path)
            .env("TRUNKLINE_URL", &server.url)
            .env_remove("TRUNKLINE_TOKEN");
        let printed = run(command, &file);
        assert_eq!(printed, program.prints, "line {}", program.line);
    }
}

/// Where programs find ours, and a `redis-cli` that asks this port.
fn path_with_redis_cli(directory: &Path, port: &str) -> OsString {
    let redis = program("TRUNKLINE_TEST_REDIS").unwrap();
    let cli = redis.with_file_name("redis-cli");
    let bin = directory.join("bin");
    let script = format!("#!/bin/sh\nexec {} -p {port} \"$@\"\n", cli.display());
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("redis-cli"), script).unwrap();
    fs::set_permissions(bin.join("redis-cli"), Permissions::from_mode(0o755)).unwrap();
    let ours = Path::new(env!("CARGO_BIN_EXE_trunkline")).parent().unwrap();
    let path = env::var_os("PATH").unwrap_or_default();
    let others = env::split_paths(&path);
    let all = [bin.clone(), ours.to_owned()].into_iter().chain(others);
    env::join_paths(all).unwrap()
}

#[derive(Debug, Default, PartialEq)]
struct Program<'a> {
    line: usize,
    language: &'a str,
    text: String,
    prints: String,
}

/// The programs of a document, each with the block of text that follows it at once.
fn programs(document: &str) -> Vec<Program<'_>> {
    let mut blocks: Vec<(usize, &str, String)> = Vec::new();
    let mut inside = false;
    for (index, line) in document.lines().enumerate() {
        match (line.strip_prefix("```"), inside) {
            (Some(language), false) => blocks.push((index + 1, language, String::new())),
            (None, true) => {
                let (_, _, text) = blocks.last_mut().unwrap();
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
        inside ^= line.starts_with("```");
    }
    blocks
        .windows(2)
        .filter(|pair| pair[1].1 == "text")
        .map(|pair| Program {
            line: pair[0].0,
            language: pair[0].1,
            text: pair[0].2.clone(),
            prints: pair[1].2.clone(),
        })
        .collect()
}

/// What runs a language, and where it finds programs; none, after saying so, if it isn't installed.
fn interpreter(language: &str) -> Option<(OsString, OsString)> {
    let path = env::var_os("PATH").unwrap_or_default();
    let named = |variable| program(variable).map(|found| (found.into_os_string(), path.clone()));
    match language {
        "python" => named("TRUNKLINE_TEST_PYTHON"),
        "javascript" => named("TRUNKLINE_TEST_NODE"),
        "perl" => named("TRUNKLINE_TEST_PERL"),
        "sh" => {
            let mut first = program("TRUNKLINE_TEST_NC")?
                .parent()?
                .as_os_str()
                .to_owned();
            first.push(":");
            first.push(&path);
            Some(("sh".into(), first))
        }
        other => panic!("nothing runs {other}"),
    }
}

/// What a program prints, if it ends well and in time.
fn run(mut command: Command, file: &Path) -> String {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = Pid::from_child(&child);
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(child.wait_with_output().unwrap()));
    let output = end.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let _ = kill_process(id, Signal::KILL);
        panic!("{} has not ended", file.display())
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", file.display());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_program_is_a_block_that_text_follows() {
    let document = "```yaml\na\n```\n\n```sh\nb\nc\n```\n```text\nd\n```\n";
    let expected = Program {
        line: 5,
        language: "sh",
        text: "b\nc\n".to_owned(),
        prints: "d\n".to_owned(),
    };
    assert_eq!(programs(document), [expected]);
}
