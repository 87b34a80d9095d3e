//! demo.

use crate::setup::{Running, run, store, text, trunkline};
use rustix::process::Signal;
use std::io::Read;

#[test]
fn one_round_agrees() {
    let store = store();
    let lines: String = (0..100)
        .map(|n| format!("2026-11-20 status installed n{n}\n"))
        .collect();
    let input = store.file("a.log", &lines);
    let demo = [
        "demo",
        "--once",
        "--messages",
        "3000",
        "--calls",
        "50",
        "--input",
        text(&input),
    ];
    let round = run(trunkline(&[&["--json"], &demo[..]].concat()), b"").objects();
    assert_eq!(round[0]["confirmed"], 3000);
    assert_eq!(round[0]["consumed"], 3000);
    assert_eq!(round[0]["answered"], 50);
    assert_eq!(round[0]["heard"], round[0]["ticks"]);
}

#[test]
fn ctrl_c_ends_it_cleanly_with_everybody_in_it() {
    let store = store();
    let input = store.file("a.log", "one\ntwo\n");
    let demo = [
        "demo",
        "--messages",
        "100",
        "--calls",
        "5",
        "--input",
        text(&input),
    ];
    // Also a terminal that is closed (HUP) leaves nobody behind.
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut demo = Running::start(trunkline(&demo));
        demo.says("once more");
        demo.signal(signal);
        let (_, status) = demo.finish();
        assert!(status.success(), "{signal:?}: {status}");
        // The others have the same stderr: it ends with the last of them.
        let mut said = String::new();
        demo.stderr.read_to_string(&mut said).unwrap();
        assert!(said.contains("Now yourself"), "{signal:?}: {said}");
    }
}
