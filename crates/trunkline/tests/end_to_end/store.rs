//! The data directory: who may have it, and what a damaged one looks like.

use crate::setup::{run, seq, store, text, trunkline};
use std::{fs, path::Path};

fn serve(data: &Path) -> crate::setup::Ran {
    run(
        trunkline(&["serve", "--http", "127.0.0.1:0", "--data", text(data)]),
        b"",
    )
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let store = store();
    let server = store.serve();
    serve(&store.path()).fails(1, "in use by another process");
    // The first one doesn't notice.
    server.run(&["publish", "t", "a"]).ok();
}

#[test]
fn a_directory_that_can_not_be_written_is_named() {
    // Not even root can make a directory there.
    serve(Path::new("/proc/trunkline-data")).fails(1, "/proc/trunkline-data");
    let store = store();
    let file = store.file("file", "not a directory");
    serve(&file).fails(1, text(&file));
}

#[test]
fn what_is_no_store_is_not_called_intact() {
    let store = store();
    let file = store.file("file", "");
    let journal = |verb| {
        let directory = file.parent().unwrap();
        run(trunkline(&["journal", verb, text(directory)]), b"")
    };
    journal("verify").fails(2, "no journal there");
}

#[test]
fn verify_and_dump_read_what_a_server_wrote() {
    let store = store();
    let server = store.serve();
    server
        .feed(&["publish", "numbers", "--lines"], seq(50).as_bytes())
        .ok();
    assert!(server.stop().success());
    let journal = |args: &[&str]| run(trunkline(&[args, &[text(&store.path())]].concat()), b"");
    let verified = journal(&["journal", "verify"]).ok();
    assert!(
        verified.contains("intact") && verified.contains("stopped cleanly"),
        "{verified}"
    );
    assert_eq!(
        journal(&["--json", "journal", "verify"]).objects()[0]["ok"],
        true
    );
    let dumped = journal(&["journal", "dump"]).ok();
    assert!(dumped.contains("numbers"), "{dumped}");
    let records = journal(&["--json", "journal", "dump"]).objects();
    assert!(
        records
            .iter()
            .filter(|record| record["lsn"].is_u64())
            .count()
            > 50
    );
}

#[test]
fn a_damaged_segment_is_refused_with_file_and_offset() {
    let store = store();
    let server = store.serve();
    for payload in ["before", "the one that will be damaged", "after"] {
        server.run(&["publish", "t", payload]).ok();
    }
    // Without a clean stop: its checkpoint would spare the start this part of the log.
    server.kill();
    let segment = damage(&store.path(), b"the one that will be damaged");

    let refused = serve(&store.path());
    assert!(
        refused.err.contains("trunkline journal verify"),
        "{refused:?}"
    );
    refused.fails(1, &format!("{segment} is damaged at offset "));
    let journal = |verb| run(trunkline(&["journal", verb, text(&store.path())]), b"");
    journal("verify").fails(1, &format!("{segment} is damaged at offset "));
    let dumped = journal("dump").ok();
    assert!(dumped.contains("damaged at "), "{dumped}");
}

#[test]
fn what_is_intact_in_a_damaged_store_is_taken_over() {
    let store = store();
    let server = store.serve();
    server.run(&["subscription", "add", "t", "s"]).ok();
    for payload in ["before", "the one that will be damaged", "after"] {
        server.run(&["publish", "t", payload]).ok();
    }
    server.kill();
    let segment = damage(&store.path(), b"the one that will be damaged");
    let damaged = fs::read(store.path().join(&segment)).unwrap();

    let repair = |args: &[&str]| {
        let dir = store.path();
        run(
            trunkline(&[&["journal", "repair", text(&dir)], args].concat()),
            b"",
        )
    };
    let told = repair(&["--dry-run"]).ok();
    assert!(
        told.contains("1 record (") && told.contains("nothing was written"),
        "{told}"
    );
    assert!(told.contains("t: 1 message published"), "{told}");
    let mut repaired = store.path().into_os_string();
    repaired.push(".repaired");
    let repaired = Path::new(&repaired).to_path_buf();
    assert!(!repaired.exists());
    let told = repair(&[]).ok();
    assert!(told.contains(text(&repaired)), "{told}");
    repair(&[]).fails(2, "it is there already");
    let unchanged = fs::read(store.path().join(&segment)).unwrap();
    assert!(unchanged == damaged, "the damaged store is as it was");

    fs::rename(store.path(), store.path().with_extension("damaged")).unwrap();
    fs::rename(&repaired, store.path()).unwrap();
    let journal = |verb| run(trunkline(&["journal", verb, text(&store.path())]), b"");
    assert!(journal("verify").ok().contains("stopped cleanly"));
    let server = store.serve();
    let found = server
        .run(&["consume", "t", "--subscription", "s", "--count", "2"])
        .ok();
    assert_eq!(found, "before\nafter\n");
}

/// Flips one bit of `needle` in the segment that has it; that file's name.
fn damage(data: &Path, needle: &[u8]) -> String {
    for entry in fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes
            .windows(needle.len())
            .position(|window| window == needle)
        {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            return path.file_name().unwrap().to_str().unwrap().to_owned();
        }
    }
    panic!("no file has it");
}
