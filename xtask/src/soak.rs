//! `cargo xtask soak`.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::workspace::Workspace;
use crate::{process, test_env};

/// The tests that are run for longer than among the others: one server on its store, and servers and workers on
/// a Redis.
const STORE: &str = "soak::the_ledgers_agree_whenever_the_server_is_killed";
const REDIS: &str = "redis_soak::every_call_ends_and_every_message_arrives_whoever_is_killed";

/// How long, and which.
#[derive(Args)]
pub(crate) struct Soak {
    /// How often the server is killed
    #[arg(long, default_value_t = 50, value_name = "N")]
    kills: u64,
    /// For how many minutes, however many kills that are
    #[arg(long, value_name = "M", conflicts_with = "kills")]
    minutes: Option<u64>,
    /// What decides who does what and when the server is killed
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Kill servers and workers on one Redis, instead of a server on its store
    #[arg(long)]
    redis: bool,
    /// Use a release build
    #[arg(long)]
    release: bool,
}

/// Runs the long version of the test.
pub(crate) fn run(workspace: &Workspace, soak: &Soak) -> anyhow::Result<ExitCode> {
    let mut test = workspace.cargo();
    test.args(["test", "--package", "trunkline", "--test", "end_to_end"]);
    if soak.release {
        test.arg("--release");
    }
    test.args(["--", "--exact", "--nocapture"]);
    if soak.redis {
        test.arg(REDIS);
        test.envs(test_env::variables(&workspace.target.join("test-env"))?);
    } else {
        test.arg(STORE);
    }
    process::exit_code(asked(&mut test, soak))
}

/// Tells the test what is asked for.
fn asked<'c>(test: &'c mut Command, soak: &Soak) -> &'c mut Command {
    test.env("TRUNKLINE_SOAK_SEED", soak.seed.to_string());
    match soak.minutes {
        Some(minutes) => test.env("TRUNKLINE_SOAK_MINUTES", minutes.to_string()),
        None => test.env("TRUNKLINE_SOAK_KILLS", soak.kills.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{REDIS, STORE};

    #[test]
    fn the_tests_that_are_run_are_there() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/trunkline/tests");
        for test in [STORE, REDIS] {
            let (module, name) = test.split_once("::").expect("a module and a name");
            let file = tests.join(format!("end_to_end/{module}/mod.rs"));
            let text = fs::read_to_string(file).expect("the test");
            assert!(text.contains(&format!("async fn {name}()")));
        }
    }
}
