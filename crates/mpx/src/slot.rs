//! Slots of a Redis Cluster.

/// How many slots a cluster has.
pub(crate) const SLOTS: u16 = 16_384;

/// The slot of a key or shard channel, as the Redis Cluster specification computes it: of what is
/// between the first `{` and the next `}`, if that is anything, else of the whole name.
#[must_use]
pub fn slot_of(name: &[u8]) -> u16 {
    crc16(hash_tag(name)) % SLOTS
}

fn hash_tag(name: &[u8]) -> &[u8] {
    let Some(open) = memchr::memchr(b'{', name) else {
        return name;
    };
    let rest = &name[open + 1..];
    match memchr::memchr(b'}', rest) {
        Some(close) if close > 0 => &rest[..close],
        _ => name,
    }
}

/// CRC-16/XMODEM: polynomial 0x1021, starting at 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of(b"foo"), 12_182);
        for (a, b) in [
            (&b"{user1000}.following"[..], &b"{user1000}.followers"[..]),
            (b"foo{bar}{zap}", b"bar"),
            (b"foo{{bar}}zap", b"{bar"),
        ] {
            assert_eq!(slot_of(a), slot_of(b));
        }
        assert_eq!(slot_of(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
    }
}
