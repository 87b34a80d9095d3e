//! Which workloads there are.

use anyhow::{Result, bail};

use super::backlog::{self, Part};
use super::options::{self, Feature};
use super::stomp::Broker;
use super::{
    Context, Prepared, calls, compaction, disk, end_to_end, fan_out, floor_echo, floor_sync,
    memory, publish, start, stomp, subscriptions,
};
use crate::measure::Measure;
use crate::plan::Plan;
#[cfg(feature = "redis")]
use crate::redis::{RedisWork, Since, Waits, Wire};
#[cfg(feature = "redis")]
use trunkline_bench_peers::redis::Durability;

/// One line of the table of results.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    /// How it is chosen; what stands before the last `-` names its group.
    pub(crate) name: &'static str,
    /// What it does, in a few words.
    pub(crate) about: &'static str,
    pub(crate) work: Work,
}

/// What is done, and how much of it at once.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    FloorSync {
        records: usize,
    },
    FloorEcho {
        window: u32,
    },
    Publish {
        publishers: u32,
        window: u32,
    },
    EndToEnd {
        publishers: u32,
        window: u32,
    },
    Calls {
        connections: u32,
        window: u32,
    },
    FanOut {
        window: u32,
    },
    StompPublish {
        publishers: u32,
        window: u32,
    },
    StompEndToEnd {
        publishers: u32,
        window: u32,
    },
    StompFanOut {
        window: u32,
    },
    Subscriptions {
        subscriptions: u32,
    },
    Settle {
        subscriptions: u32,
    },
    Options(Feature),
    Backlog(Part),
    Compaction {
        busy: bool,
    },
    DiskMixed,
    MemoryIdle,
    MemoryConnection,
    MemoryMessage,
    MemoryDelayed,
    StartEmpty,
    StartBacklog,
    /// On a Redis of its own, by what this process is built from.
    #[cfg(feature = "redis")]
    Redis(RedisWork),
}

/// What a workload has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Only the machine: it is a floor.
    Nothing,
    /// A server, freshly started or given by URL.
    Server,
    /// The same, which also serves STOMP.
    StompServer,
    /// A server that was just started by us.
    FreshServer,
    /// The same, in its second life: between [`Workload::prepare`] and the run it is started
    /// again.
    RestartedServer,
    /// One that was just started by us and is prepared once for all such workloads that stand next
    /// to each other.
    SharedServer,
}

