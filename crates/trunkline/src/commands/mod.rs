//! One file per verb.

mod again;
mod bench;
mod call;
mod channel;
mod completions;
mod config;
mod consume;
mod demo;
mod exec;
mod info;
mod journal;
mod man;
mod options;
mod publish;
mod serve;
mod subscription;
mod topic;
mod version;
mod worker;

pub(crate) use bench::bench;
pub(crate) use call::call;
pub(crate) use channel::channel;
pub(crate) use completions::completions;
pub(crate) use config::config;
pub(crate) use consume::consume;
pub(crate) use demo::{demo, demo_worker};
pub(crate) use journal::journal;
pub(crate) use man::man;
pub(crate) use publish::publish;
pub(crate) use serve::serve;
pub(crate) use subscription::subscription;
pub(crate) use topic::topic;
pub(crate) use version::version;
pub(crate) use worker::worker;
