//! `cargo xtask sim`.

use std::process::ExitCode;

use crate::process;
use crate::workspace::Workspace;

/// Said first, it runs a release build, which takes long to make.
const RELEASE: &str = "--release";

/// Builds the simulator and runs it.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let (release, arguments) = match arguments.split_first() {
        Some((first, rest)) if first == RELEASE => (Some(RELEASE), rest),
        _ => (None, arguments),
    };
    process::exit_code(
        workspace
            .cargo()
            .args(["run", "--quiet", "--package", "trunkline-sim"])
            .args(release)
            .arg("--")
            .args(arguments),
    )
}