/// All workloads, in the order in which they run and are shown.
#[rustfmt::skip] // One line each: this is a table.
pub(crate) const ALL: &[Workload] = &[
    workload("floor-sync-1", "overwrite + fdatasync, 1 record", Work::FloorSync { records: 1 }),
    workload("floor-sync-512", "overwrite + fdatasync, 512 records", Work::FloorSync { records: 512 }),
    workload("floor-echo-1", "bare WebSocket echo, 1 in flight", Work::FloorEcho { window: 1 }),
    workload("floor-echo-64", "bare WebSocket echo, window 64", Work::FloorEcho { window: 64 }),
    workload("publish-1", "durable publish, 1 in flight", Work::Publish { publishers: 1, window: 1 }),
    workload("publish-512", "durable publish, window 512", Work::Publish { publishers: 1, window: 512 }),
    workload("calls-1", "calls, 1 in flight", Work::Calls { connections: 1, window: 1 }),
    workload("calls-64", "calls, 64 in flight, 1 connection", Work::Calls { connections: 1, window: 64 }),
    workload("publish-16x256", "durable publish, 16 × window 256", Work::Publish { publishers: 16, window: 256 }),
    workload("end-to-end-1", "publish → ack confirmed, 1 publisher", Work::EndToEnd { publishers: 1, window: 512 }),
    workload("end-to-end-16", "publish → ack confirmed, 16 publishers", Work::EndToEnd { publishers: 16, window: 256 }),
    workload("calls-1000", "calls, 1,000 in flight, 1 connection", Work::Calls { connections: 1, window: 1_000 }),
    workload("calls-64x1", "calls, 64 connections × 1 in flight", Work::Calls { connections: 64, window: 1 }),
    workload("fan-out-1000", "channel 1 → 100, window 1,000", Work::FanOut { window: 1_000 }),
    workload("fan-out-20", "channel 1 → 100, window 20", Work::FanOut { window: 20 }),
    workload("stomp-publish-1", "STOMP: durable SEND, 1 in flight", Work::StompPublish { publishers: 1, window: 1 }),
    workload("stomp-publish-512", "STOMP: durable SEND, window 512", Work::StompPublish { publishers: 1, window: 512 }),
    workload("stomp-publish-16x256", "STOMP: durable SEND, 16 × window 256", Work::StompPublish { publishers: 16, window: 256 }),
    workload("stomp-end-to-end-1", "STOMP: SEND → ACK of each, confirmed", Work::StompEndToEnd { publishers: 1, window: 512 }),
    workload("stomp-fan-out-1000", "STOMP: /topic 1 → 100, window 1,000", Work::StompFanOut { window: 1_000 }),
    workload("stomp-fan-out-20", "STOMP: /topic 1 → 100, window 20", Work::StompFanOut { window: 20 }),
    workload("subscriptions-1", "durable publish, 1 subscription, none consumes", Work::Subscriptions { subscriptions: 1 }),
    workload("subscriptions-3", "durable publish, 3 subscriptions", Work::Subscriptions { subscriptions: 3 }),
    workload("subscriptions-10", "durable publish, 10 subscriptions", Work::Subscriptions { subscriptions: 10 }),
    workload("settle-3", "publish → acked by 3; deliveries 3 times that", Work::Settle { subscriptions: 3 }),
    workload("settle-10", "publish → acked by 10; deliveries 10 times that", Work::Settle { subscriptions: 10 }),
    workload("options-priorities", "publish → ack, 10 priorities", Work::Options(Feature::Priorities)),
    workload("options-latest", "durable publish, latest of 100,000 keys", Work::Options(Feature::Latest)),
    workload("options-delay", "publish → ack, delayed by 100 ms", Work::Options(Feature::Delay)),
    workload("options-groups", "publish → ack, 1,000 groups, 4 consumers", Work::Options(Feature::Groups)),
    workload("memory-backlog", "resident per message far behind", Work::Backlog(Part::Memory)),
    workload("backlog-publish", "durable publish, beside a far backlog", Work::Backlog(Part::Publish)),
    workload("backlog-end-to-end", "publish → ack, beside a far backlog", Work::Backlog(Part::EndToEnd)),
    workload("backlog-drain", "acks of the oldest of a far backlog", Work::Backlog(Part::Drain)),
    workload("compaction-quiet", "paced publish, nothing to compact", Work::Compaction { busy: false }),
    workload("compaction-busy", "paced publish while the store compacts", Work::Compaction { busy: true }),
    workload("disk-mixed", "log over live records, random acks", Work::DiskMixed),
    workload("memory-idle", "resident, idle", Work::MemoryIdle),
    workload("memory-connection", "resident per idle connection", Work::MemoryConnection),
    workload("memory-message", "resident per waiting message", Work::MemoryMessage),
    workload("memory-delayed", "resident per message delayed by an hour", Work::MemoryDelayed),
    workload("start-empty", "ready, empty data directory", Work::StartEmpty),
    workload("start-backlog", "ready, with a backlog", Work::StartBacklog),
    #[cfg(feature = "redis")] redis("redis-streams-1", "calls over streams, 1 in flight; appendonly no", RedisWork::Calls { wire: Wire::Streams, window: 1 }),
    #[cfg(feature = "redis")] redis("redis-streams-64", "calls over streams, 64 in flight; appendonly no", RedisWork::Calls { wire: Wire::Streams, window: 64 }),
    #[cfg(feature = "redis")] redis("redis-streams-1000", "calls over streams, 1,000 in flight; appendonly no", RedisWork::Calls { wire: Wire::Streams, window: 1_000 }),
    #[cfg(feature = "redis")] redis("redis-lists-1", "calls over lists, 1 in flight; appendonly no", RedisWork::Calls { wire: Wire::Lists, window: 1 }),
    #[cfg(feature = "redis")] redis("redis-lists-64", "calls over lists, 64 in flight; appendonly no", RedisWork::Calls { wire: Wire::Lists, window: 64 }),
    #[cfg(feature = "redis")] redis("redis-lists-1000", "calls over lists, 1,000 in flight; appendonly no", RedisWork::Calls { wire: Wire::Lists, window: 1_000 }),
    #[cfg(feature = "redis")] redis("redis-native-1", "calls over the engine, 1 in flight; appendonly no", RedisWork::Calls { wire: Wire::Native, window: 1 }),
    #[cfg(feature = "redis")] redis("redis-native-64", "calls over the engine, 64 in flight; appendonly no", RedisWork::Calls { wire: Wire::Native, window: 64 }),
    #[cfg(feature = "redis")] redis("redis-native-1000", "calls over the engine, 1,000 in flight; appendonly no", RedisWork::Calls { wire: Wire::Native, window: 1_000 }),
    #[cfg(feature = "redis")] redis("redis-publish-everysec-1", "publish, 1 in flight; appendfsync everysec", RedisWork::Publish { durability: Durability::EverySecond, window: 1 }),
    #[cfg(feature = "redis")] redis("redis-publish-everysec-512", "publish, 512 in flight; appendfsync everysec", RedisWork::Publish { durability: Durability::EverySecond, window: 512 }),
    #[cfg(feature = "redis")] redis("redis-publish-always-1", "publish, 1 in flight; appendfsync always", RedisWork::Publish { durability: Durability::Always, window: 1 }),
    #[cfg(feature = "redis")] redis("redis-publish-always-512", "publish, 512 in flight; appendfsync always", RedisWork::Publish { durability: Durability::Always, window: 512 }),
    #[cfg(feature = "redis")] redis("redis-end-to-end-everysec", "publish → ack confirmed; appendfsync everysec", RedisWork::EndToEnd { durability: Durability::EverySecond }),
    #[cfg(feature = "redis")] redis("redis-end-to-end-always", "publish → ack confirmed; appendfsync always", RedisWork::EndToEnd { durability: Durability::Always }),
    #[cfg(feature = "redis")] redis("redis-fan-out", "channel 1 → 1,000 in one process, 1 SUBSCRIBE", RedisWork::FanOut),
    #[cfg(feature = "redis")] redis("redis-promises", "promises made and timed out", RedisWork::Promises),
    #[cfg(feature = "redis")] redis("redis-promises-growth", "resident after the last round − after the first", RedisWork::PromisesGrowth),
    #[cfg(feature = "redis")] redis("redis-resubscribe-accepted", "10,000 names back, since the connection", RedisWork::Resubscribe { since: Since::Accepted, waits: Waits::Program }),
    #[cfg(feature = "redis")] redis("redis-resubscribe-ping", "10,000 names back, since PING is answered", RedisWork::Resubscribe { since: Since::Answered, waits: Waits::Program }),
    #[cfg(feature = "redis")] redis("redis-resubscribe-library", "the same, the library's waits (≤ 512 ms)", RedisWork::Resubscribe { since: Since::Answered, waits: Waits::Library }),
];

