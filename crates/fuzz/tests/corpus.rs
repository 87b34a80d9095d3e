//! The corpus of each target, replayed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use trunkline_fuzz::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// Names in a folder, sorted, without what follows a dot.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

/// Runs a target with all inputs of its folder. The name of the one that fails is in the output.
fn replay(target: &str) {
    let (_, run) = TARGETS
        .iter()
        .find(|(name, _)| *name == target)
        .expect("a target");
    let folder = fuzz().join("corpus").join(target);
    let names = names(&folder);
    assert!(names.len() >= 10, "{target} has {} inputs", names.len());
    for name in names {
        let input = fs::read(folder.join(&name)).expect("an input");
        println!("{target}/{name}, {} bytes", input.len());
        run(&input);
    }
}

#[test]
fn journal() {
    replay("journal");
}

#[test]
fn jsonrpc() {
    replay("jsonrpc");
}

#[test]
fn stomp_client() {
    replay("stomp_client");
}

#[test]
fn stomp_decoder() {
    replay("stomp_decoder");
}

#[test]
fn stomp_server() {
    replay("stomp_server");
}

#[test]
fn every_target_has_its_program_and_its_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("fuzz_targets")), targets);
    assert_eq!(names(&fuzz().join("corpus")), targets);
}
