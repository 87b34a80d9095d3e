//! Waiting for somebody else's program, which says when it is ready only by answering.

use std::error::Error;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(25);

/// What was still wrong at the end of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    what: String,
    within: Duration,
    last: String,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotReady { what, within, last } = self;
        write!(f, "{what}: not within {within:?}: {last}")
    }
}

impl Error for NotReady {}

/// Tries until it succeeds, at least once, and returns what it found.
///
/// # Errors
///
/// With what the last try said, when `within` has passed.
pub fn wait_until<T>(
    what: &str,
    within: Duration,
    mut attempt: impl FnMut() -> Result<T, String>,
) -> Result<T, NotReady> {
    let begin = Instant::now();
    loop {
        match attempt() {
            Ok(found) => return Ok(found),
            Err(last) if begin.elapsed() >= within => {
                let what = what.to_owned();
                return Err(NotReady { what, within, last });
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_success_ends_the_wait() {
        let mut tries = 0;
        let found = wait_until("the third try", Duration::from_secs(60), || {
            tries += 1;
            if tries < 3 {
                Err("too early".to_owned())
            } else {
                Ok(tries)
            }
        });
        assert_eq!(found, Ok(3));
    }

    #[test]
    fn the_last_failure_is_told() {
        let mut tries = 0;
        let error = wait_until("a word", Duration::ZERO, || -> Result<(), _> {
            tries += 1;
            Err(format!("try {tries}"))
        });
        assert_eq!(
            error.unwrap_err().to_string(),
            "a word: not within 0ns: try 1"
        );
    }
}
