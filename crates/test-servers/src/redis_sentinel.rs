//! A Redis master, its replicas, and sentinels that watch them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::redis::VARIABLE;
use crate::resp::{Reply, ask};
use crate::tls::Tls;
use crate::{Process, Redis, ports, program, wait_until};

/// For servers and sentinels to agree on something.
const AGREE_MAX: Duration = Duration::from_secs(120);
const SENTINELS: usize = 3;
/// A server that is silent for so many milliseconds is down.
const DOWN_AFTER: u32 = 1_000;
/// A failover that isn't done in so many milliseconds is tried again, not before twice that.
const FAILOVER_MAX: u32 = 1_000;
/// Has a sentinel look and talk more often, in milliseconds.
const HURRY: [&str; 10] = [
    "SENTINEL",
    "DEBUG",
    "info-period",
    "200",
    "ping-period",
    "100",
    "publish-period",
    "200",
    "ask-period",
    "100",
];

/// A master, two replicas and three sentinels. They listen on 127.0.0.1 alone.
#[derive(Debug)]
pub struct RedisSentinel {
    servers: Vec<Redis>,
    /// Where each listens for clients and the others: for TLS, if that is spoken.
    ports: Vec<u16>,
    sentinels: Vec<Sentinel>,
}

#[derive(Debug)]
struct Sentinel {
    /// Where it is asked here, without TLS.
    address: SocketAddr,
    /// Where it listens for clients.
    port: u16,
    /// Ended before its directory goes.
    _process: Process,
    _directory: TempDir,
}

impl RedisSentinel {
    /// The name under which the master is watched.
    pub const SERVICE: &str = "trunkline";

    /// Starts them and waits until all know each other. `None`, after saying so, if `cargo xtask test` didn't name a
    /// server.
    ///
    /// # Panics
    ///
    /// If they don't get ready.
    #[must_use]
    pub fn start() -> Option<RedisSentinel> {
        RedisSentinel::start_with(&[])
    }

    /// The same with further options of the servers, as on their command line.
    ///
    /// # Panics
    ///
    /// If they don't get ready.
    #[must_use]
    pub fn start_with(options: &[&str]) -> Option<RedisSentinel> {
        RedisSentinel::start_all(options, None)
    }

    /// The same over TLS, to clients and between all of them, with `server.pem`, `server.key` and `ca.pem` of a directory.
    /// What is said about them here says it without.
    ///
    /// # Panics
    ///
    /// If they don't get ready.
    #[must_use]
    pub fn start_over_tls(certificates: &Path) -> Option<RedisSentinel> {
        RedisSentinel::start_all(&[], Some(&Tls::new(certificates)))
    }

    fn start_all(options: &[&str], tls: Option<&Tls>) -> Option<RedisSentinel> {
        let program = program(VARIABLE)?;
        // So that a replica is there at once.
        let mut all = vec!["--repl-diskless-sync-delay", "0"];
        all.extend(options);
        let tls_ports: [u16; 3] = ports();
        let (mut servers, mut known): (Vec<Redis>, Vec<u16>) = (Vec::new(), Vec::new());
        for tls_port in tls_ports {
            let spoken = tls.map(|tls| tls.arguments(tls_port)).unwrap_or_default();
            let mut all = all.clone();
            all.extend(spoken.iter().map(String::as_str));
            let master = known.first().map(ToString::to_string);
            if let Some(master) = &master {
                all.extend(["--replicaof", "127.0.0.1", master.as_str()]);
            }
            let server = Redis::start_with(&all)?;
            let port = server.address().port();
            known.push(if tls.is_some() { tls_port } else { port });
            servers.push(server);
        }
        let started = (0..SENTINELS).map(|_| Sentinel::start(&program, known[0], tls));
        let trio = RedisSentinel {
            sentinels: started.collect(),
            servers,
            ports: known,
        };
        trio.wait_until_complete();
        Some(trio)
    }

    /// The URL: all sentinels, and the name of the master; it doesn't say whether they speak TLS.
    #[must_use]
    pub fn url(&self) -> String {
        let sentinels: Vec<_> = self
            .sentinels
            .iter()
            .map(|one| format!("127.0.0.1:{}", one.port))
            .collect();
        format!("redis-sentinel://{}/{}", sentinels.join(","), Self::SERVICE)
    }

    /// The place of the server that all sentinels name the master, and that says so itself.
    ///
    /// # Panics
    ///
    /// If there is none in time.
    #[must_use]
    pub fn master(&self) -> usize {
        soon("a master", || self.agreed())
    }

    /// A server.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[must_use]
    pub fn server(&self, place: usize) -> &Redis {
        &self.servers[place]
    }

