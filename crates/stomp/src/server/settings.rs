use crate::{FrameLimits, HeartBeat, Version};
use std::time::Duration;

/// How a server session behaves, and what it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// `server` of CONNECTED, as in `trunkline/0.1.0`.
    pub server: String,
    /// The versions on offer.
    pub versions: Vec<Version>,
    /// What the server can send and would like to get. Neither should be 0: it is answered 0
    /// anyway where the client says 0, and clients are known that close if it is answered 0
    /// where they don't.
    pub heart_beat: HeartBeat,
    /// Refuse a CONNECT of 1.1 or 1.2 without `host`, as the specification has it.
    pub require_host: bool,
    /// What one frame may take.
    pub frame: FrameLimits,
    /// How long a client may take to send CONNECT.
    pub connect_timeout: Duration,
    /// How long commands that run may take to complete once the session is ending.
    pub end_timeout: Duration,
    /// Longest name that a client gives to a subscription or transaction, in bytes.
    pub name_bytes_max: usize,
    /// Most subscriptions.
    pub subscriptions_max: usize,
    /// Most open transactions.
    pub transactions_max: usize,
    /// Most frames in a transaction.
    pub transaction_frames_max: usize,
    /// Headers and bodies of all open transactions together, in bytes.
    pub transactions_bytes_max: usize,
    /// Most commands that were handed on and are not completed; beyond, no frame is read.
    pub pending_max: usize,
    /// Receipts that are asked for and not yet given, in bytes; beyond, no frame is read.
    pub pending_bytes_max: usize,
}

impl Default for ServerSettings {
    /// All versions; heart-beats every 1 s out and every 5 s in; 10 s for CONNECT, 5 s to end;
    /// 10,000 subscriptions; names of 512 bytes; 100 transactions of 10,000 frames and 16 MiB; 16,384 commands with
    /// 1 MiB of receipts at work.
    fn default() -> Self {
        Self {
            server: "trunkline".into(),
            versions: Version::ALL.into(),
            heart_beat: HeartBeat {
                sends_ms: 1_000,
                wants_ms: 5_000,
            },
            require_host: false,
            frame: FrameLimits::default(),
            connect_timeout: Duration::from_secs(10),
            end_timeout: Duration::from_secs(5),
            name_bytes_max: 512,
            subscriptions_max: 10_000,
            transactions_max: 100,
            transaction_frames_max: 10_000,
            transactions_bytes_max: 16 << 20,
            pending_max: 16_384,
            pending_bytes_max: 1 << 20,
        }
    }
}
