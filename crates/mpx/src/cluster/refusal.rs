use super::Node;

/// What a node of a cluster means that takes no subscription to a shard channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another node owns the slot.
    Moved { slot: u16, to: Node },
    /// The node, or the cluster, takes none for the moment.
    Later,
    /// It is about the name itself, as access rules are.
    Final,
}

/// The words of errors that pass: of slots that move, nodes that are cut off or not up yet.
const LATER: [&[u8]; 6] = [
    b"ASK",
    b"TRYAGAIN",
    b"CLUSTERDOWN",
    b"LOADING",
    b"MASTERDOWN",
    b"MOVED",
];

impl Refusal {
    /// Reads an error of a node.
    pub(crate) fn read(reason: &[u8], said_by: &Node) -> Self {
        if !concerns_slot(reason) {
            return Self::Final;
        }
        let text = std::str::from_utf8(reason).unwrap_or_default();
        let mut words = text.split(' ');
        let (Some("MOVED"), Some(slot), Some(to)) = (words.next(), words.next(), words.next())
        else {
            return Self::Later;
        };
        match (slot.parse(), Node::read(to, said_by)) {
            (Ok(slot), Some(to)) => Self::Moved { slot, to },
            _ => Self::Later,
        }
    }
}

/// Whether an error is about a slot or the node, and so about all names of its command.
pub(crate) fn concerns_slot(reason: &[u8]) -> bool {
    let word = reason.split(|byte| *byte == b' ').next();
    word.is_some_and(|word| LATER.contains(&word))
}

/// The slot that an error says is elsewhere.
pub(crate) fn moved_slot(reason: &[u8]) -> Option<u16> {
    let rest = reason.strip_prefix(b"MOVED ")?;
    let slot = rest.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(slot).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_nodes_are_told_apart() {
        let said_by = Node::new("10.0.0.1", 7000);
        let moved = |slot, host, port| Refusal::Moved {
            slot,
            to: Node::new(host, port),
        };
        for (reason, is) in [
            ("MOVED 3999 127.0.0.1:6381", moved(3999, "127.0.0.1", 6381)),
            ("MOVED 1 ::1:6381", moved(1, "::1", 6381)),
            ("MOVED 1 :6381", moved(1, "10.0.0.1", 6381)),
            ("MOVED 1 ?:6381", moved(1, "10.0.0.1", 6381)),
            ("MOVED 1", Refusal::Later),
            ("MOVED x 127.0.0.1:6381", Refusal::Later),
            ("ASK 3999 127.0.0.1:6381", Refusal::Later),
            ("TRYAGAIN Multiple keys request", Refusal::Later),
            ("CLUSTERDOWN Hash slot not served", Refusal::Later),
            ("NOPERM No permissions to access a channel", Refusal::Final),
            ("MOVEDSLOT", Refusal::Final),
            ("", Refusal::Final),
        ] {
            assert_eq!(Refusal::read(reason.as_bytes(), &said_by), is, "{reason}");
        }
        assert_eq!(moved_slot(b"MOVED 3999 127.0.0.1:6381"), Some(3999));
        assert_eq!(moved_slot(b"ASK 3999 127.0.0.1:6381"), None);
    }
}
