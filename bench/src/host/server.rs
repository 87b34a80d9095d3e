//! Starting the server that is measured.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::process::{Process, free_addresses};

/// Where in its own directory a server has its store.
const STORE: &str = "data";

/// Starts servers, each with an empty data directory of its own.
pub(crate) struct Launcher {
    binary: PathBuf,
    data_root: PathBuf,
}

/// A running Trunkline.
pub(crate) struct Server {
    process: Process,
    address: SocketAddr,
    stomp: SocketAddr,
}

impl Launcher {
    /// `data_root` is where the data directories are made.
    pub(crate) fn new(binary: PathBuf, data_root: PathBuf) -> Launcher {
        Launcher { binary, data_root }
    }

    /// Starts a server on free ports and waits until it is ready. `segment_bytes` is the size of a
    /// segment of its store, the default without it.
    pub(crate) fn start(&self, segment_bytes: Option<u32>) -> Result<Server> {
        let [address, stomp] = free_addresses()?;
        let process = Process::start(
            &self.data_root,
            |directory| {
                let mut command = Command::new(&self.binary);
                command
                    .args(["serve", "--http", &address.to_string()])
                    .args(["--stomp", &stomp.to_string(), "--data"])
                    .arg(directory.join(STORE));
                if let Some(bytes) = segment_bytes {
                    command.env("TRUNKLINE_ENGINE__SEGMENT_BYTES", bytes.to_string());
                }
                command
            },
            || is_ready(address),
        )?;
        Ok(Server {
            process,
            address,
            stomp,
        })
    }
}

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/rpc", self.address)
    }

    /// Where it speaks STOMP.
    pub(crate) fn stomp(&self) -> String {
        self.stomp.to_string()
    }

    /// Stops it and starts it again with the data it has.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let address = self.address;
        self.process.restart(|| is_ready(address))
    }

    /// The directory with its store.
    pub(crate) fn store(&self) -> PathBuf {
        self.process.directory().join(STORE)
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }
}

fn is_ready(address: SocketAddr) -> bool {
    ask_ready(address).unwrap_or(false)
}

/// Whether `/readyz` answers `200`.
fn ask_ready(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status.ends_with(b" 200"))
}