#[cfg(feature = "redis")]
const fn redis(name: &'static str, about: &'static str, work: RedisWork) -> Workload {
    workload(name, about, Work::Redis(work))
}

const fn workload(name: &'static str, about: &'static str, work: Work) -> Workload {
    Workload { name, about, work }
}

impl Workload {
    pub(crate) fn needs(&self) -> Needs {
        match self.work {
            Work::FloorSync { .. } | Work::FloorEcho { .. } => Needs::Nothing,
            #[cfg(feature = "redis")]
            Work::Redis(_) => Needs::Nothing,
            Work::Publish { .. }
            | Work::EndToEnd { .. }
            | Work::Calls { .. }
            | Work::FanOut { .. }
            | Work::Subscriptions { .. }
            | Work::Settle { .. }
            | Work::Options(_) => Needs::Server,
            Work::StompPublish { .. } | Work::StompEndToEnd { .. } | Work::StompFanOut { .. } => {
                Needs::StompServer
            }
            Work::Compaction { .. }
            | Work::DiskMixed
            | Work::MemoryIdle
            | Work::MemoryConnection
            | Work::MemoryMessage
            | Work::MemoryDelayed
            | Work::StartEmpty => Needs::FreshServer,
            Work::StartBacklog => Needs::RestartedServer,
            Work::Backlog(_) => Needs::SharedServer,
        }
    }

