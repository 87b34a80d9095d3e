//! `cargo xtask bench`.

use std::ffi::OsString;
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
    /// The folder of the program, if the one that is found otherwise won't do.
    folder: Option<&'static str>,
    /// Where the load generator looks for its path.
    variable: &'static str,
}

const PEERS: &[Peer] = &[
    Peer {
        name: "redis",
        program: "redis-server",
        folder: None,
        variable: "TRUNKLINE_BENCH_REDIS",
    },
    Peer {
        name: "nats",
        program: "nats-server",
        folder: None,
        variable: "TRUNKLINE_BENCH_NATS",
    },
    Peer {
        name: "rabbitmq",
        program: "rabbitmq-server",
        // The one in the `PATH` changes the user and keeps its own directories.
        folder: Some("/usr/lib/rabbitmq/bin"),
        variable: "TRUNKLINE_BENCH_RABBITMQ",
    },
];

/// Builds the program for release and runs the load generator against it, and against what
/// `--peers` names, which is installed if it is missing.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<ExitCode> {
    let over_redis = arguments.first().is_some_and(|first| first == OVER_REDIS);
    let arguments = &expanded(arguments);
    let mut bench = workspace.cargo();
    bench.args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "trunkline-bench",
    ]);
    let wanted = wanted_peers(arguments);
    if over_redis {
        bench.args(["--features", "redis"]);
    } else if !wanted.is_empty() {
        bench.args(["--features", "peers"]);
    }
    for peer in PEERS.iter().filter(|peer| wanted.contains(&peer.name)) {
        bench.env(peer.variable, peer.find_or_install()?);
    }
    if !over_redis {
        let build = ["build", "--release", "--package", "trunkline"];
        process::run(workspace.cargo().args(build))?;
        bench.env("TRUNKLINE_BIN", workspace.trunkline("release"));
    }
    process::exit_code(
        bench
            .arg("--")
            .args(arguments)
            .env("TRUNKLINE_BENCH_COMMIT", commit(workspace)),
    )
}

/// What has our libraries for Redis measured beside bare clients, without a server of ours.
const OVER_REDIS: &str = "redis";

/// `redis` stands for its workloads, unless others are named, and for the server that they need.
fn expanded(arguments: &[String]) -> Vec<String> {
    let Some((_, rest)) = arguments
        .split_first()
        .filter(|(first, _)| *first == OVER_REDIS)
    else {
        return arguments.to_vec();
    };
    let mut expanded = vec!["--peers".to_owned(), "redis".to_owned()];
    let is_named = |argument: &String| argument.starts_with("--workloads") || argument == "--list";
    if !rest.iter().any(is_named) {
        expanded.extend(["--workloads".to_owned(), "redis".to_owned()]);
    }
    expanded.extend_from_slice(rest);
    expanded
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

/// The program that the reader has chosen, else the one that is there, else the one that
/// `install` brings; `None` if that brings none.
fn choose(
    chosen: Option<OsString>,
    installed: impl Fn() -> Option<PathBuf>,
    install: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Option<PathBuf>> {
    if let Some(chosen) = chosen.filter(|path| !path.is_empty()) {
        return Ok(Some(chosen.into()));
    }
    if let Some(found) = installed() {
        return Ok(Some(found));
    }
    install()?;
    Ok(installed())
}

/// The commit that is built, marked if files differ from it; empty outside a git checkout.
fn commit(workspace: &Workspace) -> String {
    let output = Command::new("git")
        .current_dir(&workspace.root)
        .args(["describe", "--always", "--dirty", "--abbrev=7"])
        .output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

impl Peer {
    fn find_or_install(&self) -> anyhow::Result<PathBuf> {
        let by_hand = format!("set {} to the path of a {}", self.variable, self.program);
        choose(
            std::env::var_os(self.variable),
            || self.installed(),
            || apt::install(&[self.program], &by_hand),
        )?
        .with_context(|| format!("apt-get installed no {} that runs: {by_hand}", self.program))
    }

    /// Debian puts some servers where the `PATH` of an ordinary user doesn't look.
    fn installed(&self) -> Option<PathBuf> {
        if let Some(folder) = self.folder {
            return Some([folder, self.program].iter().collect())
                .filter(|program: &PathBuf| program.is_file());
        }
        process::find(&[self.program])
            .or_else(|| Some(["/usr/sbin", self.program].iter().collect()))
            .filter(|program: &PathBuf| process::succeeds(Command::new(program).arg("--version")))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::bail;

    use super::*;

    #[test]
    fn only_what_is_neither_chosen_nor_there_is_installed() {
        let no_need = || bail!("installed without need");
        let there = || Some(PathBuf::from("/usr/bin/x"));
        let path = |path: &str| Some(PathBuf::from(path));

        let chosen = choose(Some("/opt/x".into()), there, no_need).unwrap();
        assert_eq!(chosen, path("/opt/x"));
        for unset in [None, Some(OsString::new())] {
            assert_eq!(choose(unset, there, no_need).unwrap(), path("/usr/bin/x"));
        }

        let installed = Cell::new(false);
        let found = || installed.get().then(|| PathBuf::from("/usr/sbin/x"));
        let brought = choose(None, found, || {
            installed.set(true);
            Ok(())
        });
        assert_eq!(brought.unwrap(), path("/usr/sbin/x"));

        assert_eq!(choose(None, || None, || Ok(())).unwrap(), None);
        assert!(choose(None, || None, || bail!("no apt-get")).is_err());
    }

    #[test]
    fn redis_stands_for_its_workloads_and_its_server() {
        for (arguments, expected) in [
            ("--quick", "--quick"),
            ("redis", "--peers redis --workloads redis"),
            ("redis --quick", "--peers redis --workloads redis --quick"),
            (
                "redis --workloads redis-streams",
                "--peers redis --workloads redis-streams",
            ),
        ] {
            let words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
            assert_eq!(super::expanded(&words).join(" "), expected);
        }
    }

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
