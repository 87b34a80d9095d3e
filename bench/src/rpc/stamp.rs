//! Moments inside of payloads, to see how long a message was under way.

use std::time::{Duration, Instant};

use memchr::memmem::Finder;

use super::filler;
use super::scan::leading_number;

/// Nanoseconds since the start of the load, always with so many digits: enough for a hundred days.
pub(crate) const STAMP_DIGITS: usize = 16;

/// What stands before a stamp, here and in a push.
const BEFORE: &[u8] = b"\"payload\":\"";

/// `before` and `after` a stamped payload of `bytes` characters in a request's params.
pub(crate) fn stamped(before: &str, bytes: usize, after: &str) -> (String, String) {
    let rest = filler(bytes - STAMP_DIGITS);
    (
        format!(r#"{before}"payload":""#),
        format!(r#"{rest}"{after}"#),
    )
}

/// `at` as digits, counted from `epoch`.
pub(crate) fn digits(epoch: Instant, at: Instant) -> [u8; STAMP_DIGITS] {
    let mut rest = at.saturating_duration_since(epoch).as_nanos() as u64;
    let mut digits = [b'0'; STAMP_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    digits
}

/// Finds the stamps in what the server pushes.
pub(crate) struct Stamps {
    finder: Finder<'static>,
    epoch: Instant,
}

/// Stamps that are counted from `epoch`.
pub(crate) fn stamps(epoch: Instant) -> Stamps {
    Stamps {
        finder: Finder::new(BEFORE),
        epoch,
    }
}

impl Stamps {
    /// How long before `now` each of the payloads in `text` was due.
    pub(crate) fn ages<'t>(
        &'t self,
        text: &'t [u8],
        now: Instant,
    ) -> impl Iterator<Item = Duration> + 't {
        let now = now.saturating_duration_since(self.epoch);
        self.finder.find_iter(text).filter_map(move |at| {
            let digits = text.get(at + BEFORE.len()..)?.get(..STAMP_DIGITS)?;
            let (nanos, _) = leading_number(digits)?;
            Some(now.saturating_sub(Duration::from_nanos(nanos)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_the_age_of_its_payload() {
        let epoch = Instant::now();
        let stamps = stamps(epoch);
        let push = |ms: &[u64]| {
            let payloads = ms.iter().map(|ms| {
                let at = epoch + Duration::from_millis(*ms);
                let (before, after) = stamped("{", 20, "},");
                let stamp = String::from_utf8(digits(epoch, at).to_vec()).unwrap();
                before + &stamp + &after
            });
            payloads.collect::<String>()
        };
        let text = push(&[0, 250, 1_999]);
        assert!(
            text.starts_with(r#"{"payload":"0000000000000000abcd"},"#),
            "{text}"
        );
        let now = epoch + Duration::from_secs(2);
        let ages: Vec<_> = stamps.ages(text.as_bytes(), now).collect();
        assert_eq!(ages, [2_000, 1_750, 1].map(Duration::from_millis));
        assert_eq!(stamps.ages(br#"{"result":1}"#, now).count(), 0);
        assert_eq!(stamps.ages(br#"{"payload":"12"#, now).count(), 0);
    }
}
