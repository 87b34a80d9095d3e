//! What each fuzz target does with the bytes that it is given: it reads them as a peer or a disk would send them,
//! and panics if a promise is broken.
//!
//! The fuzzer itself is the workspace in `fuzz`, which a normal build never compiles; `cargo xtask fuzz` runs it.
//! Its corpus is in `fuzz/corpus` and is replayed by the tests of this crate, so that what a fuzzer once
//! found stays found.
//!
//! **Invariant:** no clock, no randomness, no file: equal bytes do equal things. A target judges by what callers of a crate
//! can see, with bounds that are small enough to be met by small inputs.
//!
//! Start at [`TARGETS`]; `script.rs` says how bytes become the steps of a session.

mod journal;
mod jsonrpc;
mod script;
mod stomp_client;
mod stomp_decoder;
mod stomp_server;

pub use journal::journal;
pub use jsonrpc::jsonrpc;
pub use stomp_client::stomp_client;
pub use stomp_decoder::stomp_decoder;
pub use stomp_server::stomp_server;

/// What a target does with an input; it panics if a promise is broken.
pub type Run = fn(&[u8]);

/// All targets: the name, which is that of the program in `fuzz/fuzz_targets` and of the folder in
/// `fuzz/corpus`, and what it does.
pub const TARGETS: &[(&str, Run)] = &[
    ("journal", journal),
    ("jsonrpc", jsonrpc),
    ("stomp_client", stomp_client),
    ("stomp_decoder", stomp_decoder),
    ("stomp_server", stomp_server),
];