    /// The size of a segment of the store, if it must not be the server's default.
    pub(crate) fn segment_bytes(&self, plan: &Plan) -> Option<u32> {
        match self.work {
            Work::Compaction { .. } | Work::DiskMixed => plan.segment_bytes,
            _ => None,
        }
    }

    /// What a server has to go through before the run, or before it is started again for it.
    pub(crate) fn prepare(&self, context: &Context<'_>) -> Result<Prepared> {
        match self.work {
            Work::StartBacklog => start::fill(context).map(|()| Prepared::default()),
            Work::Backlog(_) => backlog::prepare(context),
            _ => Ok(Prepared::default()),
        }
    }

    pub(crate) fn run(&self, context: &Context<'_>) -> Result<Measure> {
        match self.work {
            Work::FloorSync { records } => floor_sync::run(context, records),
            Work::FloorEcho { window } => floor_echo::run(context, window),
            Work::Publish { publishers, window } => publish::run(context, publishers, window),
            Work::EndToEnd { publishers, window } => end_to_end::run(context, publishers, window),
            Work::Calls {
                connections,
                window,
            } => calls::run(context, connections, window),
            Work::FanOut { window } => fan_out::run(context, window),
            Work::StompPublish { publishers, window } => {
                stomp::publish(context, &Broker::ours(context)?, publishers, window)
            }
            Work::StompEndToEnd { publishers, window } => {
                stomp::end_to_end(context, &Broker::ours(context)?, publishers, window)
            }
            Work::StompFanOut { window } => {
                stomp::fan_out(context, &Broker::ours(context)?, window)
            }
            Work::Subscriptions { subscriptions } => subscriptions::publish(context, subscriptions),
            Work::Settle { subscriptions } => subscriptions::settle(context, subscriptions),
            Work::Options(feature) => options::run(context, feature),
            Work::Backlog(part) => backlog::run(context, part),
            Work::Compaction { busy } => compaction::run(context, busy),
            Work::DiskMixed => disk::run(context),
            Work::MemoryIdle => memory::idle(context),
            Work::MemoryConnection => memory::per_connection(context),
            Work::MemoryMessage => memory::per_message(context),
            Work::MemoryDelayed => memory::per_delayed_message(context),
            Work::StartEmpty => start::ready(context),
            Work::StartBacklog => start::with_backlog(context),
            #[cfg(feature = "redis")]
            Work::Redis(work) => work.run(context),
        }
    }
}

/// The workloads that `names` choose: by name or by group, all if there are none.
pub(crate) fn choose(names: &[String]) -> Result<Vec<Workload>> {
    for name in names {
        if !ALL.iter().any(|workload| is_chosen(workload, name)) {
            let known: Vec<&str> = ALL.iter().map(|workload| workload.name).collect();
            bail!("no workload {name}; there are {}", known.join(", "));
        }
    }
    Ok(ALL
        .iter()
        .filter(|workload| names.is_empty() || names.iter().any(|name| is_chosen(workload, name)))
        .copied()
        .collect())
}

fn is_chosen(workload: &Workload, name: &str) -> bool {
    workload.name == name
        || workload
            .name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Vec<&'static str> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        choose(&names)
            .unwrap()
            .iter()
            .map(|workload| workload.name)
            .collect()
    }

    #[test]
    fn names_and_groups_choose() {
        assert_eq!(chosen(&[]).len(), ALL.len());
        assert_eq!(chosen(&["calls-1"]), ["calls-1"]);
        assert_eq!(
            chosen(&["floor-echo", "calls-64"]),
            ["floor-echo-1", "floor-echo-64", "calls-64"]
        );
        assert_eq!(chosen(&["end-to-end"]), ["end-to-end-1", "end-to-end-16"]);
        assert!(choose(&["call".to_owned()]).is_err());
    }

    #[test]
    fn those_that_share_a_server_stand_next_to_each_other() {
        let shares = |each: &Workload| each.needs() == Needs::SharedServer;
        let groups = ALL.chunk_by(|first, second| shares(first) == shares(second));
        assert_eq!(groups.filter(|group| shares(&group[0])).count(), 1);
        let segments = ALL
            .iter()
            .filter(|each| shares(each))
            .map(|each| each.segment_bytes(&Plan::quick()));
        assert!(
            segments
                .clone()
                .all(|size| Some(size) == segments.clone().next())
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names = chosen(&[]);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
