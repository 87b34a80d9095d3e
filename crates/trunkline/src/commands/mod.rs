//! One file per verb.

mod call;
mod channel;
mod config;
mod consume;
mod demo;
mod exec;
mod info;
mod journal;
mod options;
mod publish;
mod serve;
mod subscription;
mod topic;
mod version;
mod worker;

pub(crate) use call::call;
pub(crate) use channel::channel;
pub(crate) use config::config;
pub(crate) use consume::consume;
pub(crate) use demo::{demo, demo_worker};
pub(crate) use journal::journal;
pub(crate) use publish::publish;
pub(crate) use serve::serve;
pub(crate) use subscription::subscription;
pub(crate) use topic::topic;
pub(crate) use version::version;
pub(crate) use worker::worker;
