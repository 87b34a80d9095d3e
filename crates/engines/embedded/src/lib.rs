//! The embedded engine: topics by a state machine and a journal, channels within the
//! process, behind [`trunkline_model::Engine`].
//!
//! A command is checked, decided and appended under one lock; answers and deliveries leave
//! when the journal has made what they depend on as durable as its topic promises (DESIGN.md
//! §5). Topics with durability `memory` never touch the journal: their messages are
//! confirmed and delivered before `submit` returns.
//!
//! **Invariant:** knows no connection and no protocol. Calls no sink and no completion while
//! it holds a lock, and does no I/O under one (but for the making of a segment when none is
//! ready). Nothing is confirmed and nothing leaves before it is durable. After the journal
//! failed, nothing is confirmed at all.
//!
//! Start reading at [`Embedded`], then `submit.rs` (the way of a command), `state.rs` (how
//! effects are carried out), `release.rs` (what happens at the watermark), `departures.rs` and
//! `redrive.rs` (how dead letters come and go), `cleaning.rs` (how the front of the log is
//! compacted and freed); channels are in `channels`.

mod backup;
mod bodies;
mod capabilities;
mod channels;
mod cleaner;
mod cleaning;
mod close;
mod config;
mod consume;
mod consumer;
mod departures;
mod engine;
mod error;
mod leading;
mod live;
mod log;
mod look;
mod open;
mod outgoing;
mod reader;
mod redrive;
mod release;
mod shared;
mod state;
mod submit;
mod timer;
mod waits;

pub use config::{Drive, EmbeddedConfig, Location, LocationError};
pub use engine::Embedded;
pub use error::OpenError;
pub use trunkline_journal::{Config as JournalConfig, RecoveryReport};
