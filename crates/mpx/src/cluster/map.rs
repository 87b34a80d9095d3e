use super::Node;
use crate::resp::Value;
use crate::slot::SLOTS;

/// Nobody owns it.
const NOBODY: u16 = u16::MAX;

/// Who owns which slot, as far as it is known.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SlotMap {
    /// Places in `nodes`.
    owners: Vec<u16>,
    nodes: Vec<Node>,
}

impl SlotMap {
    /// Nothing is known.
    pub(crate) fn new() -> Self {
        Self {
            owners: vec![NOBODY; usize::from(SLOTS)],
            nodes: Vec::new(),
        }
    }

    /// Reads what a node answers to `CLUSTER SLOTS`; none if that is something else.
    pub(crate) fn read(answer: &Value, said_by: &Node) -> Option<Self> {
        let Value::Array(ranges) = answer else {
            return None;
        };
        let mut map = Self::new();
        for range in ranges {
            let Value::Array(parts) = range else {
                return None;
            };
            let [
                Value::Integer(first),
                Value::Integer(last),
                Value::Array(owner),
                ..,
            ] = &parts[..]
            else {
                return None;
            };
            let (host, Value::Integer(port)) = (owner.first()?, owner.get(1)?) else {
                return None;
            };
            let host = host.bytes().map_or("", |host| str_of(host));
            let owner = Node::heard(host, u16::try_from(*port).ok()?, said_by);
            for slot in u16::try_from(*first).ok()?..=u16::try_from(*last).ok()? {
                if slot >= SLOTS {
                    return None;
                }
                map.set(slot, &owner);
            }
        }
        Some(map)
    }

    /// The owner of a slot.
    pub(crate) fn owner(&self, slot: u16) -> Option<&Node> {
        let place = *self.owners.get(usize::from(slot))?;
        self.nodes.get(usize::from(place))
    }

    /// A slot has another owner.
    pub(crate) fn set(&mut self, slot: u16, owner: &Node) {
        let place = self.nodes.iter().position(|node| node == owner);
        let place = place.unwrap_or_else(|| {
            self.nodes.push(owner.clone());
            self.nodes.len() - 1
        });
        // A cluster has a thousand nodes at most, and one without a place is nobody's.
        let place = u16::try_from(place).unwrap_or(NOBODY);
        if let Some(slot) = self.owners.get_mut(usize::from(slot)) {
            *slot = place;
        }
    }

    /// All that own something, or did before it was learned that they don't.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }
}

fn str_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

impl std::fmt::Debug for SlotMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.owners.iter().filter(|owner| **owner != NOBODY).count();
        write!(f, "SlotMap({known} slots of {:?})", self.nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn text(text: &'static str) -> Value {
        Value::Bytes(Bytes::from_static(text.as_bytes()))
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let owner = vec![
            host,
            Value::Integer(port),
            text("id"),
            Value::Array(Vec::new()),
        ];
        let replica = vec![text("10.0.0.9"), Value::Integer(1), text("id")];
        Value::Array(vec![
            Value::Integer(first),
            Value::Integer(last),
            Value::Array(owner),
            Value::Array(replica),
        ])
    }

    #[test]
    fn slots_have_the_owners_that_the_answer_names_first() {
        let asked = Node::new("redis.example", 7000);
        let answer = Value::Array(vec![
            range(0, 99, text("10.0.0.1"), 7001),
            range(100, 100, Value::Nothing, 7002),
            range(101, 16_383, text(""), 7003),
        ]);
        let map = SlotMap::read(&answer, &asked).expect("an answer");
        let owner = |slot| map.owner(slot).map(ToString::to_string);
        assert_eq!(owner(99).as_deref(), Some("10.0.0.1:7001"));
        assert_eq!(owner(100).as_deref(), Some("redis.example:7002"));
        assert_eq!(owner(16_383).as_deref(), Some("redis.example:7003"));
        assert_eq!(map.owner(16_384), None);
        assert_eq!(map.nodes().len(), 3);
        let empty = SlotMap::read(&Value::Array(Vec::new()), &asked).expect("an answer");
        assert_eq!((empty.owner(0), empty.nodes().len()), (None, 0));
    }

    #[test]
    fn another_answer_is_none() {
        let asked = Node::new("a", 1);
        for answer in [
            text("OK"),
            Value::Array(vec![text("OK")]),
            Value::Array(vec![range(0, 16_384, text("a"), 1)]),
            Value::Array(vec![range(0, 1, text("a"), 70_000)]),
            Value::Array(vec![range(-1, 1, text("a"), 7)]),
        ] {
            assert_eq!(SlotMap::read(&answer, &asked), None, "{answer:?}");
        }
    }
}
