//! `cargo xtask fuzz`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use crate::process;
use crate::workspace::Workspace;

/// Longest input that is tried, in bytes: the bounds of the targets are met by less.
const INPUT_BYTES_MAX: u32 = 4096;
/// Most memory that a target may take, in MiB: it judges itself, and this judges what it forgot.
const MEMORY_MIB_MAX: u32 = 1024;
/// Longest that one input may take, in seconds.
const INPUT_SECONDS_MAX: u32 = 10;

/// Which, and how long.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// One target; without it all of them, one after the other
    target: Option<String>,
    /// For how long each target runs, in seconds
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u32,
}

/// Runs the fuzzer. What it finds on its way is kept under `target/fuzz/corpus`; the corpus of the repository
/// is only read.
pub(crate) fn run(workspace: &Workspace, fuzz: &Fuzz) -> anyhow::Result<ExitCode> {
    let targets = chosen(&targets(&workspace.root)?, fuzz.target.as_deref())?;
    if !process::succeeds(workspace.cargo().args(["fuzz", "--version"])) {
        bail!("cargo-fuzz is not installed; install it with: cargo install cargo-fuzz --locked");
    }
    let built = workspace.root.join("target/fuzz");
    for target in targets {
        let found = built.join("corpus").join(&target);
        fs::create_dir_all(&found).with_context(|| format!("can't make {}", found.display()))?;
        let mut command = workspace.cargo();
        command
            .current_dir(&workspace.root)
            // Without a sanitizer it runs several times as fast and needs no nightly compiler.
            .args(["fuzz", "run", "--sanitizer", "none", "--target-dir"])
            .arg(&built)
            .arg(&target)
            .arg(&found)
            .arg(workspace.root.join("fuzz/corpus").join(&target))
            .arg("--")
            .arg(format!("-max_total_time={}", fuzz.seconds))
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"));
        println!("fuzz: {target} for {} s", fuzz.seconds);
        if let Err(error) = process::run(&mut command) {
            bail!(
                "{error}; what did it is in fuzz/artifacts/{target}: give the file a name that says what it is, put \
                 it into fuzz/corpus/{target}, and `cargo test -p trunkline-fuzz` shows it"
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The programs there are, sorted.
fn targets(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let entries =
        fs::read_dir(&folder).with_context(|| format!("can't read {}", folder.display()))?;
    let mut targets = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            targets.push(name.to_owned());
        }
    }
    targets.sort();
    Ok(targets)
}

fn chosen(all: &[String], asked: Option<&str>) -> anyhow::Result<Vec<String>> {
    match asked {
        None => Ok(all.to_vec()),
        Some(name) if all.iter().any(|target| target == name) => Ok(vec![name.to_owned()]),
        Some(name) => bail!("no target is named {name}; there are {}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_chosen_by_name() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let all = targets(&root).expect("the targets");
        assert!(all.iter().any(|target| target == "stomp_server"));
        assert_eq!(chosen(&all, None).expect("all"), all);
        assert_eq!(chosen(&all, Some("journal")).expect("one"), ["journal"]);
        let error = chosen(&all, Some("journals")).expect_err("none");
        assert!(
            error
                .to_string()
                .starts_with("no target is named journals; there are journal, ")
        );
    }
}
