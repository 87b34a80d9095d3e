//! Starts real servers of others for tests: each in a directory of its own, on free ports, without a service of
//! the machine, and gone when the test is, whatever became of it. Development only.
//!
//! [`RabbitMq`] and [`Redis`] are such servers, [`RedisSentinel`] and [`RedisCluster`] several of the latter. A further one takes: [`program`] to find it, [`ports`], a [`Process`] with its
//! output in a file, and [`wait_until`] it answers.
//!
//! Everything here blocks and panics: it is the preparation of a test, which stops at the first thing that is wrong. What
//! panics says the end of the server's log.
//!
//! **Invariant:** only processes that were started here are ended, by their process group; nothing of the machine's
//! configuration is read or changed.
//!
//! Start reading at `process.rs`, then `rabbitmq.rs`.

mod port;
mod process;
mod program;
mod rabbitmq;
mod ready;
mod redis;
mod redis_cluster;
mod redis_sentinel;
mod resp;
mod tls;

pub use port::ports;
pub use process::Process;
pub use program::program;
pub use rabbitmq::RabbitMq;
pub use ready::{NotReady, wait_until};
pub use redis::Redis;
pub use redis_cluster::RedisCluster;
pub use redis_sentinel::RedisSentinel;
pub use resp::{Reply, ask, ask_all};
