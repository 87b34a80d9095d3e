use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows, or that goes up and down with [`Counter::leave`].
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What happened at the gateway since its start.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// TCP connections open now.
    pub connections: Counter,
    /// TCP connections ever accepted.
    pub accepted: Counter,
    /// TCP connections refused at the bound.
    pub refused: Counter,
    /// Requests refused for their `Host` or `Origin`.
    pub forbidden: Counter,
    /// WebSocket sessions of JSON-RPC open now.
    pub sessions: Counter,
    /// STOMP sessions open now, over TCP, TLS and WebSocket.
    pub stomp_sessions: Counter,
    /// STOMP sessions that the server ended with an ERROR.
    pub stomp_errors: Counter,
    /// TLS handshakes that came to nothing.
    pub tls_failures: Counter,
    /// Requests and notifications of clients.
    pub requests: Counter,
    /// Frames and entries that were no request.
    pub invalid: Counter,
    /// Answers to calls that the answering connection is not running: late, twice, foreign.
    pub unknown_answers: Counter,
    /// Answers of workers that were not well-formed; their calls failed.
    pub malformed_answers: Counter,
    /// Sessions closed because the client did not take what was sent.
    pub stalled: Counter,
    /// Sessions closed because the client did not answer a ping.
    pub silent: Counter,
    /// Channel messages dropped because a listener was too slow.
    pub dropped: Counter,
    /// ACKs and NACKs over STOMP of deliveries that were settled or had returned before, as far as
    /// the session knew it; the others count as late at their subscription.
    pub stomp_acks_not_held: Counter,
}
