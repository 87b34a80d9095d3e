//! A second way into a file, past the page cache.
//!
//! A log is written once and, by a consumer that keeps up, never read from disk. In the page cache it would cost a copy and a fresh
//! page for every page written, and a place that somebody else could use. Where there is no such way (another system, a file system
//! that refuses), the page cache it is.

use std::fs::File;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::pages::PAGE;

/// Whether a transfer is made of whole pages, in the file and in memory.
pub(super) fn is_whole_pages<'a>(offset: u64, parts: impl IntoIterator<Item = &'a [u8]>) -> bool {
    let page = PAGE as usize;
    let is_whole =
        |part: &[u8]| part.as_ptr().addr().is_multiple_of(page) && part.len().is_multiple_of(page);
    offset.is_multiple_of(PAGE.into()) && parts.into_iter().all(is_whole)
}

/// The second handle of a file, opened when it is first of use.
#[derive(Debug, Default)]
pub(super) struct Direct {
    handle: OnceLock<Option<File>>,
    refused: AtomicBool,
}

impl Direct {
    /// The handle, if there is this way.
    pub(super) fn file(&self, file: &File) -> Option<&File> {
        if self.refused.load(Ordering::Relaxed) {
            return None;
        }
        self.handle.get_or_init(|| open(file)).as_ref()
    }

    /// The file system took the handle and refuses to work with it.
    pub(super) fn give_up(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }
}

/// Opens the same file, whatever its name is by now.
#[cfg(target_os = "linux")]
fn open(file: &File) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    use std::os::fd::AsRawFd;
    let access = rustix::fs::fcntl_getfl(file).ok()? & OFlags::RWMODE;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = access | OFlags::DIRECT | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
        .ok()
        .map(File::from)
}

#[cfg(not(target_os = "linux"))]
fn open(_: &File) -> Option<File> {
    None
}
