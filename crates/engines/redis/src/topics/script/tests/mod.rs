//! The script in a real Redis, with the time in the hands of the test.

mod basics;
mod dice;
mod history;
mod mirror;
mod world;
