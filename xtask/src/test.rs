//! `cargo xtask test`.

use std::process::ExitCode;

use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{process, test_env};

/// Not built by default, but tested.
const COMPARING: &str = "trunkline-bench/peers";

/// Installs what is missing, builds the program that end-to-end tests start, and runs all
/// tests, documentation included. The last line printed sums up the runner's summaries, one a
/// test binary; its exit code is ours.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let variables = test_env::variables(&workspace.target.join("test-env"))?;
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
    let code = process::exit_code_of_lines(
        workspace
            .cargo()
            .args([
                "test",
                "--workspace",
                "--no-fail-fast",
                "--features",
                COMPARING,
            ])
            .args(arguments)
            .env("TRUNKLINE_BIN", workspace.trunkline("debug"))
            .envs(variables),
        |line| tally.take(line),
    )?;
    println!("\n{tally}");
    Ok(code)
}
