//! Ports that stay free while a server is down.

use std::net::TcpListener;
use std::ops::Range;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that systems give to whoever asks for any, so that no connection and no other test's server takes one while a
/// server that will come back is down.
const RANGE: Range<u16> = 10_000..32_000;

/// How far apart processes that follow each other begin.
const STRIDE: u32 = 61;

/// `N` different ports of 127.0.0.1 on which nobody listens. No two calls of a process return the same one before
/// 22,000 were given away.
///
/// # Panics
///
/// If all are taken.
#[must_use]
pub fn ports<const N: usize>() -> [u16; N] {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let free = || {
        let mut tries = RANGE.map(|_| place(process::id(), GIVEN.fetch_add(1, Ordering::Relaxed)));
        tries
            .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
            .unwrap_or_else(|| panic!("no port of {RANGE:?} is free"))
    };
    std::array::from_fn(|_| free())
}

/// Where a process looks next.
fn place(process: u32, given: u16) -> u16 {
    let begin = process.wrapping_mul(STRIDE) % u32::from(RANGE.end - RANGE.start);
    let offset = (begin + u32::from(given)) % u32::from(RANGE.end - RANGE.start);
    RANGE.start + u16::try_from(offset).expect("less than the range's length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_can_be_listened_to() {
        let mut all: Vec<u16> = ports::<5>().into_iter().chain(ports::<5>()).collect();
        for port in &all {
            TcpListener::bind(("127.0.0.1", *port)).unwrap();
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 10);
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let [first] = ports();
        let listeners: Vec<_> = (1..=3)
            .map_while(|ahead| TcpListener::bind(("127.0.0.1", first + ahead)).ok())
            .collect();
        let [next] = ports();
        let taken: Vec<_> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        assert!(!taken.contains(&next), "{next} of {taken:?}");
    }

    #[test]
    fn places_stay_in_the_range() {
        for process in [0, 1, 360, 361, 22_000, u32::MAX] {
            for given in [0, 1, 21_999, 22_000, u16::MAX] {
                assert!(RANGE.contains(&place(process, given)));
            }
        }
        assert_eq!(place(1, 0), place(0, 61));
    }
}
