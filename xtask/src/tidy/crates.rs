//! What every crate owes its reader.

use std::fs;
use std::path::Path;

use super::finding::Finding;
use crate::workspace::{Package, Workspace};

const ARCHITECTURE: &str = "ARCHITECTURE.md";

pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let architecture = fs::read_to_string(workspace.root.join(ARCHITECTURE)).unwrap_or_default();
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let manifest = workspace.relative(&package.manifest_path);
        let folder = manifest.parent().unwrap_or(Path::new(""));
        if !names(&architecture, &package.name, folder) {
            let what = format!("crate `{}` is not on the map", package.name);
            let fix = "say in a line what it is, and its invariant";
            findings.push(Finding::new(Path::new(ARCHITECTURE), 1, what, fix));
        }
        let text = fs::read_to_string(&package.manifest_path).unwrap_or_default();
        if !takes_lints(&text) {
            let fix = "add `[lints]` with `workspace = true`";
            let what = "the workspace's lints don't apply";
            findings.push(Finding::new(manifest, 1, what, fix));
        }
        if let Some(library) = library(package) {
            let source = fs::read_to_string(library).unwrap_or_default();
            if !states_invariant(&source) {
                let what = "the crate's documentation has no `**Invariant**` line";
                let fix = "say what is always true of the crate, mostly what is absent from it";
                findings.push(Finding::new(workspace.relative(library), 1, what, fix));
            }
        }
    }
    findings
}

fn library(package: &Package) -> Option<&Path> {
    let is_library = |kind: &String| kind == "lib" || kind == "proc-macro";
    let mut targets = package.targets.iter();
    let library = targets.find(|target| target.kind.iter().any(is_library))?;
    Some(&library.src_path)
}

/// By its name or by its folder, in code quotes.
fn names(architecture: &str, name: &str, folder: &Path) -> bool {
    let folder = folder.display();
    [
        format!("`{name}`"),
        format!("`{folder}`"),
        format!("`{folder}/`"),
    ]
    .iter()
    .any(|quoted| architecture.contains(quoted))
}

fn takes_lints(manifest: &str) -> bool {
    let mut lines = manifest.lines().skip_while(|line| line.trim() != "[lints]");
    lines
        .nth(1)
        .is_some_and(|line| line.trim() == "workspace = true")
}

fn states_invariant(source: &str) -> bool {
    source
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .any(|line| line.contains("**Invariant"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_named_whole() {
        let map = "| `crates/queue` | … | `trunkline-rpc` | `xtask/` |";
        for (name, folder, named) in [
            ("trunkline-queue", "crates/queue", true),
            ("trunkline-rpc", "crates/rpc", true),
            ("xtask", "xtask", true),
            ("trunkline", "crates/trunkline", false),
        ] {
            assert_eq!(names(map, name, Path::new(folder)), named, "{name}");
        }
    }

    #[test]
    fn lints_and_invariants_are_seen() {
        assert!(takes_lints("[package]\n\n[lints]\nworkspace = true\n"));
        assert!(!takes_lints("[package]\nworkspace = true\n"));
        assert!(states_invariant(
            "//! A crate.\n//!\n//! **Invariant**: none.\n"
        ));
        assert!(!states_invariant(
            "//! A crate.\n\n// **Invariant**: none.\n"
        ));
    }
}
