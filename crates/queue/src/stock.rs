use crate::lane::{Lane, Placed};
use hashbrown::HashMap;

/// What may be dropped to make room, by priority and age: kept only where there is a bound.
#[derive(Clone, Debug)]
pub(crate) struct Stock {
    /// One a priority; a message stands at its sequence, so that it takes a bit.
    lanes: Vec<Lane>,
    len: u64,
    bytes: u64,
    /// Payload bytes by sequence, if the bound is one of bytes.
    sizes: Option<HashMap<u64, u32>>,
}

impl Stock {
    /// Without messages; `weighs` tells whether their bytes count.
    pub(crate) fn new(weighs: bool) -> Self {
        Self {
            lanes: Vec::new(),
            len: 0,
            bytes: 0,
            sizes: weighs.then(HashMap::new),
        }
    }

    /// A message may be dropped; nothing changes if it is known.
    pub(crate) fn insert(&mut self, lane: u8, sequence: u64, bytes: u32) {
        let index = usize::from(lane);
        if self.lanes.len() <= index {
            self.lanes.resize_with(index + 1, Lane::default);
        }
        if self.lanes[index].get(sequence).is_some() {
            return;
        }
        self.lanes[index].insert(Placed {
            position: sequence,
            sequence,
            attempts: 0,
        });
        self.len += 1;
        if let Some(sizes) = &mut self.sizes {
            sizes.insert(sequence, bytes);
            self.bytes += u64::from(bytes);
        }
    }

    /// A message is not to be dropped, or gone; nothing changes if it is not known.
    pub(crate) fn remove(&mut self, lane: u8, sequence: u64) {
        let lane = self.lanes.get_mut(usize::from(lane));
        if lane.and_then(|lane| lane.remove(sequence)).is_none() {
            return;
        }
        self.len -= 1;
        if let Some(sizes) = &mut self.sizes {
            let bytes = sizes.remove(&sequence).unwrap_or_default();
            self.bytes -= u64::from(bytes);
        }
    }

    /// The least urgent, and of those the oldest.
    pub(crate) fn victim(&self) -> Option<u64> {
        let mut lanes = self.lanes.iter().rev();
        lanes.find_map(Lane::front).map(|placed| placed.sequence)
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Their payload bytes; 0 if they don't count.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_urgent_goes_first_and_of_those_the_oldest() {
        let mut stock = Stock::new(true);
        for (lane, sequence) in [(1, 5), (0, 1), (2, 4), (2, 3), (2, 4)] {
            stock.insert(lane, sequence, 10);
        }
        assert_eq!((stock.len(), stock.bytes()), (4, 40));
        let mut gone = Vec::new();
        while let Some(sequence) = stock.victim() {
            (0..3).for_each(|lane| stock.remove(lane, sequence));
            gone.push(sequence);
        }
        assert_eq!(gone, [3, 4, 5, 1]);
        assert_eq!((stock.len(), stock.bytes()), (0, 0));
    }
}
