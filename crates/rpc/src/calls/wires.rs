//! The wires of a process, numbered, and whose a dispatch is.

use super::{
    CallsConfig, CategoryConfig,
    config::{Categories, NATIVE},
    stats::Stats,
};
use crate::lock::lock;
use compact_str::CompactString;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use trunkline_model::{Call, CallWire, DispatchId, HandlerStats};

/// Bits that wires count dispatches with. With the number of a wire before them a dispatch stays below
/// 2^53: workers are sent it as a number in JSON.
const DISPATCH_BITS: u32 = 48;
/// Most wires besides the native one.
const WIRES_MAX: usize = 31;

const _: () = assert!((WIRES_MAX as u64 + 1) << DISPATCH_BITS <= 1 << 53);

/// Calls can't be started with these wires.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// A category's wire is none of those that are there.
    #[error("categories.{category}.wire: {wire:?} is no wire here; there are: {known}")]
    Unknown {
        /// The category.
        category: CompactString,
        /// What it names.
        wire: CompactString,
        /// Names of those that are there, for people.
        known: String,
    },
    /// More wires than can be numbered.
    #[error("{0} wires; there can be 31 besides the native one")]
    TooMany(usize),
}

/// Names a wire within a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WireNumber(u8);

impl WireNumber {
    /// The wire over the engine.
    pub(crate) const NATIVE: Self = Self(0);
}

/// What happened on a wire besides the native one since the start, as seen from this process.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WireStats {
    /// Its name, as in [`CategoryConfig::wire`].
    pub name: CompactString,
    /// What the wire counts itself ([`CallWire::counters`]), by name.
    pub counters: Vec<(&'static str, u64)>,
    /// Calls that this process has asked for, by their queue ([`CallWire::queue_of`]). Times are those that the asker has
    /// waited for answers, from when a call was handed to the wire; time-outs are his.
    pub queues: BTreeMap<CompactString, HandlerStats>,
}

/// The wires besides the native one.
#[derive(Default)]
pub(super) struct Foreign(Vec<Wire>);

struct Wire {
    name: CompactString,
    wire: Arc<dyn CallWire>,
    /// As many as the wire has queues.
    queues: Mutex<BTreeMap<CompactString, Arc<Stats>>>,
}

impl Foreign {
    /// Numbers wires, by their names, and the categories that use them.
    pub(super) fn new(
        config: &CallsConfig,
        wires: BTreeMap<CompactString, Arc<dyn CallWire>>,
    ) -> Result<(Self, Categories), WireError> {
        if wires.len() > WIRES_MAX {
            return Err(WireError::TooMany(wires.len()));
        }
        let names: Vec<&CompactString> = wires.keys().collect();
        let number = |category: &CompactString, config: &CategoryConfig| {
            if config.wire == NATIVE {
                return Ok(WireNumber::NATIVE);
            }
            let found = names.iter().position(|name| **name == config.wire);
            let unknown = || WireError::Unknown {
                category: category.clone(),
                wire: config.wire.clone(),
                known: [NATIVE]
                    .into_iter()
                    .chain(names.iter().map(|name| name.as_str()))
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            let position = found.ok_or_else(unknown)?;
            Ok(WireNumber(u8::try_from(position + 1).expect("at most 31")))
        };
        let categories = Categories::new(config, number)?;
        let wire = |(name, wire)| Wire {
            name,
            wire,
            queues: Mutex::default(),
        };
        Ok((Self(wires.into_iter().map(wire).collect()), categories))
    }

    /// The wire with this number, unless it is the native one.
    pub(super) fn get(&self, number: WireNumber) -> Option<&dyn CallWire> {
        Some(&*self.wire(number)?.wire)
    }

    fn wire(&self, number: WireNumber) -> Option<&Wire> {
        self.0.get(usize::from(number.0).checked_sub(1)?)
    }

    /// What counts such a call of a wire with this number, unless it is the native one.
    pub(super) fn stats(&self, number: WireNumber, call: &Call) -> Option<Arc<Stats>> {
        let wire = self.wire(number)?;
        let queue = wire.wire.queue_of(call);
        let mut queues = lock(&wire.queues);
        if let Some(stats) = queues.get(&queue) {
            return Some(stats.clone());
        }
        let stats = Arc::new(Stats::new());
        queues.insert(queue, stats.clone());
        Some(stats)
    }

    /// What happened on each, by name.
    pub(super) fn all_stats(&self) -> Vec<WireStats> {
        let of = |wire: &Wire| {
            let queues = lock(&wire.queues);
            let queues = queues.iter();
            WireStats {
                name: wire.name.clone(),
                counters: wire.wire.counters(),
                queues: queues
                    .map(|(name, stats)| (name.clone(), stats.snapshot()))
                    .collect(),
            }
        };
        self.0.iter().map(of).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &dyn CallWire> {
        self.0.iter().map(|wire| &*wire.wire)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The name of a dispatch in this process.
pub(super) fn dispatch_of(wire: WireNumber, dispatch: DispatchId) -> DispatchId {
    debug_assert!(dispatch.0 >> DISPATCH_BITS == 0, "nobody counts so far");
    DispatchId(u64::from(wire.0) << DISPATCH_BITS | dispatch.0)
}

/// Its wire, and its name there. What is no dispatch has one that isn't there, or no call.
pub(super) fn wire_of(dispatch: DispatchId) -> (WireNumber, DispatchId) {
    let wire = u8::try_from(dispatch.0 >> DISPATCH_BITS).unwrap_or(u8::MAX);
    let there = dispatch.0 & ((1 << DISPATCH_BITS) - 1);
    (WireNumber(wire), DispatchId(there))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispatches_of_all_wires_are_exact_numbers_in_json() {
        let last = DispatchId((1 << DISPATCH_BITS) - 1);
        for wire in [0, 1, WIRES_MAX as u8] {
            let wire = WireNumber(wire);
            for dispatch in [DispatchId(0), DispatchId(7), last] {
                let named = dispatch_of(wire, dispatch);
                assert!(named.0 < 1 << 53);
                assert_eq!(wire_of(named), (wire, dispatch));
            }
        }
        assert_eq!(dispatch_of(WireNumber::NATIVE, DispatchId(7)).0, 7);
        assert_eq!(wire_of(DispatchId(u64::MAX)).0, WireNumber(u8::MAX));
    }

    #[test]
    fn an_unknown_wire_is_told_with_its_category() {
        let config: CallsConfig =
            serde_json::from_str(r#"{"categories": {"old": {"wire": "pigeons"}}}"#).unwrap();
        let error = Foreign::new(&config, BTreeMap::new()).err().unwrap();
        assert_eq!(
            error.to_string(),
            "categories.old.wire: \"pigeons\" is no wire here; there are: native"
        );
    }
}
