//! How load is made: a closed loop per connection, a blocking thread per loop.

mod closed_loop;
mod fleet;
mod latency;

pub(crate) use closed_loop::{Exchange, Slot, Until, run as run_loop};
pub(crate) use fleet::{Load, run as run_fleet};
pub(crate) use latency::Latency;
