//! Names that nobody else has.

use std::hash::{BuildHasher, RandomState};

/// A name in the form of a UUID of version 4, as existing gateways have it: upper-case, with dashes.
pub(crate) fn unique_name() -> String {
    let random = |salt: u8| RandomState::new().hash_one(salt);
    let (high, low) = (random(0), random(1));
    format!(
        "{:08X}-{:04X}-4{:03X}-{:04X}-{:012X}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_28_unique_names_look_like_uuids_and_differ() {
        let (one, other) = (unique_name(), unique_name());
        assert_ne!(one, other);
        let lengths: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(
            one.bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F' | b'-'))
        );
    }
}
