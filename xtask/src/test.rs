//! `cargo xtask test`.

use std::process::ExitCode;

use crate::workspace::Workspace;
use crate::{process, test_env};

/// Installs what is missing, builds the program that end-to-end tests start, and runs all
/// tests, documentation included. The runner's own summary is the last thing printed, and its
/// exit code is ours.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let python = test_env::python(&workspace.target.join("test-env"))?;
    let chromium = test_env::chromium()?;
    // The features of the whole workspace, so that the tests don't build everything again.
    process::run(
        workspace
            .cargo()
            .args(["build", "--workspace", "--bin", "trunkline"]),
    )?;
    process::exit_code(
        workspace
            .cargo()
            .args(["test", "--workspace"])
            .args(arguments)
            .env("TRUNKLINE_BIN", workspace.trunkline("debug"))
            .env(test_env::PYTHON, python)
            .env(test_env::CHROMIUM, chromium),
    )
}
