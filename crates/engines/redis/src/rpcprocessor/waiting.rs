//! One connection that waits for all answers, and what is kept of calls.

use super::Shared;
use crate::deployment::{Deployment, Failure};
use redis::{Cmd, Value};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::Backoff;

/// Longest wait of one read, in seconds.
const BLOCK_SECONDS: u64 = 5;
/// Most lists of one read. Where there are more, each has its turn.
const LISTS_AT_ONCE: usize = 4_096;
/// Longest wait of one read then, in seconds.
const TURN_SECONDS: f64 = 0.1;
/// Most records that are removed in one step.
const FORGET_MAX: u32 = 1_000;

/// Ended calls that are remembered together while others are waited for.
const KEPT_AT_ONCE: usize = 128;

const AFTER_ERRORS: Backoff = Backoff {
    min: Duration::from_millis(50),
    max: Duration::from_secs(2),
};

/// Removes requests and responses of calls that ended too long ago, or too many ago, in one step. There are always more
/// of them removed in one than ended since the last, so what another process has left is gone after some steps.
const FORGET: &str = r"
local max = tonumber(ARGV[3])
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[1], 'LIMIT', 0, max)
local beyond = math.min(max, redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[2]))
if beyond > #gone then gone = redis.call('ZRANGE', KEYS[2], 0, beyond - 1) end
if #gone == 0 then return 0 end
local fields = {}
for _, id in ipairs(gone) do
    fields[#fields + 1] = id
    fields[#fields + 1] = id .. '_response'
end
redis.call('HDEL', KEYS[1], unpack(fields))
redis.call('ZREM', KEYS[2], unpack(gone))
return #gone
";

/// Takes the first of each list that has one: its place among the keys, then what it is.
pub(super) const TAKE: &str = r"
local taken = {}
for place, list in ipairs(KEYS) do
    local first = redis.call('RPOP', list)
    if first then
        taken[#taken + 1] = place - 1
        taken[#taken + 1] = first
    end
end
return taken
";

/// Takes answers until the wire is over.
pub(super) async fn take_answers(shared: Arc<Shared>) {
    let reader = shared.deployment.patient("rpcprocessor".to_owned());
    let mut failures = 0;
    // What is to be remembered, and whether that has time.
    let (mut ended, mut busy) = (Vec::new(), false);
    let mut turn = 0;
    while !shared.asking.is_closed() {
        let mut awaited = shared.asking.awaited(shared.clock.now());
        if awaited.is_empty() {
            keep(&shared, &std::mem::take(&mut ended)).await;
            shared.asking.anything().await;
            continue;
        }
        let in_turns = awaited.len() > LISTS_AT_ONCE;
        if in_turns {
            turn = (turn + LISTS_AT_ONCE) % awaited.len();
            awaited.rotate_left(turn);
        }
        let kept = if busy && ended.len() < KEPT_AT_ONCE {
            Vec::new()
        } else {
            std::mem::take(&mut ended)
        };
        let reading = read(&shared, &reader, &awaited);
        let (answered, ()) = tokio::join!(reading, keep(&shared, &kept));
        match answered {
            Ok(mut answered) => {
                failures = 0;
                busy = !answered.is_empty();
                ended.append(&mut answered);
            }
            Err(error) => {
                tracing::warn!(%error, "can't wait for answers; trying again");
                let random = RandomState::new().hash_one(failures);
                tokio::time::sleep(AFTER_ERRORS.delay(failures, random)).await;
                failures = failures.saturating_add(1);
            }
        }
    }
    keep(&shared, &ended).await;
}

/// Waits for one answer, then takes all others that are there. The ids that were answered.
async fn read(
    shared: &Shared,
    reader: &Deployment,
    awaited: &[String],
) -> Result<Vec<String>, Failure> {
    let (awaited, wait_seconds) = match awaited.get(..LISTS_AT_ONCE) {
        Some(some) if some.len() < awaited.len() => (some, TURN_SECONDS),
        _ => (awaited, BLOCK_SECONDS as f64),
    };
    let wake = shared.keys.wake.as_bytes();
    let keys: Vec<String> = awaited.iter().map(|id| shared.key(id)).collect();
    let bytes: usize = keys.iter().map(String::len).sum();
    let mut wait = Cmd::with_capacity(keys.len() + 3, bytes + wake.len() + 16);
    wait.arg("BRPOP").arg(&keys);
    wait.arg(&shared.keys.wake).arg(wait_seconds);
    let first = reader.one::<Option<(String, Vec<u8>)>>(wake, &wait).await;
    let woken = shared.asking.stop_waiting();
    let Some((list, answer)) = first? else {
        return Ok(Vec::new());
    };
    let first = keys.iter().position(|key| *key == list);
    let first = first.map(|place| (&*awaited[place], answer));
    // It is taken, whatever becomes of the others.
    shared.asking.conclude(shared, first.as_slice());
    let mut others = redis::pipe();
    if woken && first.is_some() {
        others.cmd("DEL").arg(&shared.keys.wake).ignore();
    }
    let mut take = Cmd::with_capacity(keys.len() + 3, bytes + TAKE.len() + 16);
    take.arg("EVAL").arg(TAKE).arg(keys.len()).arg(keys);
    others.add_command(take);
    let (others,): (Vec<(usize, Vec<u8>)>,) = reader.run(wake, &others).await?;
    let others: Vec<_> = others
        .into_iter()
        .filter_map(|(place, answer)| Some((&**awaited.get(place)?, answer)))
        .collect();
    shared.asking.conclude(shared, &others);
    let answered = first.iter().chain(&others).map(|(id, _)| (*id).to_owned());
    Ok(answered.collect())
}

/// Remembers when calls ended, and removes the records of those that are too many or too old.
async fn keep(shared: &Shared, answered: &[String]) {
    if answered.is_empty() {
        return;
    }
    // Microseconds, so that calls keep their order; a score can hold them.
    let now = shared.clock.now().as_micros();
    let mut commands = redis::pipe();
    let add = commands.cmd("ZADD").arg(&shared.keys.kept);
    for (now, id) in (now..).zip(answered) {
        add.arg(now).arg(id);
    }
    add.ignore();
    let oldest = now.saturating_sub(shared.options.kept_for.as_micros() as u64);
    let forget = commands.cmd("EVAL").arg(FORGET).arg(2);
    forget.arg(&shared.keys.db).arg(&shared.keys.kept);
    forget.arg(oldest).arg(shared.options.kept_calls);
    forget.arg(FORGET_MAX);
    let key = shared.keys.db.as_bytes();
    match shared.deployment.run::<Vec<Value>>(key, &commands).await {
        Ok(results) => {
            if let Some(Value::Int(gone)) = results.last() {
                shared
                    .counting
                    .forgotten
                    .add((*gone).try_into().unwrap_or(0));
            }
        }
        Err(error) => tracing::warn!(%error, "can't remove old calls; their records stay"),
    }
}