    /// The same, to kill and restart it. One that comes back becomes a replica of the master.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn server_mut(&mut self, place: usize) -> &mut Redis {
        &mut self.servers[place]
    }

    /// Kills a sentinel.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn kill_sentinel(&mut self, place: usize) {
        drop(self.sentinels.remove(place));
    }

    /// Has the sentinels make another server the master, while the old one lives. The place of the new one.
    ///
    /// # Panics
    ///
    /// If there is none in time.
    #[must_use]
    pub fn failover(&self) -> usize {
        let old = self.master();
        let sentinel = self.sentinels[0].address;
        soon("another master", || {
            // Nobody tries again what took too long on a busy machine, for the old master lives.
            if self.named_by(sentinel)? == old {
                ask(sentinel, &["SENTINEL", "FAILOVER", Self::SERVICE])?;
            }
            self.another_than(old)
        })
    }

    /// Kills the master and waits until another server is it. The place of the new one.
    ///
    /// # Panics
    ///
    /// If there is none in time.
    #[must_use]
    pub fn kill_master(&mut self) -> usize {
        let old = self.master();
        self.servers[old].kill();
        self.wait_for_another(old)
    }

    /// Waits until the master is another than this. Its place.
    ///
    /// # Panics
    ///
    /// If it isn't in time.
    #[must_use]
    pub fn wait_for_another(&self, old: usize) -> usize {
        soon("another master", || self.another_than(old))
    }

    fn another_than(&self, old: usize) -> Result<usize, String> {
        match self.agreed() {
            Ok(place) if place == old => Err("it is the old one".to_owned()),
            agreed => agreed,
        }
    }

    /// Waits until the master has two replicas that are up to date, and all sentinels know everybody.
    ///
    /// # Panics
    ///
    /// If that isn't so in time.
    pub fn wait_until_complete(&self) {
        soon("sentinels that know everybody", || {
            let master = self.servers[self.agreed()?].address();
            let role = ask(master, &["ROLE"])?;
            if role
                .parts()
                .get(2)
                .map_or(0, |replicas| replicas.parts().len())
                != 2
            {
                return Err(format!("{role:?}"));
            }
            for sentinel in &self.sentinels {
                let master = ask(sentinel.address, &["SENTINEL", "MASTER", Self::SERVICE])?;
                let others = (self.sentinels.len() - 1).to_string();
                let expected = [
                    ("num-slaves", "2"),
                    ("num-other-sentinels", &others),
                    ("flags", "master"),
                ];
                for (field, value) in expected {
                    if get(&master, field) != Some(value) {
                        return Err(format!("{field} isn't {value}: {master:?}"));
                    }
                }
                let replicas = ask(sentinel.address, &["SENTINEL", "REPLICAS", Self::SERVICE])?;
                for replica in replicas.parts() {
                    let linked = get(replica, "master-link-status") == Some("ok");
                    if get(replica, "flags") != Some("slave") || !linked {
                        return Err(format!("{replica:?}"));
                    }
                }
            }
            Ok(())
        });
    }

    /// The server that all sentinels name, and that takes itself for the master.
    fn agreed(&self) -> Result<usize, String> {
        let mut agreed = None;
        for sentinel in &self.sentinels {
            let named = self.named_by(sentinel.address)?;
            if *agreed.get_or_insert(named) != named {
                return Err("the sentinels disagree".to_owned());
            }
        }
        let place = agreed.ok_or("there are no sentinels")?;
        let role = ask(self.servers[place].address(), &["ROLE"])?;
        match role.parts().first().and_then(Reply::text) {
            Some("master") => Ok(place),
            _ => Err(format!("{role:?}")),
        }
    }

    /// The server that a sentinel takes for the master.
    fn named_by(&self, sentinel: SocketAddr) -> Result<usize, String> {
        let get = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::SERVICE];
        let master = ask(sentinel, &get)?;
        let port = master.parts().get(1).and_then(Reply::text);
        let port = port.ok_or("no master")?;
        let is_it = |known: &u16| known.to_string() == port;
        let place = self.ports.iter().position(is_it);
        place.ok_or_else(|| "the master is a stranger".to_owned())
    }
}

impl Sentinel {
    fn start(program: &PathBuf, master_port: u16, tls: Option<&Tls>) -> Sentinel {
        let directory = TempDir::new().unwrap_or_else(|error| panic!("no directory: {error}"));
        let [port, tls_port] = ports();
        let service = RedisSentinel::SERVICE;
        let mut text = format!(
            "port {port}\nbind 127.0.0.1\n\
             sentinel monitor {service} 127.0.0.1 {master_port} 2\n\
             sentinel down-after-milliseconds {service} {DOWN_AFTER}\n\
             sentinel failover-timeout {service} {FAILOVER_MAX}\n\
             sentinel parallel-syncs {service} 2\n"
        );
        for (option, value) in tls.map(|tls| tls.options(tls_port)).unwrap_or_default() {
            text.push_str(&format!("{option} {value}\n"));
        }
        let file = directory.path().join("sentinel.conf");
        fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut command = Command::new(program);
        command
            .current_dir(directory.path())
            .arg(&file)
            .arg("--sentinel");
        let log = directory.path().join("sentinel.log");
        let mut process = Process::start(&mut command, directory.path(), &log);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let ready = wait_until("a sentinel", AGREE_MAX, || match process.ended() {
            Some(status) => Ok(Err(status)),
            None => ask(address, &["PING"]).map(Ok),
        });
        match ready {
            Ok(Ok(_)) => {}
            Ok(Err(status)) => panic!("a sentinel ended with {status}; {}", process.log_tail()),
            Err(error) => panic!("{error}; {}", process.log_tail()),
        }
        // Instead of seconds; a version that doesn't know it is as good, and slower.
        let _ = ask(address, &HURRY);
        Sentinel {
            address,
            port: if tls.is_some() { tls_port } else { port },
            _process: process,
            _directory: directory,
        }
    }
}

/// A field of an answer that is names and values in turn.
fn get<'r>(answer: &'r Reply, field: &str) -> Option<&'r str> {
    let mut pairs = answer.parts().chunks_exact(2);
    let found = pairs.find(|pair| pair[0].text() == Some(field))?;
    found[1].text()
}

fn soon<T>(what: &str, attempt: impl FnMut() -> Result<T, String>) -> T {
    wait_until(what, AGREE_MAX, attempt).unwrap_or_else(|error| panic!("{error}"))
}
