//! What becomes of topics and channels when bad things happen to their servers. Nothing that was confirmed is lost, nothing
//! is stored twice, every command ends in time, and all goes on when the server does.

mod channels;
pub(crate) mod lab;
mod moving;
mod topics;
