//! A client that writes whatever bytes it is told, and reads frames.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Longer than anything here takes; only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A frame as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) command: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Frame {
    #[track_caller]
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(found, _)| found == name);
        &found.unwrap_or_else(|| panic!("no {name} in {self:?}")).1
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(found, _)| found == name)
    }

    /// The id, of a RECEIPT.
    #[track_caller]
    pub(super) fn receipt(&self) -> &str {
        assert_eq!(self.command, "RECEIPT", "{self:?}");
        self.get("receipt-id")
    }

    /// The body of a MESSAGE, as text.
    #[track_caller]
    pub(super) fn text(&self) -> &str {
        assert_eq!(self.command, "MESSAGE", "{self:?}");
        str::from_utf8(&self.body).unwrap()
    }
}

/// A connection.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    /// A connection on which nothing was said yet.
    pub(super) fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// A session of version 1.2.
    pub(super) fn open(address: &str) -> Self {
        let mut client = Self::new(address);
        client.send("CONNECT\naccept-version:1.2\n\n\0");
        assert_eq!(client.read().command, "CONNECTED");
        client
    }

    #[track_caller]
    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends, and waits for the RECEIPT `1`, which the frame asks for.
    #[track_caller]
    pub(super) fn ask(&mut self, frame: impl AsRef<[u8]>) {
        self.send(frame);
        assert_eq!(self.read().receipt(), "1");
    }

    /// Subscribes as `1`; headers with their line ends.
    #[track_caller]
    pub(super) fn subscribe(&mut self, destination: &str, headers: &str) {
        self.ask(format!(
            "SUBSCRIBE\nid:1\ndestination:{destination}\nreceipt:1\n{headers}\n\0"
        ));
    }

    /// The next frame.
    #[track_caller]
    pub(super) fn read(&mut self) -> Frame {
        self.next().expect("a frame before the end")
    }

    /// The next frame; none if the server has closed.
    #[track_caller]
    pub(super) fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let mut bytes = [0; 64 << 10];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}; so far {:?}", lossy(&self.unread)),
            }
        }
    }

    /// The ERROR with which the server ends it.
    #[track_caller]
    pub(super) fn ended(&mut self) -> Frame {
        let error = self.read();
        assert_eq!(error.command, "ERROR", "{error:?}");
        assert_eq!(self.next(), None);
        error
    }

    /// Closes with an answer that is there and was not read, which resets the connection.
    pub(super) fn reset(self) {
        assert_eq!(self.stream.peek(&mut [0]).unwrap(), 1);
    }

    fn take(&mut self) -> Option<Frame> {
        let begins = self.unread.iter().position(|byte| *byte != b'\n')?;
        let bytes = &self.unread[begins..];
        let ends = bytes.windows(2).position(|pair| pair == b"\n\n")?;
        let mut lines = str::from_utf8(&bytes[..ends]).unwrap().lines();
        let command = lines.next().unwrap().to_owned();
        let headers: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap();
                (name.to_owned(), value.to_owned())
            })
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let rest = &bytes[ends + 2..];
        let length = match length {
            Some((_, length)) => length.parse().unwrap(),
            None => rest.iter().position(|byte| *byte == 0)?,
        };
        if rest.len() <= length {
            return None;
        }
        assert_eq!(rest[length], 0, "{command} ends elsewhere");
        let body = rest[..length].to_vec();
        self.unread.drain(..begins + ends + 2 + length + 1);
        Some(Frame {
            command,
            headers,
            body,
        })
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).into_owned()
}
