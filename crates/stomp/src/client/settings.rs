use super::Operation;
use crate::{Command, FrameLimits, HeartBeat, Version};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use trunkline_model::Headers;

/// How a client session behaves, and what it may take.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// Whom it talks to, for the texts of errors: `HOST:PORT`.
    pub peer: String,
    /// `login` of CONNECT; not sent if there is none.
    pub login: Option<String>,
    /// `passcode` of CONNECT; not sent if there is none.
    pub passcode: Option<String>,
    /// `host` of CONNECT; not sent if there is none.
    pub virtual_host: Option<String>,
    /// The versions on offer.
    pub versions: Vec<Version>,
    /// What the client can send and would like to get.
    pub heart_beat: HeartBeat,
    /// Longest wait for CONNECTED once a connection is made; as long as it takes if there is none.
    /// The shell bounds making the connection by the same.
    pub connection_timeout: Option<Duration>,
    /// Connect at the first operation instead of at once.
    pub lazy: bool,
    /// How long after the first operation that finds no connection one is made; none or 0 is at
    /// once. It doesn't hold for the first connection of a lazy session.
    pub reconnect_interval: Option<Duration>,
    /// Headers of all operations that don't have them.
    pub default_headers: Headers,
    /// Headers of the operations of a command that don't have them; they go before the defaults.
    pub command_headers: BTreeMap<Command, Headers>,
    /// What one frame of the server may take.
    pub frame: FrameLimits,
    /// Most operations that are not finished; beyond, they fail at once.
    pub operations_max: usize,
    /// Headers and bodies of operations that wait for the connection or to be written, in bytes;
    /// beyond, they fail at once.
    pub unwritten_bytes_max: usize,
    /// Most messages of a subscription that wait for an ACK; beyond, the oldest can't be
    /// acknowledged by itself any more.
    pub unacked_max: usize,
}

impl Default for ClientSettings {
    /// `localhost:61613` without login, all versions, no heart-beats, connects at once, again
    /// without delay; 100,000 operations, 64 MiB of them not written; 100,000 unacknowledged messages.
    fn default() -> Self {
        Self {
            peer: "localhost:61613".into(),
            login: None,
            passcode: None,
            virtual_host: None,
            versions: Version::ALL.into(),
            heart_beat: HeartBeat::NONE,
            connection_timeout: None,
            lazy: false,
            reconnect_interval: None,
            default_headers: Headers::new(),
            command_headers: BTreeMap::new(),
            frame: FrameLimits::default(),
            operations_max: 100_000,
            unwritten_bytes_max: 64 << 20,
            unacked_max: 100_000,
        }
    }
}

impl ClientSettings {
    /// What the call says goes before what is said for its command, and that before the defaults.
    pub(crate) fn add_headers(&self, operation: &mut Operation) {
        let of_command = self.command_headers.get(&operation.command);
        let further = [of_command, Some(&self.default_headers)];
        for headers in further.into_iter().flatten() {
            for (name, value) in headers.iter() {
                if operation.headers.get(name).is_none() {
                    operation.headers.push(name, value);
                }
            }
        }
    }
}

/// The passcode is not shown.
impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSettings")
            .field("peer", &self.peer)
            .field("login", &self.login)
            .field("passcode", &self.passcode.as_ref().map(|_| "…"))
            .field("virtual_host", &self.virtual_host)
            .field("versions", &self.versions)
            .field("heart_beat", &self.heart_beat)
            .field("connection_timeout", &self.connection_timeout)
            .field("lazy", &self.lazy)
            .field("reconnect_interval", &self.reconnect_interval)
            .finish_non_exhaustive()
    }
}
