//! The crate graph: every arrow points down.

use std::collections::BTreeSet;
use std::fs;

use super::finding::Finding;
use crate::workspace::{Package, Workspace};

/// What a crate may use of the workspace.
enum May {
    Use(&'static [&'static str]),
    UseAll,
}

use May::{Use, UseAll};

/// The crates, from the bottom up. A crate that isn't written yet may be in the table; a crate
/// that is written must be.
const GRAPH: &[(&str, May)] = &[
    ("trunkline-model", Use(&[])),
    ("trunkline-journal", Use(&[])),
    ("trunkline-jsonrpc", Use(&[])),
    ("trunkline-auth", Use(&["trunkline-model"])),
    ("trunkline-queue", Use(&["trunkline-model"])),
    ("trunkline-stomp", Use(&["trunkline-model"])),
    ("trunkline-mpx", Use(&["trunkline-model"])),
    ("trunkline-conformance", Use(&["trunkline-model"])),
    ("trunkline-rpc", Use(&["trunkline-model"])),
    (
        "trunkline-engine-embedded",
        Use(&["trunkline-queue", "trunkline-journal", "trunkline-model"]),
    ),
    (
        "trunkline-engine-redis",
        Use(&["trunkline-mpx", "trunkline-model"]),
    ),
    (
        "trunkline-engine-stomp",
        Use(&["trunkline-stomp", "trunkline-model"]),
    ),
    (
        "trunkline-gateway",
        Use(&[
            "trunkline-rpc",
            "trunkline-auth",
            "trunkline-jsonrpc",
            "trunkline-stomp",
            "trunkline-model",
        ]),
    ),
    (
        "trunkline-admin",
        Use(&["trunkline-rpc", "trunkline-auth", "trunkline-model"]),
    ),
    ("trunkline", UseAll),
    ("trunkline-sim", UseAll),
    ("trunkline-fuzz", UseAll),
    ("trunkline-test-servers", Use(&[])),
    ("trunkline-bench-peers", Use(&[])),
    (
        "trunkline-bench",
        // All but the first only with the feature `redis`, which nothing else builds.
        Use(&[
            "trunkline-bench-peers",
            "trunkline-engine-redis",
            "trunkline-mpx",
            "trunkline-rpc",
            "trunkline-model",
        ]),
    ),
    ("trunkline-examples", Use(&["trunkline"])),
    ("trunkline-example-client", Use(&["trunkline"])),
    ("xtask", Use(&[])),
];

/// The table's place, for the reader of a finding.
const TABLE: &str = "xtask/src/tidy/dag.rs";

pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let ours: BTreeSet<&str> = workspace.packages.iter().map(|p| &*p.name).collect();
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let manifest = fs::read_to_string(&package.manifest_path).unwrap_or_default();
        let path = workspace.relative(&package.manifest_path);
        for (name, what, fix) in wrong_arrows(package, &ours) {
            let line = line_of(&manifest, name);
            findings.push(Finding::new(path, line, what, fix));
        }
    }
    findings
}

/// The line that names a crate, from 1.
fn line_of(manifest: &str, name: &str) -> usize {
    let names_it = |line: &str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    let found = manifest.lines().position(names_it);
    found.map_or(1, |index| index + 1)
}

/// The crate to point at, what is wrong, and what to do.
fn wrong_arrows<'p>(package: &'p Package, ours: &BTreeSet<&str>) -> Vec<(&'p str, String, String)> {
    let name = &*package.name;
    let Some((_, may)) = GRAPH.iter().find(|(known, _)| *known == name) else {
        let what = format!("crate `{name}` is not in the crate graph");
        return vec![("name", what, format!("give it its place in {TABLE}"))];
    };
    let Use(allowed) = may else {
        return Vec::new();
    };
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
        .map(|dependency| &*dependency.name)
        .filter(|used| ours.contains(used) && !allowed.contains(used))
        .map(|used| {
            let what = format!("`{name}` must not use `{used}`");
            let fix = format!("move the code, or argue for the arrow in {TABLE}");
            (used, what, fix)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::workspace::Dependency;

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Package {
        Package {
            name: name.to_owned(),
            manifest_path: PathBuf::new(),
            dependencies: uses
                .iter()
                .map(|(name, kind)| Dependency {
                    name: (*name).to_owned(),
                    kind: kind.map(str::to_owned),
                })
                .collect(),
            targets: Vec::new(),
        }
    }

    fn found(name: &str, uses: &[(&str, Option<&str>)]) -> Vec<String> {
        let ours = GRAPH.iter().map(|(name, _)| *name).collect();
        let package = package(name, uses);
        let wrong = wrong_arrows(&package, &ours);
        wrong.into_iter().map(|(_, what, _)| what).collect()
    }

    #[test]
    fn arrows_point_down() {
        let none: [&str; 0] = [];
        let queue = "trunkline-queue";
        assert_eq!(
            found(queue, &[("trunkline-model", None), ("bytes", None)]),
            none
        );
        assert_eq!(found(queue, &[("trunkline-rpc", Some("dev"))]), none);
        assert_eq!(found("trunkline", &[("trunkline-rpc", None)]), none);
        assert_eq!(
            found(
                queue,
                &[("trunkline-rpc", None), ("trunkline-auth", Some("build"))]
            ),
            [
                "`trunkline-queue` must not use `trunkline-rpc`",
                "`trunkline-queue` must not use `trunkline-auth`"
            ]
        );
        assert_eq!(
            found("trunkline-new", &[]),
            ["crate `trunkline-new` is not in the crate graph"]
        );
    }

    #[test]
    fn the_table_has_no_cycle_and_no_unknown_name() {
        let mut below: BTreeSet<&str> = BTreeSet::new();
        for (name, may) in GRAPH {
            if let Use(allowed) = may {
                for used in *allowed {
                    assert!(
                        below.contains(used),
                        "{name} uses {used}, which is not below it"
                    );
                }
            }
            assert!(below.insert(name), "{name} is there twice");
        }
    }

    #[test]
    fn a_finding_points_to_the_line() {
        let manifest =
            "[dependencies]\ntrunkline-rpc-x.workspace = true\ntrunkline-rpc.workspace = true\n";
        assert_eq!(line_of(manifest, "trunkline-rpc"), 3);
        assert_eq!(line_of(manifest, "absent"), 1);
    }
}
