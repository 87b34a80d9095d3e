//! Arbitrary bytes on disk: opening says something, panics never, and hands out nothing that wasn't appended.

use std::ops::ControlFlow;

use proptest::collection::vec;
use proptest::prelude::*;
use trunkline_journal::fault::FaultDisk;
use trunkline_journal::{Class, Urgency, dump, verify};

use crate::log::{group, open, put};

#[derive(Clone, Debug)]
enum Harm {
    Flip(u8),
    Zero(usize),
    Garbage(Vec<u8>),
    /// Bytes of another place of the same file.
    Copy(usize, usize),
    Truncate,
}

fn harm() -> impl Strategy<Value = (usize, usize, Harm)> {
    let harm = prop_oneof![
        4 => (0..8_u8).prop_map(Harm::Flip),
        2 => (1..5000_usize).prop_map(Harm::Zero),
        2 => vec(any::<u8>(), 1..200).prop_map(Harm::Garbage),
        2 => (0..60_000_usize, 64..2000_usize).prop_map(|(from, len)| Harm::Copy(from / 64 * 64, len)),
        1 => Just(Harm::Truncate),
    ];
    (
        0..3_usize,
        prop_oneof![
            0..8000_usize,
            (64..4000_usize).prop_map(|n| n * 64),
            0..262_144_usize
        ],
        harm,
    )
}

fn sample() -> (FaultDisk, Vec<Vec<u8>>) {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    let mut payloads = Vec::new();
    for n in 0..60_u8 {
        let payload = vec![n; [20, 300, 15_000][usize::from(n % 3)]];
        if n % 5 == 4 {
            opened
                .journal
                .append(&group(&[&payload]), 0, Urgency::Interval)
                .unwrap();
            opened.journal.commit().unwrap();
        } else {
            put(&opened.journal, &payload, Class::Growth).unwrap();
        }
        payloads.push(payload);
    }
    drop(opened);
    (disk, payloads)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_on_disk_make_it_panic_or_invent(harms in vec(harm(), 1..4)) {
        let (disk, payloads) = sample();
        for (file, at, harm) in harms {
            let Some(name) = disk.files().get(file).cloned() else { continue };
            let mut bytes = disk.content(&name).unwrap();
            let at = at.min(bytes.len().saturating_sub(1));
            let patch = match harm {
                Harm::Flip(bit) => bytes.get(at).map(|byte| vec![byte ^ (1 << bit)]).unwrap_or_default(),
                Harm::Zero(len) => vec![0; len],
                Harm::Garbage(garbage) => garbage,
                Harm::Copy(from, len) => bytes.get(from..from + len).unwrap_or_default().to_vec(),
                Harm::Truncate => {
                    bytes.truncate(at);
                    Vec::new()
                }
            };
            let end = (at + patch.len()).min(bytes.len());
            if let Some(target) = bytes.get_mut(at..end) {
                target.copy_from_slice(&patch[..end - at]);
            }
            disk.set_content(&name, bytes);
        }
        drop(dump(&disk, &mut |_| ControlFlow::Continue(()), &mut |_, _| {}));
        let verdict = verify(&disk, &mut |_, _| {}).map(|report| report.recovery).map_err(|error| error.to_string());
        match open(&disk) {
            Ok(opened) => {
                prop_assert!(payloads.starts_with(&opened.payloads()));
                prop_assert_eq!(Ok(opened.report), verdict);
            }
            Err(error) => prop_assert_eq!(Err(error.to_string()), verdict),
        }
    }
}
