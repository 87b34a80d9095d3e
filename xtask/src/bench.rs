//! `cargo xtask bench`.

use std::process::ExitCode;

use crate::process;
use crate::workspace::Workspace;

/// Builds the program for release and runs the load generator against it.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let build = ["build", "--release", "--package", "trunkline"];
    process::run(workspace.cargo().args(build))?;
    process::exit_code(
        workspace
            .cargo()
            .args(["run", "--release", "--quiet"])
            .args(["--package", "trunkline-bench", "--"])
            .args(arguments)
            .env("TRUNKLINE_BIN", workspace.trunkline("release")),
    )
}
