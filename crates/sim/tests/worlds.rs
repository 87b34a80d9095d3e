//! A few hundred seeds, and the proof that the checks can fail.

use std::collections::BTreeSet;
use trunkline_sim::{Flaw, Rule, Transcript, history, read_history, run, run_seed, shrink};

const SEEDS: u64 = 240;

/// Every seed whose number leaves this remainder, so that two cores share them.
fn seeds_keep_every_promise(remainder: u64) {
    for seed in (0..SEEDS).filter(|seed| seed % 2 == remainder) {
        if let Err(failure) = run_seed(seed) {
            let shortest = shrink(&failure, Flaw::None);
            panic!(
                "seed {seed}: {}\n{}\nagain: cargo xtask sim --seed {seed}",
                shortest.violation,
                shortest.transcript.lines().join("\n")
            );
        }
    }
}

#[test]
fn even_seeds_keep_every_promise() {
    seeds_keep_every_promise(0);
}

#[test]
fn odd_seeds_keep_every_promise() {
    seeds_keep_every_promise(1);
}

#[test]
fn a_seed_is_one_history_and_one_transcript() {
    for seed in [3, 71, 1_000_003] {
        let ops = history(seed);
        let transcript = || {
            let (_, transcript) = run(&ops, Flaw::None, Transcript::kept()).unwrap();
            transcript.lines().to_vec()
        };
        let first = transcript();
        assert!(first.len() > ops.len());
        assert_eq!(first, transcript());
        let text: Vec<String> = ops.iter().map(ToString::to_string).collect();
        assert_eq!(read_history(&text.join("\n")).unwrap(), ops);
    }
}

/// A disk that says that it synced and didn't is found out, and the history gets short.
#[test]
fn a_lying_disk_is_found_out() {
    let failure = (0..50)
        .find_map(|seed| run(&history(seed), Flaw::LyingDisk, Transcript::default()).err())
        .expect("a world on a lying disk breaks a promise");
    let shortest = shrink(&failure, Flaw::LyingDisk);
    assert_eq!(shortest.violation.rule, failure.violation.rule);
    let (short, long) = (shortest.history.len(), failure.history.len());
    assert!(
        short * 2 < long,
        "{short} of {long}: {:?}",
        shortest.history
    );
}

/// The power goes at any boundary of the disk while dead letters come and go.
#[test]
fn dead_letters_come_and_go_over_a_power_loss() {
    let (mut came, mut went) = (0, 0);
    for back in ["redrive 4", "redrive 4 to=t1", "redrive 4 to=d1"] {
        for (after, seed) in (1..16).flat_map(|after| [(after, 0), (after, 1), (after, 7)]) {
            for first in [true, false] {
                let power = format!("power after={after} seed={seed}");
                let (before, between) = match first {
                    true => (power.as_str(), ""),
                    false => ("", power.as_str()),
                };
                let story = format!(
                    "grave d0\ngrave d1\ntopic t0 dead_letter=d0 max_attempts=2 priorities=3\n\
                     subscribe t0/s0\ntopic t1\nsubscribe t1/s0\npublish t0 4x3000 priority=0\n\
                     consume c0 t0/s0 credit=4\nsettle\n{before}\nreject c0 10\nreturn c0 1\nsettle\n\
                     return c0 1\nsettle\n{between}\n{back}\nsettle"
                );
                let history = read_history(&story).unwrap();
                match run(&history, Flaw::None, Transcript::kept()) {
                    Ok((tally, transcript)) => {
                        came += tally.buried;
                        let is_new =
                            |line: &&String| line.ends_with(" now") || line.ends_with("moved");
                        went += transcript.lines().iter().filter(is_new).count();
                    }
                    Err(failure) => panic!("{}\n{story}", failure.violation),
                }
            }
        }
    }
    assert!(came > 100 && went > 100, "{came} came and {went} went");
}

/// The power goes at any boundary of the disk while a batch acknowledges and publishes.
#[test]
fn a_batch_is_whole_over_a_power_loss() {
    let mut ends = BTreeSet::new();
    for durability in ["commit", "interval"] {
        for (after, seed) in (0..8).flat_map(|after| [(after, 0), (after, 1), (after, 7)]) {
            let story = format!(
                "topic t0\nsubscribe t0/s0\ntopic t1 durability={durability}\nsubscribe t1/s0\n\
                 publish t0 2x3000\nconsume c0 t0/s0 credit=2\nsettle\n\
                 power after={after} seed={seed}\nconsume c0 t0/s0 credit=2\nsettle\n\
                 batch c0 1 t1 3x9000\nstep"
            );
            let history = read_history(&story).unwrap();
            match run(&history, Flaw::None, Transcript::default()) {
                Ok((tally, _)) => ends.insert(tally.delivered),
                Err(failure) => panic!("{}\n{story}", failure.violation),
            };
        }
    }
    assert!(ends.len() > 1, "every batch came to the same: {ends:?}");
}

/// A dead letter that isn't where it should be is missed.
#[test]
fn a_hidden_dead_letter_is_found_out() {
    let story = "grave d0\ntopic t0 dead_letter=d0\nsubscribe t0/s0\npublish t0 1x10\n\
                 consume c0 t0/s0 credit=1\nsettle\nreject c0 1\nsettle\nlook d0\nkill";
    let history = read_history(story).unwrap();
    let (tally, _) = run(&history, Flaw::None, Transcript::default()).unwrap();
    assert_eq!(tally.buried, 1);
    let failure = run(&history, Flaw::HiddenLetter, Transcript::default()).unwrap_err();
    assert_eq!(failure.violation.rule, Rule::Lost);
}

/// A ledger that forgets that something was acknowledged finds it missing.
#[test]
fn a_forgotten_acknowledgement_is_found_out() {
    let story = "topic t0\nsubscribe t0/s0\npublish t0 1x10\nconsume c0 t0/s0 credit=1\n\
                 settle\nack c0 1\nsettle\nkill";
    let history = read_history(story).unwrap();
    assert!(run(&history, Flaw::None, Transcript::default()).is_ok());
    let failure = run(&history, Flaw::ForgottenAcks, Transcript::default()).unwrap_err();
    assert_eq!(failure.violation.rule, Rule::Lost);
}
