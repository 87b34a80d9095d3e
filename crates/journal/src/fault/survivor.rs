//! What a power loss leaves.

use super::rng::Rng;
use super::world::{Change, Inode, World};

const SECTOR: usize = 512;

/// How a run of unsynced changes survives.
enum Manner {
    Nothing,
    Everything,
    /// The first so many.
    First(usize),
    /// Any of them: the disk reorders.
    Some,
}

impl Manner {
    fn draw(seed: u64, rng: &mut Rng, changes: usize) -> Manner {
        match seed {
            0 => Manner::Nothing,
            1 => Manner::Everything,
            _ => match rng.below(5) {
                0 => Manner::Nothing,
                1 => Manner::Everything,
                2 => Manner::First(rng.below(changes as u64 + 1) as usize),
                _ => Manner::Some,
            },
        }
    }

    fn keeps(&self, index: usize, rng: &mut Rng) -> bool {
        match self {
            Manner::Nothing => false,
            Manner::Everything => true,
            Manner::First(count) => index < *count,
            Manner::Some => rng.coin(),
        }
    }
}

/// The world after the next boot: everything in it is durable, and nothing is planned.
pub(crate) fn survivor(world: &World, seed: u64) -> World {
    let mut rng = Rng::new(seed);
    let mut names = world.durable_names.clone();
    let manner = Manner::draw(seed, &mut rng, world.unsynced_names.len());
    for (index, change) in world.unsynced_names.iter().enumerate() {
        if manner.keeps(index, &mut rng) {
            change.apply(&mut names);
        }
    }
    let inodes = world
        .inodes
        .iter()
        .map(|inode| survive(inode, seed, &mut rng))
        .collect();
    let ids = world.ids;
    World {
        inodes,
        durable_names: names.clone(),
        names,
        ids,
        ..World::default()
    }
}

fn survive(inode: &Inode, seed: u64, rng: &mut Rng) -> Inode {
    let mut bytes = inode.durable.clone();
    let manner = Manner::draw(seed, rng, inode.unsynced.len());
    for (index, change) in inode.unsynced.iter().enumerate() {
        if !manner.keeps(index, rng) {
            continue;
        }
        match change {
            Change::Write {
                offset,
                bytes: written,
            } if seed > 1 => tear(&mut bytes, *offset, written, rng),
            whole => whole.apply(&mut bytes),
        }
    }
    Inode {
        current: bytes.clone(),
        durable: bytes,
        unsynced: Vec::new(),
    }
}

/// Applies a write: whole, or its first sectors, or any of its sectors.
fn tear(to: &mut Vec<u8>, offset: usize, bytes: &[u8], rng: &mut Rng) {
    let first = offset / SECTOR;
    let sectors = (offset + bytes.len()).div_ceil(SECTOR) - first;
    let manner = match rng.below(3) {
        0 => Manner::Everything,
        1 => Manner::First(rng.below(sectors as u64 + 1) as usize),
        _ => Manner::Some,
    };
    for index in 0..sectors {
        if manner.keeps(index, rng) {
            let from = ((first + index) * SECTOR).max(offset);
            let end = ((first + index + 1) * SECTOR).min(offset + bytes.len());
            Change::Write {
                offset: from,
                bytes: bytes[from - offset..end - offset].to_vec(),
            }
            .apply(to);
        }
    }
}
