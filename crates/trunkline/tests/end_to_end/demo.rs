//! demo --once.

use crate::setup::{run, store, text, trunkline};

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
