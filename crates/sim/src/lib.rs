//! Seeded worlds that run the durable store: the real embedded engine, on a disk that fails, with a clock that somebody
//! sets, compared with an independent ledger of what clients were told.
//!
//! # World
//!
//! A [history] is a list of [operations](Op), made from a seed or read from text. [`run`] plays it in one thread on an
//! engine that is driven by hand, with segments as small as they get and hardly any cache. After each start
//! everything that the engine shows is compared; at the end everything that is owed must come.
//!
//! # Faults
//!
//! Those of `trunkline_journal::fault`: a power loss at any boundary of the disk, after which unsynced changes survive,
//! are lost, torn or reordered by a seed; writes that come half the way; syncs that fail and leave the page cache lying; reads
//! that fail; no space. On top of that: processes that die and leave their page cache, bits that flip at rest,
//! clocks that jump, timers that are late.
//!
//! # Rules
//!
//! [`Rule`] names the promises. The [`Ledger`] holds for each message and subscription whether it is owed (certainly,
//! perhaps, no), where it is (available, delayed, held, unknown), and up to which moment everything is durable. Where a client
//! can't know, it demands nothing; `docs/simulation.md` says what each promise means.
//!
//! **Invariant:** no wall clock and no randomness but the seed's: equal histories give equal transcripts. The
//! ledger shares nothing with the state machine but the identities in confirmations.
//!
//! Start reading at [`Op`], then `world/operate.rs` (what operations do), `world/restart.rs` (how engines end and start) and
//! `ledger/facts.rs` (what is known).

mod clock;
mod generate;
mod ledger;
mod op;
mod rng;
mod rule;
mod run;
mod shrink;
mod text;
mod transcript;
mod world;

pub use generate::history;
pub use ledger::Ledger;
pub use op::{Back, Consume, Mask, Op, Publish};
pub use rule::{Checked, Rule, Violation};
pub use run::{Failure, run, run_seed};
pub use shrink::shrink;
pub use text::{ReadError, read_history};
pub use transcript::Transcript;
pub use world::{Flaw, Tally};
