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
pub(super) struct Input {
    chunks: mpsc::Receiver<io::Result<Chunk>>,
}

impl Input {
    /// From the command line, or from stdin.
    pub(super) fn of(args: &PublishArgs) -> Result<Self, Failure> {
        let stdin = args.payload.is_empty() || args.payload == ["-"];
        if args.lines && !stdin {
            return Err(Failure::usage("--lines reads stdin: leave the payload out"));
        }
        let (sender, chunks) = mpsc::channel(CHUNKS_WAITING);
        match (stdin, args.lines) {
            (true, true) => spawn(move || send_lines(io::stdin(), &sender)),
            (true, false) => spawn(move || send_whole(io::stdin(), &sender)),
            (false, _) => {
                let payloads = args.payload.clone();
                spawn(move || send_given(payloads, &sender));
            }
        }
        Ok(Self { chunks })
    }

    /// The next chunk; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<io::Result<Chunk>> {
        self.chunks.recv().await
    }
}

/// A thread of its own: reading a terminal or pipe can't be cancelled, and the process must
/// be able to end meanwhile.
fn spawn(work: impl FnOnce() + Send + 'static) {
    thread::spawn(work);
}

fn send_given(payloads: Vec<String>, to: &mpsc::Sender<io::Result<Chunk>>) {
    let mut chunk = Chunk::default();
    for payload in payloads {
        chunk.push(payload.as_bytes());
        if chunk.is_full() && to.blocking_send(Ok(std::mem::take(&mut chunk))).is_err() {
            return;
        }
    }
    let _ = to.blocking_send(Ok(chunk));
}

fn send_whole(mut from: impl Read, to: &mpsc::Sender<io::Result<Chunk>>) {
    let mut payload = Vec::new();
    let chunk = from.read_to_end(&mut payload).map(|_| {
        let mut chunk = Chunk::default();
        chunk.push(&payload);
        chunk
    });
    let _ = to.blocking_send(chunk);
}

/// A chunk leaves when it is full, and when the next line isn't there yet: a slow producer's
/// lines don't wait for each other.
fn send_lines(from: impl Read, to: &mpsc::Sender<io::Result<Chunk>>) {
    let mut from = BufReader::with_capacity(READ_AHEAD, from);
    let mut chunk = Chunk::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => chunk.push(line.strip_suffix(b"\n").unwrap_or(&line)),
            Err(error) => {
                let _ = to.blocking_send(Ok(chunk));
                let _ = to.blocking_send(Err(error));
                return;
            }
        }
        let more = from.buffer().contains(&b'\n');
        if (chunk.is_full() || !more) && to.blocking_send(Ok(std::mem::take(&mut chunk))).is_err() {
            return;
        }
    }
    if !chunk.is_empty() {
        let _ = to.blocking_send(Ok(chunk));
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
        spawn(move || send_lines(from, &sender));
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
        spawn(move || send_lines(reader, &sender));
        io::Write::write_all(&mut writer, b"one\ntw").unwrap();
        let first = chunks.blocking_recv().unwrap().unwrap();
        assert_eq!(first.payloads().collect::<Vec<_>>(), [b"one"]);
        io::Write::write_all(&mut writer, b"o\n").unwrap();
        drop(writer);
        assert_eq!(lines_of(chunks).concat(), ["two"]);
    }
}
