//! The script in a real Redis, with the time in the hands of the test.

mod basics;
mod bounds;
mod definitions;
mod dice;
mod history;
mod interrupted;
mod letters;
mod mirror;
mod processes;
mod vectors;
mod world;
