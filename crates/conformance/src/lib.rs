//! The suite that every engine passes: topics, channels, bounds and lifecycle as DESIGN.md
//! promises them, written once over [`Engine`](trunkline_model::Engine).
//!
//! An engine's tests implement [`Factory`] and call [`run`]. A case runs if the capabilities
//! that it needs are claimed; those not run are printed. What isn't claimed must be refused,
//! and that is a case too.
//!
//! **Invariant:** knows no engine; sees only the trait, and waits for what is promised
//! instead of for time to pass.
//!
//! Start reading at [`Factory`], then at any file of `cases`; `lab.rs` and `taker.rs` are
//! the tools that the cases are written with.

mod cases;
mod fixture;
mod lab;
mod listener;
mod report;
mod run;
mod taker;

pub use fixture::{BoxFuture, Factory, Fixture};
pub use report::{Failure, Report, Skipped};
pub use run::run;
