//! What peers may do to the STOMP listener of the real program: split, flood, stall, break the rules,
//! vanish. It refuses what is not allowed with an ERROR and closes, its memory stays bounded, and a bystander who
//! does as he should notices nothing.

mod bystander;
mod client;
mod flood;
mod frames;
mod stalling;
mod vanishing;

use crate::setup::{Server, Store, store, text, trunkline};
use bystander::Bystander;
use client::Client;
use std::fs;

/// What the server may take beyond what it had when it was ready, whatever peers do. A few MiB are usual, also
/// without optimization.
const GROWTH_MAX_KIB: u64 = 64 << 10;
/// The same with a message of 16 MiB, of which there are copies on its way.
const GROWTH_WITH_LARGEST_MAX_KIB: u64 = 160 << 10;

/// A server under test, and who watches over it.
struct World {
    server: Server,
    address: String,
    bystander: Bystander,
    /// Resident memory when it was ready, in KiB.
    before: u64,
    _store: Store,
}

impl World {
    fn new() -> Self {
        Self::with(&[])
    }

    /// With settings of the section `stomp`.
    fn with(settings: &[(&str, &str)]) -> Self {
        let store = store();
        let mut command = trunkline(&["--json", "serve", "--http", "127.0.0.1:0", "--data"]);
        command.arg(text(&store.path()));
        for (name, value) in settings {
            command.env(format!("TRUNKLINE_STOMP__{name}"), value);
        }
        let server = Server::of(command);
        let address = server.stomp_address().to_owned();
        let bystander = Bystander::start(&address);
        bystander.goes_on();
        let before = memory(&server, "VmRSS");
        Self {
            server,
            address,
            bystander,
            before,
            _store: store,
        }
    }

    fn client(&self) -> Client {
        Client::open(&self.address)
    }

    /// The bystander was served all the time, and the server never took more than it may.
    #[track_caller]
    fn stayed_sound(self) {
        self.stayed_sound_within(GROWTH_MAX_KIB);
    }

    #[track_caller]
    fn stayed_sound_within(self, growth_max_kib: u64) {
        self.bystander.stayed_content();
        let most = memory(&self.server, "VmHWM");
        let growth = most.saturating_sub(self.before);
        assert!(
            growth <= growth_max_kib,
            "{growth} KiB more than {} KiB",
            self.before
        );
        assert!(self.server.stop().success());
    }
}

/// A line of the process's status, in KiB.
fn memory(server: &Server, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let value = line.split_whitespace().nth(1).unwrap();
    value.parse().unwrap()
}
