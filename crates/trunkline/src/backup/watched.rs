//! Reading that shows how far it is, and can be ended.

use indicatif::ProgressBar;
use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A reader that moves a bar, and fails once `stop` is set.
#[derive(Debug)]
pub(crate) struct Watched<R> {
    pub(crate) inner: R,
    pub(crate) bar: ProgressBar,
    pub(crate) stop: Arc<AtomicBool>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        let read = self.inner.read(into)?;
        self.bar.inc(read as u64);
        Ok(read)
    }
}
