//! The end of a segment as whole pages: what the disk is given is aligned in memory and in the file, so that it can go past the
//! page cache. Pure: somebody else writes.

/// A block of the file system, or several: writes start and end at multiples of this, in bytes.
pub(crate) const PAGE: u32 = 4096;
const PAGE_BYTES: usize = PAGE as usize;
/// Most that is handed out at once, in bytes.
const WINDOW_MAX: usize = 256 << 10;
const WINDOW_MIN: usize = 4 * PAGE_BYTES;

const _: () = assert!(WINDOW_MAX.is_multiple_of(PAGE_BYTES) && WINDOW_MIN <= WINDOW_MAX);
const _: () = assert!(crate::format::SEGMENT_DATA.is_multiple_of(PAGE));
const _: () = assert!(crate::format::SEGMENT_BYTES_MIN.is_multiple_of(PAGE));

/// The start of the page that holds `offset`.
pub(crate) const fn page_start(offset: u32) -> u32 {
    offset - offset % PAGE
}

/// The end of the page whose last byte may be the one before `offset`.
pub(crate) const fn page_end(offset: u32) -> u32 {
    page_start(offset + PAGE - 1)
}

/// Memory whose address is a multiple of [`PAGE`].
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// Zeros.
    pub(crate) fn new(len: usize) -> Self {
        let memory = vec![0; len + PAGE_BYTES - 1];
        let start = memory.as_ptr().align_offset(PAGE_BYTES);
        // Where an address can't be aligned, the bytes are as good, and take the page cache's way.
        let start = start.min(PAGE_BYTES - 1);
        Self { memory, start, len }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }

    /// All memory, and where the aligned part starts in it.
    pub(crate) fn into_memory(self) -> (Vec<u8>, usize) {
        (self.memory, self.start)
    }
}

/// What is to be written next: from the start of the page with the end of the log.
///
/// The bytes of that page which are in the file already are written again, the same; behind the end, the page is filled with zeros.
#[derive(Debug)]
pub(crate) struct Pages {
    window: Aligned,
    /// Where the window starts in the file: a multiple of [`PAGE`].
    at: u32,
    /// Bytes of the window that are the log's.
    filled: usize,
}

impl Pages {
    /// Goes on at `end`, in a page that starts with `head`: the bytes in the file from [`page_start`] of `end` on.
    pub(crate) fn new(end: u32, head: &[u8]) -> Self {
        debug_assert_eq!(head.len(), (end - page_start(end)) as usize);
        let mut window = Aligned::new(WINDOW_MIN);
        window.bytes_mut()[..head.len()].copy_from_slice(head);
        Self {
            window,
            at: page_start(end),
            filled: head.len(),
        }
    }

    /// Goes on at the start of another page, in another file.
    pub(crate) fn restart(&mut self, at: u32) {
        debug_assert!(at.is_multiple_of(PAGE));
        self.at = at;
        self.filled = 0;
    }

    /// Where the next byte goes.
    pub(crate) fn end(&self) -> u32 {
        self.at + self.filled as u32
    }

    /// Makes room for `len` more bytes, as far as they are written at once.
    pub(crate) fn reserve(&mut self, len: usize) {
        let wanted = (self.filled + len)
            .next_multiple_of(PAGE_BYTES)
            .min(WINDOW_MAX);
        if wanted > self.window.len() {
            let mut larger = Aligned::new(wanted.next_power_of_two());
            larger.bytes_mut()[..self.filled].copy_from_slice(&self.window.bytes()[..self.filled]);
            self.window = larger;
        }
    }

    /// Adds bytes. A full window is handed to `write` with its place in the file.
    pub(crate) fn push<E>(
        &mut self,
        mut bytes: &[u8],
        mut write: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let room = self.window.len() - self.filled;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.window.bytes_mut()[self.filled..][..now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == self.window.len() {
                write(self.at, self.window.bytes())?;
                self.at += self.filled as u32;
                self.filled = 0;
            }
        }
        Ok(())
    }

    /// Hands out what is left, with zeros up to the end of its last page, and keeps the page with the end.
    pub(crate) fn finish<E>(
        &mut self,
        write: impl FnOnce(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.filled == 0 {
            return Ok(());
        }
        let end = self.filled.next_multiple_of(PAGE_BYTES);
        let window = self.window.bytes_mut();
        window[self.filled..end].fill(0);
        write(self.at, &window[..end])?;
        let page = self.filled - self.filled % PAGE_BYTES;
        window.copy_within(page..self.filled, 0);
        self.at += page as u32;
        self.filled -= page;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Whatever is pushed in whatever pieces, the file gets it in order and in whole pages, and zeros behind it.
    #[test]
    fn the_file_is_what_was_pushed() {
        let mut file = vec![0xAA_u8; 2 << 20];
        let mut expected = vec![7_u8; 100];
        file[8192..8292].copy_from_slice(&expected);
        let mut pages = Pages::new(8292, &expected);
        let mut next = 0_u8;
        for piece in [1, 64, 3931, 0, 4096, 5000, 300 << 10, 12, 600_000, 4095] {
            let bytes: Vec<u8> = (0..piece)
                .map(|_| {
                    next = next.wrapping_mul(31).wrapping_add(7);
                    next
                })
                .collect();
            let mut write = |at: u32, bytes: &[u8]| {
                assert!(at.is_multiple_of(PAGE) && bytes.len().is_multiple_of(PAGE_BYTES));
                assert!(bytes.len() <= WINDOW_MAX);
                assert!(bytes.as_ptr().addr().is_multiple_of(PAGE_BYTES));
                file[at as usize..][..bytes.len()].copy_from_slice(bytes);
                Ok::<_, Infallible>(())
            };
            pages.reserve(bytes.len());
            let Ok(()) = pages.push(&bytes, &mut write);
            let Ok(()) = pages.finish(&mut write);
            expected.extend_from_slice(&bytes);
            let end = 8192 + expected.len();
            assert_eq!(pages.end() as usize, end);
            assert!(file[8192..end] == expected, "after a piece of {piece}");
            let page_end = page_end(end as u32) as usize;
            assert!(file[end..page_end].iter().all(|&byte| byte == 0));
            assert!(file[page_end..].iter().all(|&byte| byte == 0xAA));
        }
        pages.restart(4096);
        assert_eq!(pages.end(), 4096);
    }

    #[test]
    fn pages_start_and_end() {
        assert_eq!((page_start(4096), page_start(8191)), (4096, 4096));
        assert_eq!((page_end(4096), page_end(4097)), (4096, 8192));
    }
}
