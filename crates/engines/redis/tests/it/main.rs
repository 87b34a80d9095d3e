//! The Redis engine with real servers. The names of tests carry the numbers of the conformance cases
//! that they prove.

mod asking;
mod both;
mod conformance;
mod damaged;
mod desk;
mod elsewhere;
mod foreign;
mod gateway;
mod idle;
mod lists;
mod losses;
mod native;
mod outage;
mod proxy;
mod python;
mod resilience;
mod returning;
mod setup;
mod sharing;
mod statistics;
mod working;
