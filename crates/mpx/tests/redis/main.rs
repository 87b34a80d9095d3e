//! The multiplexer with a real Redis. The names of tests carry the numbers of the conformance
//! cases that they prove.

mod channels;
mod losses;
mod promises;
mod setup;
mod stopping;
