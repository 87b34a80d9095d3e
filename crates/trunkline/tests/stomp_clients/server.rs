//! The real program, and what scripts may have done to it.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use trunkline_test_servers::{Process, RabbitMq, ports, wait_until};

/// For a start on a machine that compiles at the same time.
const START_MAX: Duration = Duration::from_secs(60);

/// A server that a script talks to.
pub(crate) trait Server {
    /// Does what a script asked for: `pause`, `resume` or `restart`.
    ///
    /// # Panics
    ///
    /// If that can't be done to this server.
    fn obey(&mut self, order: &str);

    /// The end of its log.
    fn log_tail(&self) -> String;
}

/// `trunkline serve` with a data directory and ports of its own, which stay the same when it is killed.
pub(crate) struct Trunkline {
    process: Option<Process>,
    directory: TempDir,
    http: u16,
    stomp: u16,
}

impl Trunkline {
    pub(crate) fn start() -> Trunkline {
        let [http, stomp] = ports();
        let mut server = Trunkline {
            process: None,
            directory: TempDir::new().unwrap(),
            http,
            stomp,
        };
        server.restart();
        server
    }

    pub(crate) fn stomp(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.stomp))
    }

    pub(crate) fn web_stomp(&self) -> String {
        format!("ws://127.0.0.1:{}/stomp", self.http)
    }

    /// Kills it if it runs, as `kill -9` does, and starts it with what it has stored.
    fn restart(&mut self) {
        self.process = None;
        let directory = self.directory.path();
        let process = self.process.insert(Process::start(
            Command::new(env!("CARGO_BIN_EXE_trunkline"))
                .args(["serve", "--http", &format!("127.0.0.1:{}", self.http)])
                .args(["--stomp", &format!("127.0.0.1:{}", self.stomp)])
                .arg("--data")
                .arg(directory.join("data")),
            directory,
            &directory.join("server.log"),
        ));
        for port in [self.http, self.stomp] {
            let ready = wait_until("trunkline", START_MAX, || {
                assert_eq!(process.ended(), None, "{}", process.log_tail());
                TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())
            });
            ready.unwrap_or_else(|error| panic!("{error}; {}", process.log_tail()));
        }
    }
}

impl Server for Trunkline {
    fn obey(&mut self, order: &str) {
        let process = self.process.as_ref().unwrap();
        match order {
            "pause" => process.pause(),
            "resume" => process.resume(),
            "restart" => self.restart(),
            _ => panic!("what is {order:?}?"),
        }
    }

    fn log_tail(&self) -> String {
        self.process.as_ref().unwrap().log_tail()
    }
}

/// One that others use at the same time.
impl Server for &RabbitMq {
    fn obey(&mut self, order: &str) {
        panic!("{order:?} is not for a server that others use, too");
    }

    fn log_tail(&self) -> String {
        RabbitMq::log_tail(self)
    }
}
