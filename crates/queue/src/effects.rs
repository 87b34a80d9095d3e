use bytes::Bytes;
use std::fmt;
use trunkline_model::{
    ConsumerId, DeliveryTag, Durability, Error, MessageId, StoredMessage, TopicName,
};

/// Where the engine finds a message's body. The queue keeps it and hands it back; it never
/// looks inside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BodyRef(pub u64);

impl BodyRef {
    /// Not known yet: between [`Core::apply`](crate::Core::apply) and
    /// [`Core::set_body`](crate::Core::set_body). Engines never use this value.
    pub const UNSET: Self = Self(u64::MAX);
}

impl fmt::Debug for BodyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::UNSET {
            f.write_str("BodyRef(unset)")
        } else {
            write!(f, "BodyRef({:#x})", self.0)
        }
    }
}

/// Names a message that was just put, until the next call that may free it: everything
/// but [`Core::set_body`](crate::Core::set_body).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutHandle {
    pub(crate) topic: u32,
    pub(crate) sequence: u64,
}

/// What running a checked command can cost at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Bytes of records that make the store grow: publishes and definitions.
    pub growth_bytes: usize,
    /// Bytes of records that let it shrink: acks, nacks and their like.
    pub settle_bytes: usize,
    /// The strongest durability touched. A publish whose `publish_id` was seen before logs
    /// nothing, yet must not be confirmed before everything appended so far is this durable.
    pub durability: Durability,
    /// Whether anything may be logged at all.
    pub logs: bool,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            growth_bytes: 0,
            settle_bytes: 0,
            durability: Durability::Memory,
            logs: false,
        }
    }
}

/// A decision to hand a message to a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// To whom.
    pub consumer: ConsumerId,
    /// What acks will name.
    pub tag: DeliveryTag,
    /// Which message.
    pub id: MessageId,
    /// Its topic.
    pub topic: TopicName,
    /// Which delivery to this subscription this is, from 1.
    pub attempt: u32,
    /// Where its body is. With `auto_ack` the same effects may list it as freed: read first.
    pub body: BodyRef,
    /// What must hold for the message's put before it leaves.
    pub durability: Durability,
}

/// Encoded records, in order; keeps its memory when cleared.
#[derive(Clone, Debug, Default)]
pub struct LogBuffer {
    bytes: Vec<u8>,
    records: Vec<(u8, usize)>,
}

impl LogBuffer {
    /// Adds a record that `encode` appends to the buffer; returns its index.
    pub(crate) fn push(&mut self, kind: u8, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        encode(&mut self.bytes);
        self.records.push((kind, self.bytes.len()));
        self.records.len() - 1
    }

    /// The records in order: kind and bytes.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let mut start = 0;
        self.records.iter().map(move |(kind, end)| {
            let record = &self.bytes[start..*end];
            start = *end;
            (*kind, record)
        })
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all records, without any framing.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of record `index`, without any framing; 0 if there is none.
    pub fn record_len(&self, index: usize) -> usize {
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.records[before].1);
        self.records.get(index).map_or(0, |(_, end)| end - start)
    }

    /// A copy of record `index` that outlives the buffer.
    pub fn copy_of(&self, index: usize) -> Option<(u8, Bytes)> {
        let (kind, end) = *self.records.get(index)?;
        let start = index.checked_sub(1).map_or(0, |i| self.records[i].1);
        Some((kind, Bytes::copy_from_slice(&self.bytes[start..end])))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }
}

/// What the engine has to do about a command. One value is reused: it keeps its memory.
#[derive(Debug, Default)]
pub struct Effects {
    /// Records to append, in order, as one unit.
    pub log: LogBuffer,
    /// Messages put, each with the index of its record in `log`. One that was replaced or
    /// dropped by the same command is not listed.
    pub puts: Vec<(PutHandle, usize)>,
    /// Messages put that are never logged: the engine keeps them.
    pub memory_puts: Vec<(PutHandle, StoredMessage)>,
    /// Deliveries decided, in order.
    pub deliveries: Vec<Deliver>,
    /// Bodies that no subscription needs any more, with their payload bytes.
    pub freed: Vec<(BodyRef, u32)>,
    /// Consumers ended from below: their subscription or topic is gone.
    pub ended: Vec<(ConsumerId, Error)>,
}

impl Effects {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.log.clear();
        self.puts.clear();
        self.memory_puts.clear();
        self.deliveries.clear();
        self.freed.clear();
        self.ended.clear();
    }
}
