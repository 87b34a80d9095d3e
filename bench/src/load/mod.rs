//! How load is made: a loop per connection, a blocking thread per loop.

mod closed_loop;
mod fleet;
mod gauge;
mod latency;
mod paced_loop;

pub(crate) use closed_loop::{Exchange, Slot, Tally, Until, run as run_loop};
pub(crate) use fleet::{Load, run as run_fleet};
pub use gauge::Gauge;
pub use latency::Latency;
pub(crate) use paced_loop::{HEED, Orders, Paced, run as run_paced};
