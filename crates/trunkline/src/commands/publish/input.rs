use super::chunk::Chunk;
use crate::{args::PublishArgs, failure::Failure};
use std::{
    io::{self, BufRead, BufReader, Read},
    thread,
};
use tokio::sync::mpsc;

/// Chunks read and not yet taken.
const CHUNKS_WAITING: usize = 8;
const READ_AHEAD: usize = 256 << 10;

/// The payloads to be published, in chunks that arrive as fast as they can be read.
pub(in crate::commands) struct Input {
    chunks: mpsc::Receiver<io::Result<Chunk>>,
}

impl Input {
    /// From the command line, or from stdin.
    pub(in crate::commands) fn of(args: &PublishArgs, overhead: usize) -> Result<Self, Failure> {
        let stdin = args.payload.is_empty() || args.payload == ["-"];
        if args.lines && !stdin {
            return Err(Failure::usage("--lines reads stdin: leave the payload out"));
        }
        let (to, chunks) = mpsc::channel(CHUNKS_WAITING);
        let feeder = Feeder::new(to, overhead);
        match (stdin, args.lines) {
            (true, true) => spawn(move || lines(io::stdin(), feeder)),
            (true, false) => spawn(move || whole(io::stdin(), feeder)),
            (false, _) => {
                let payloads = args.payload.clone();
                spawn(move || given(&payloads, feeder));
            }
        }
        Ok(Self { chunks })
    }

    /// The next chunk; `None` at the end.
    pub(in crate::commands) async fn next(&mut self) -> Option<io::Result<Chunk>> {
        self.chunks.recv().await
    }
}

/// A thread of its own: reading a terminal or pipe can't be cancelled, and the process must
/// be able to end meanwhile.
fn spawn(work: impl FnOnce() -> Result<(), Unwanted> + Send + 'static) {
    // Nobody wants the rest of the input: the command has ended.
    thread::spawn(|| drop(work()));
}

/// Whoever took the chunks is gone.
struct Unwanted;

/// Fills chunks and sends them.
struct Feeder {
    to: mpsc::Sender<io::Result<Chunk>>,
    chunk: Chunk,
    overhead: usize,
}

impl Feeder {
    /// `overhead`: bytes that every message has besides its payload.
    fn new(to: mpsc::Sender<io::Result<Chunk>>, overhead: usize) -> Self {
        let chunk = Chunk::new(overhead);
        Self {
            to,
            chunk,
            overhead,
        }
    }

    fn push(&mut self, payload: &[u8]) -> Result<(), Unwanted> {
        if !self.chunk.takes(payload) {
            self.flush()?;
        }
        self.chunk.push(payload);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Unwanted> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Chunk::new(self.overhead));
        self.to.blocking_send(Ok(chunk)).map_err(|_| Unwanted)
    }

    /// What was read before the error still counts.
    fn fail(mut self, error: io::Error) -> Result<(), Unwanted> {
        self.flush()?;
        self.to.blocking_send(Err(error)).map_err(|_| Unwanted)
    }
}

fn given(payloads: &[String], mut to: Feeder) -> Result<(), Unwanted> {
    for payload in payloads {
        to.push(payload.as_bytes())?;
    }
    to.flush()
}

fn whole(mut from: impl Read, mut to: Feeder) -> Result<(), Unwanted> {
    let mut payload = Vec::new();
    match from.read_to_end(&mut payload) {
        Ok(_) => to.push(&payload)?,
        Err(error) => return to.fail(error),
    }
    to.flush()
}

/// A chunk leaves when it is full, and when the next line isn't there yet: a slow producer's
/// lines don't wait for each other.
fn lines(from: impl Read, mut to: Feeder) -> Result<(), Unwanted> {
    let mut from = BufReader::with_capacity(READ_AHEAD, from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line) {
            Ok(0) => return to.flush(),
            Ok(_) => to.push(line.strip_suffix(b"\n").unwrap_or(&line))?,
            Err(error) => return to.fail(error),
        }
        if !from.buffer().contains(&b'\n') {
            to.flush()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(mut chunks: mpsc::Receiver<io::Result<Chunk>>) -> Vec<Vec<String>> {
        let mut read = Vec::new();
        while let Some(chunk) = chunks.blocking_recv() {
            let chunk = chunk.unwrap();
            let text = |line: &[u8]| String::from_utf8(line.to_vec()).unwrap();
            read.push(chunk.payloads().map(text).collect());
        }
        read
    }

    fn read(from: impl Read + Send + 'static) -> Vec<Vec<String>> {
        let (sender, chunks) = mpsc::channel(CHUNKS_WAITING);
        spawn(move || lines(from, Feeder::new(sender, 0)));
        lines_of(chunks)
    }

    #[test]
    fn every_line_is_a_payload() {
        assert_eq!(read(&b""[..]), Vec::<Vec<String>>::new());
        assert_eq!(read(&b"a\n\nb"[..]).concat(), ["a", "", "b"]);
        assert_eq!(read(&b"\n"[..]).concat(), [""]);
        let many: Vec<u8> = (0..5_000)
            .flat_map(|i| format!("{i}\n").into_bytes())
            .collect();
        let chunks = read(io::Cursor::new(many));
        assert_eq!(chunks.concat().len(), 5_000);
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk.len() <= Chunk::MESSAGES_MAX)
        );
    }

    #[test]
    fn lines_that_are_there_do_not_wait_for_those_that_are_not() {
        let (reader, mut writer) = io::pipe().unwrap();
        let (sender, mut chunks) = mpsc::channel(CHUNKS_WAITING);
        spawn(move || lines(reader, Feeder::new(sender, 0)));
        io::Write::write_all(&mut writer, b"one\ntw").unwrap();
        let first = chunks.blocking_recv().unwrap().unwrap();
        assert_eq!(first.payloads().collect::<Vec<_>>(), [b"one"]);
        io::Write::write_all(&mut writer, b"o\n").unwrap();
        drop(writer);
        assert_eq!(lines_of(chunks).concat(), ["two"]);
    }
}
