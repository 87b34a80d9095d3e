//! What keeps a stream's consumer group in order.

use super::Shared;
use super::entries;
use super::worker::Worker;
use crate::connection::Commands;
use crate::deployment::{Failure, Refusal};
use compact_str::ToCompactString;
use hashbrown::HashSet;
use redis::{Cmd, FromRedisValue, Value};
use std::time::Duration;

/// An entry that is not acknowledged: its id, its consumer, how long ago it was handed out, in ms, and how often.
type Pending = (Vec<u8>, Value, u64, Value);

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
pub(super) async fn make_group(shared: &Shared, worker: &Worker) -> Result<(), Failure> {
    let mut create = redis::cmd("XGROUP");
    create.arg("CREATE").arg(&worker.own.stream[..]);
    create.arg(&shared.options.group).arg("0").arg("MKSTREAM");
    match one::<Value>(shared, worker, &create).await {
        Err(failure) if failure.refusal() != Some(Refusal::GroupExists) => Err(failure),
        _ => Ok(()),
    }
}

/// Acknowledges, and doesn't run, what an earlier process of the same name has taken: whether that is
/// safe to run again is not known. How many there were.
pub(super) async fn give_up_own(shared: &Shared, worker: &Worker) -> Result<u64, Failure> {
    let mut given_up = 0;
    loop {
        let mut pending = redis::cmd("XPENDING");
        pending.arg(&worker.own.stream[..]);
        pending.arg(&shared.options.group).arg("-").arg("+");
        pending.arg(PENDING_AT_ONCE).arg(&worker.own.consumer);
        let entries: Vec<Pending> = one(shared, worker, &pending).await?;
        if entries.is_empty() {
            return Ok(given_up);
        }
        given_up += entries.len() as u64;
        let mut ack = redis::cmd("XACK");
        ack.arg(&worker.own.stream[..]);
        ack.arg(&shared.options.group);
        for (id, ..) in entries {
            ack.arg(id);
        }
        one::<Value>(shared, worker, &ack).await?;
    }
}

/// Takes over what others have had for too long, at most so many entries: the answer that has them, if there are any. What was trimmed meanwhile is
/// acknowledged. In two steps, which every server knows (XAUTOCLAIM came with 6.2, and there doesn't say
/// which entries are gone): who else wants an entry takes it in between, and then it isn't idle.
pub(super) async fn claim(
    shared: &Shared,
    worker: &Worker,
    max: u32,
) -> Result<Option<Vec<u8>>, Failure> {
    let idle = idle(shared, worker, max).await?;
    if idle.is_empty() {
        return Ok(None);
    }
    let stream = worker.own.stream.as_bytes();
    let claim_after = millis(shared.options.claim_after).to_compact_string();
    let mut words: Vec<&[u8]> = vec![
        b"XCLAIM",
        stream,
        shared.options.group.as_bytes(),
        worker.own.consumer.as_bytes(),
        claim_after.as_bytes(),
    ];
    words.extend(idle.iter().map(Vec::as_slice));
    let mut claim = Commands::default();
    claim.add(&words);
    let answer = shared.deployment.raw(stream, &claim).await?;
    let claimed = entries::of_claim(&answer);
    let claimed = claimed.map_err(|error| shared.unreadable(&error))?;
    let missing = idle
        .iter()
        .filter(|id| !claimed.iter().any(|entry| entry.id == *id));
    acknowledge_trimmed(shared, worker, missing.collect()).await?;
    Ok(Some(answer))
}

/// Ids of entries that were handed out too long ago, oldest first, but those that this process runs.
async fn idle(shared: &Shared, worker: &Worker, max: u32) -> Result<Vec<Vec<u8>>, Failure> {
    let mut pending = redis::cmd("XPENDING");
    pending.arg(&worker.own.stream[..]);
    pending.arg(&shared.options.group).arg("-").arg("+");
    pending.arg(PENDING_AT_ONCE);
    let pending: Vec<Pending> = one(shared, worker, &pending).await?;
    let running: HashSet<Vec<u8>> = shared.crew.map(|other, call| {
        let same = other.own.stream == worker.own.stream;
        if same {
            call.entry.to_vec()
        } else {
            Vec::new()
        }
    });
    let longest = millis(shared.options.claim_after);
    let idle = pending
        .into_iter()
        .filter(|(id, _, idle, _)| *idle >= longest && !running.contains(id))
        .map(|(id, ..)| id);
    Ok(idle.take(max as usize).collect())
}

/// Of entries that weren't there to be claimed, acknowledges those that are nowhere: nobody can run them.
async fn acknowledge_trimmed(
    shared: &Shared,
    worker: &Worker,
    entries: Vec<&Vec<u8>>,
) -> Result<(), Failure> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut look = redis::pipe();
    for id in &entries {
        let range = look.cmd("XRANGE").arg(&worker.own.stream[..]);
        range.arg(*id).arg(*id);
    }
    let stream = worker.own.stream.as_bytes();
    let found: Vec<Vec<Value>> = shared.deployment.run(stream, &look).await?;
    let trimmed = entries.into_iter().zip(found);
    let trimmed: Vec<_> = trimmed
        .filter_map(|(id, found)| found.is_empty().then_some(id))
        .collect();
    if trimmed.is_empty() {
        return Ok(());
    }
    let mut ack = redis::cmd("XACK");
    ack.arg(&worker.own.stream[..]).arg(&shared.options.group);
    one::<Value>(shared, worker, ack.arg(trimmed))
        .await
        .map(drop)
}

/// Removes consumers that are gone for good.
pub(super) async fn forget_consumers(shared: &Shared, worker: &Worker) -> Result<(), Failure> {
    let mut forget = redis::cmd("EVAL");
    forget.arg(FORGET).arg(1);
    forget
        .arg(&worker.own.stream[..])
        .arg(&shared.options.group);
    forget.arg(&worker.own.consumer);
    forget.arg(millis(shared.options.forget_after));
    one::<Value>(shared, worker, &forget).await.map(drop)
}

/// A command on the stream of a worker.
async fn one<T: FromRedisValue>(
    shared: &Shared,
    worker: &Worker,
    command: &Cmd,
) -> Result<T, Failure> {
    let stream = worker.own.stream.as_bytes();
    shared.deployment.one(stream, command).await
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
