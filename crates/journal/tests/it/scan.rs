//! Segments read by who has the journal open.

use trunkline_journal::fault::FaultDisk;
use trunkline_journal::{Class, Journal, Place, ReadError};

use crate::log::{open, put};

fn payload(n: u64) -> Vec<u8> {
    vec![n as u8; 20 + (n * 7_919 % 30_000) as usize]
}

/// Everything in a segment, a few records a call.
fn scanned(journal: &Journal, segment: u32) -> Result<Vec<(Place, Vec<u8>)>, ReadError> {
    let mut scan = journal.scan(segment)?;
    let mut found = Vec::new();
    loop {
        let mut count = 0;
        let more = scan.read(&mut |place, _, payload| {
            count += 1;
            if count > 3 {
                return false;
            }
            found.push((place, payload.to_vec()));
            true
        })?;
        if !more {
            return Ok(found);
        }
    }
}

#[test]
fn each_record_is_handed_out_once_at_its_place() {
    let disk = FaultDisk::new();
    {
        // Two openings, so that the log of one segment is of two generations.
        let opened = open(&disk).unwrap();
        (0..5).for_each(|n| assert!(put(&opened.journal, &payload(n), Class::Growth).is_ok()));
    }
    let opened = open(&disk).unwrap();
    let places = (5..200).map(|n| put(&opened.journal, &payload(n), Class::Growth).unwrap());
    let mut expected: Vec<Place> = opened.seen.iter().map(|seen| seen.place).collect();
    expected.extend(places);
    let last = expected.last().unwrap().segment();
    let mut found = Vec::new();
    for segment in 1..last {
        found.extend(scanned(&opened.journal, segment).unwrap());
    }
    let (places, payloads): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    assert_eq!(places, expected[..places.len()]);
    assert!(
        payloads
            .into_iter()
            .eq((0..places.len() as u64).map(payload))
    );
    assert!(
        expected[places.len()..]
            .iter()
            .all(|place| place.segment() == last)
    );
    assert!(matches!(
        opened.journal.scan(last),
        Err(ReadError::NotWritten(_))
    ));
    opened.journal.free_before(3).unwrap();
    assert!(matches!(
        opened.journal.scan(2),
        Err(ReadError::NoSegment(_))
    ));
}

/// A batch that is gone, wherever it was, is no end of a segment.
#[test]
fn damage_is_told_from_the_end() {
    let disk = FaultDisk::new();
    let places = {
        let opened = open(&disk).unwrap();
        let put = |n| put(&opened.journal, &payload(n), Class::Growth).unwrap();
        let places: Vec<Place> = (0..60).map(put).collect();
        opened
            .journal
            .close_with(|| Some(b"state".to_vec()))
            .unwrap();
        places
    };
    let in_first: Vec<&Place> = places.iter().filter(|place| place.segment() == 1).collect();
    let last = in_first.last().unwrap();
    for victim in [in_first[0], in_first[3], last] {
        let damaged = disk.survivor(0);
        assert!(damaged.flip("0000000001.seg", victim.offset() as usize + 15, 2));
        let journal = opened_behind_checkpoint(&damaged);
        let error = scanned(&journal, 1).unwrap_err();
        let ReadError::Damaged { place, .. } = error else {
            panic!("{error:?}");
        };
        assert!(place < *victim && place.segment() == 1);
    }
}

/// Loads any state: the log before it is not read.
struct Anything;

impl trunkline_journal::Recover for Anything {
    fn load(&mut self, _: &[u8]) -> Result<(), trunkline_journal::ReplayError> {
        Ok(())
    }

    fn record(
        &mut self,
        _: trunkline_journal::Replayed<'_>,
    ) -> Result<(), trunkline_journal::ReplayError> {
        Ok(())
    }
}

fn opened_behind_checkpoint(disk: &FaultDisk) -> Journal {
    let disk = std::sync::Arc::new(disk.clone());
    Journal::open_with(disk, crate::log::small(), 0, &mut Anything)
        .unwrap()
        .0
}
