//! What keeps a stream's consumer group in order.

use super::Shared;
use super::worker::{Entry, Worker};
use hashbrown::HashSet;
use redis::{RedisResult, Value};

/// Entries of one look at what is pending.
const PENDING_AT_ONCE: u32 = 1_000;

/// Removes consumers that have nothing pending and have not read for too long, but the one that asks.
/// One step, so that none of them takes something in between.
const FORGET: &str = r"
local removed = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local about = {}
    for i = 1, #consumer, 2 do about[consumer[i]] = consumer[i + 1] end
    if about.pending == 0 and about.name ~= ARGV[2] and about.idle > tonumber(ARGV[3]) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], about.name)
        removed = removed + 1
    end
end
return removed
";

/// Makes the group, and the stream, if they aren't there. It begins with what waits: what is too late is
/// dropped by its deadline.
pub(super) async fn make_group(shared: &Shared, worker: &Worker) -> RedisResult<()> {
    let mut create = redis::cmd("XGROUP");
    create.arg("CREATE").arg(&worker.own.stream[..]);
    create.arg(&shared.options.group).arg("0").arg("MKSTREAM");
    let made: RedisResult<Value> = shared.link.one(&create).await;
    match made {
        Err(error) if error.code() != Some("BUSYGROUP") => Err(error),
        _ => Ok(()),
    }
}

/// Acknowledges, and doesn't run, what an earlier process of the same name has taken: whether that is
/// safe to run again is not known. How many there were.
pub(super) async fn give_up_own(shared: &Shared, worker: &Worker) -> RedisResult<u64> {
    let mut given_up = 0;
    loop {
        let mut pending = redis::cmd("XPENDING");
        pending.arg(&worker.own.stream[..]);
        pending.arg(&shared.options.group).arg("-").arg("+");
        pending.arg(PENDING_AT_ONCE).arg(&worker.own.consumer);
        let entries: Vec<Vec<Value>> = shared.link.one(&pending).await?;
        if entries.is_empty() {
            return Ok(given_up);
        }
        given_up += entries.len() as u64;
        let mut ack = redis::cmd("XACK");
        ack.arg(&worker.own.stream[..]);
        ack.arg(&shared.options.group);
        for entry in entries {
            let id = entry.into_iter().next().unwrap_or_default();
            ack.arg(redis::from_redis_value::<Vec<u8>>(id)?);
        }
        shared.link.one::<Value>(&ack).await?;
    }
}

/// Takes over what others have had for too long, at most so many entries. What was trimmed meanwhile
/// has no fields.
pub(super) async fn claim(shared: &Shared, worker: &Worker, max: u32) -> RedisResult<Vec<Entry>> {
    let mut claim = redis::cmd("XAUTOCLAIM");
    claim.arg(&worker.own.stream[..]);
    claim.arg(&shared.options.group).arg(&worker.own.consumer);
    claim.arg(shared.options.claim_after.as_millis() as u64);
    claim.arg("0-0").arg("COUNT").arg(max);
    // From version 7 on, a third member says what was deleted.
    let answer: Vec<Value> = shared.link.one(&claim).await?;
    let entries = answer.into_iter().nth(1).unwrap_or_default();
    // Running calls of our own are not taken over from ourselves.
    let entries: Vec<Entry> = redis::from_redis_value(entries)?;
    let running: HashSet<Vec<u8>> = shared.crew.map(|other, call| {
        let same = other.own.stream == worker.own.stream;
        if same { call.entry.clone() } else { Vec::new() }
    });
    let others = entries
        .into_iter()
        .filter(|(entry, _)| !running.contains(entry));
    Ok(others.collect())
}

/// Removes consumers that are gone for good.
pub(super) async fn forget_consumers(shared: &Shared, worker: &Worker) -> RedisResult<()> {
    let mut forget = redis::cmd("EVAL");
    forget.arg(FORGET).arg(1);
    forget
        .arg(&worker.own.stream[..])
        .arg(&shared.options.group);
    forget.arg(&worker.own.consumer);
    forget.arg(shared.options.forget_after.as_millis() as u64);
    shared.link.one::<Value>(&forget).await.map(drop)
}
