//! `cargo xtask bench`.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;

use crate::process;
use crate::test_env::apt;
use crate::workspace::Workspace;

/// A server that the load generator can compare with.
struct Peer {
    /// As `--peers` names it.
    name: &'static str,
    /// The program, and the package that brings it.
    program: &'static str,
    /// Where the load generator looks for its path.
    variable: &'static str,
}

const PEERS: &[Peer] = &[
    Peer {
        name: "redis",
        program: "redis-server",
        variable: "TRUNKLINE_BENCH_REDIS",
    },
    Peer {
        name: "nats",
        program: "nats-server",
        variable: "TRUNKLINE_BENCH_NATS",
    },
];

/// Builds the program for release and runs the load generator against it, and against what
/// `--peers` names, which is installed if it is missing.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut bench = workspace.cargo();
    bench.args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "trunkline-bench",
    ]);
    let wanted = wanted_peers(arguments);
    if !wanted.is_empty() {
        bench.args(["--features", "peers"]);
    }
    for peer in PEERS.iter().filter(|peer| wanted.contains(&peer.name)) {
        bench.env(peer.variable, peer.find_or_install()?);
    }
    let build = ["build", "--release", "--package", "trunkline"];
    process::run(workspace.cargo().args(build))?;
    process::exit_code(
        bench
            .arg("--")
            .args(arguments)
            .env("TRUNKLINE_BIN", workspace.trunkline("release")),
    )
}

/// What stands behind `--peers`. Names that nobody knows are left to the load generator.
fn wanted_peers(arguments: &[String]) -> Vec<&str> {
    let mut arguments = arguments.iter();
    let mut wanted = Vec::new();
    while let Some(argument) = arguments.next() {
        let list = match argument.strip_prefix("--peers") {
            Some("") => arguments.next().map(String::as_str),
            Some(rest) => rest.strip_prefix('='),
            None => None,
        };
        wanted.extend(
            list.unwrap_or_default()
                .split(',')
                .filter(|name| !name.is_empty()),
        );
    }
    wanted
}

impl Peer {
    fn find_or_install(&self) -> anyhow::Result<PathBuf> {
        let by_hand = format!("set {} to the path of a {}", self.variable, self.program);
        if let Some(chosen) = std::env::var_os(self.variable).filter(|path| !path.is_empty()) {
            return Ok(chosen.into());
        }
        if let Some(found) = self.installed() {
            return Ok(found);
        }
        apt::install(&[self.program], &by_hand)?;
        self.installed()
            .with_context(|| format!("apt-get installed no {} that runs: {by_hand}", self.program))
    }

    /// Debian puts some servers where the `PATH` of an ordinary user doesn't look.
    fn installed(&self) -> Option<PathBuf> {
        process::find(&[self.program])
            .or_else(|| Some(["/usr/sbin", self.program].iter().collect()))
            .filter(|program: &PathBuf| process::succeeds(Command::new(program).arg("--version")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_found_among_the_arguments() {
        for (arguments, wanted) in [
            ("", &[][..]),
            ("--quick --runs 3", &[]),
            ("--peers redis,nats --quick", &["redis", "nats"]),
            ("--quick --peers=nats", &["nats"]),
            ("--peers redis --peers nats", &["redis", "nats"]),
            ("--peers", &[]),
            ("--peers=", &[]),
        ] {
            let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
            assert_eq!(wanted_peers(&words), wanted, "{arguments}");
        }
    }
}
