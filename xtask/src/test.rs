//! `cargo xtask test`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;
use serde::Deserialize;

use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{process, test_env};

/// Not built by default, but tested.
const COMPARING: &str = "trunkline-bench/peers";

/// The packages whose tests are about Redis and need nothing of what is above them.
const OVER_REDIS: &[&str] = &["crates/mpx", "crates/engines/redis"];

/// Installs what is missing, builds the program that end-to-end tests start, and runs all
/// tests, documentation included; then, unless arguments choose among them, those about Redis on the other servers
/// that speak like it. The last line printed sums up the runner's summaries, one a
/// test binary; its exit code is ours.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let folder = workspace.target.join("test-env");
    let variables = test_env::variables(&folder)?;
    // The features of the whole workspace, so that the tests don't build everything again.
    process::run(workspace.cargo().args([
        "build",
        "--workspace",
        "--bin",
        "trunkline",
        "--features",
        COMPARING,
    ]))?;
    let mut tally = Tally::default();
    let mut test = |command: &mut Command, redis: Option<&OsString>| {
        command
            .env("TRUNKLINE_BIN", workspace.trunkline("debug"))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .envs(redis.map(|program| (test_env::REDIS, program)));
        process::exit_code_of_lines(command, |line| tally.take(line))
    };
    let mut tests = tests(workspace);
    let mut code = test(tests.arg("--no-fail-fast").args(arguments), None)?;
    if arguments.is_empty() {
        let others = test_env::other_servers(&folder)?;
        let programs = programs(workspace)?;
        for (name, server) in &others {
            println!("\nxtask: what is about Redis again, on {name}");
            for program in &programs {
                let ended = test(
                    Command::new(&program.executable).current_dir(&program.directory),
                    Some(server),
                )?;
                if code == ExitCode::SUCCESS {
                    code = ended;
                }
            }
        }
    }
    println!("\n{tally}");
    Ok(code)
}

fn tests(workspace: &Workspace) -> Command {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--workspace", "--features", COMPARING]);
    cargo
}

/// A program with tests, and where `cargo test` runs it.
#[derive(Debug, PartialEq, Eq)]
struct TestProgram {
    executable: PathBuf,
    directory: PathBuf,
}

/// Those of [`OVER_REDIS`], as they were built for all tests: a `cargo test` of these packages alone would build
/// their dependencies again, with fewer features.
fn programs(workspace: &Workspace) -> anyhow::Result<Vec<TestProgram>> {
    let mut list = tests(workspace);
    list.args(["--no-run", "--quiet", "--message-format=json"]);
    let told = list
        .stderr(Stdio::inherit())
        .output()
        .context("can't run cargo")?;
    let told = String::from_utf8_lossy(&told.stdout);
    Ok(told
        .lines()
        .filter_map(|line| program_about_redis(&workspace.root, line))
        .collect())
}

/// What cargo tells of what it builds, as far as it is of use here.
#[derive(Deserialize)]
struct Built {
    manifest_path: PathBuf,
    executable: Option<PathBuf>,
    profile: Profile,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

fn program_about_redis(root: &Path, line: &str) -> Option<TestProgram> {
    let built: Built = serde_json::from_str(line).ok()?;
    let directory = built.manifest_path.parent()?;
    let about_redis = OVER_REDIS.iter().any(|name| directory == root.join(name));
    (about_redis && built.profile.test).then_some(TestProgram {
        executable: built.executable?,
        directory: directory.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_about_redis_are_found_in_what_cargo_tells() {
        let line = |folder: &str, test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/repo/{folder}/Cargo.toml",
                    "profile":{{"opt_level":"0","test":{test}}},"executable":{executable}}}"#
            )
        };
        let found = |line: String| program_about_redis(Path::new("/repo"), &line);
        let program = r#""/repo/target/debug/deps/it-0""#;
        assert_eq!(
            found(line("crates/engines/redis", true, program)),
            Some(TestProgram {
                executable: "/repo/target/debug/deps/it-0".into(),
                directory: "/repo/crates/engines/redis".into(),
            })
        );
        for other in [
            line("crates/engines/embedded", true, program),
            line("crates/mpx", false, program),
            line("crates/mpx", true, "null"),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ] {
            assert_eq!(found(other), None);
        }
    }
}
