//! Callers, and the ledger of their calls.

use super::fleet::Wire;
use super::world::World;
use crate::soak::ledger::Breach;
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trunkline::ErrorCode::{self, Overloaded, ShuttingDown, Timeout, Unavailable, WorkerLost};
use trunkline::{Connection, Pending, RequestError, Target};

/// Calls of a caller at once.
const WINDOW: usize = 8;
/// A call's time-out.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How much later its end may be seen, on a machine that is busy.
const SLACK: Duration = Duration::from_secs(3);
/// How a call may end besides with its answer, when something was killed.
const ERRORS: [ErrorCode; 5] = [Timeout, WorkerLost, Unavailable, ShuttingDown, Overloaded];

/// What was asked, and what became of it.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    asked: u64,
    answered: BTreeSet<u64>,
    ended: u64,
    /// By code; those of lost connections have none.
    failed: BTreeMap<Option<i32>, u64>,
}

impl Calls {
    /// Another call; its number.
    fn ask(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// How a call ended.
    fn end(
        &mut self,
        number: u64,
        took: Duration,
        outcome: Result<Value, RequestError>,
    ) -> Result<(), Breach> {
        self.ended += 1;
        if took > TIMEOUT + SLACK {
            return Err(format!("call {number} took {took:?}: {outcome:?}"));
        }
        match outcome {
            Ok(answer) if answer == params(number) => {
                if self.answered.insert(number) {
                    Ok(())
                } else {
                    Err(format!("call {number} was answered twice"))
                }
            }
            Ok(other) => Err(format!("call {number} was answered with {other}")),
            Err(RequestError::Lost(_)) => {
                *self.failed.entry(None).or_default() += 1;
                Ok(())
            }
            Err(error) => match code_of(&error) {
                Some(code) if ERRORS.contains(&code) => {
                    *self.failed.entry(Some(code.number())).or_default() += 1;
                    Ok(())
                }
                _ => Err(format!("call {number} failed without need: {error}")),
            },
        }
    }

    /// What must hold in the end, given what was run.
    pub(crate) fn check(&self, runs: &[String]) -> Result<(), Breach> {
        let Self {
            asked,
            answered,
            ended,
            ..
        } = self;
        if asked != ended {
            return Err(format!("{asked} calls were asked, and {ended} ended"));
        }
        let mut run = BTreeSet::new();
        for line in runs {
            let value: Value =
                serde_json::from_str(line).map_err(|error| format!("{line:?}: {error}"))?;
            let number = value["n"].as_u64().filter(|n| (1..=*asked).contains(n));
            let number = number.ok_or_else(|| format!("{line:?} was run, and never asked"))?;
            if !run.insert(number) {
                return Err(format!("call {number} was run twice"));
            }
        }
        match answered.iter().find(|number| !run.contains(number)) {
            Some(number) => Err(format!("call {number} was answered, and never run")),
            None => Ok(()),
        }
    }

    /// One line of numbers.
    pub(crate) fn sum(&self) -> String {
        let (asked, answered) = (self.asked, self.answered.len());
        let failed: Vec<_> = self.failed.iter().collect();
        format!("{asked} calls, {answered} answered, others by code: {failed:?}")
    }

    pub(crate) fn answered(&self) -> usize {
        self.answered.len()
    }
}

fn params(number: u64) -> Value {
    json!({ "n": number })
}

/// Calls at one gateway, again whenever it is back, until it is over and all calls have ended.
pub(crate) async fn call(world: Arc<World>, target: Target) -> Result<(), Breach> {
    while !world.is_over() {
        let Ok((client, _pushes)) = Connection::connect(&target).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let mut flying = FuturesUnordered::new();
        let mut lost = false;
        loop {
            while !lost && !world.is_over() && flying.len() < WINDOW {
                let number = world.calls().ask();
                let begun = Instant::now();
                let wire = if number.is_multiple_of(2) {
                    Wire::Streams
                } else {
                    Wire::Lists
                };
                let call = json!({
                    "method": wire.method(), "params": params(number),
                    "timeout_ms": TIMEOUT.as_millis() as u64,
                });
                match client.start("rpc.call", &call).await {
                    Ok(pending) => flying.push(finish(number, begun, pending)),
                    Err(error) => {
                        world.calls().end(number, begun.elapsed(), Err(error))?;
                        lost = true;
                    }
                }
            }
            let Some((number, begun, outcome)) = flying.next().await else {
                break;
            };
            lost |= matches!(outcome, Err(RequestError::Lost(_)));
            world.calls().end(number, begun.elapsed(), outcome)?;
            world.count();
        }
    }
    Ok(())
}

async fn finish(
    number: u64,
    begun: Instant,
    pending: Pending,
) -> (u64, Instant, Result<Value, RequestError>) {
    let outcome = pending.await.map(|answer| {
        let answer: Value = serde_json::from_str(answer.get()).unwrap_or_default();
        answer
    });
    (number, begun, outcome)
}

/// A time-out has a code of its own on the wire of lists.
fn code_of(error: &RequestError) -> Option<ErrorCode> {
    match error {
        RequestError::Answer(error) if error.is_timeout() => Some(Timeout),
        error => error.code(),
    }
}

#[test]
fn each_rule_is_seen_to_be_broken() {
    let soon = Duration::from_millis(1);
    let error = |code: i64| RequestError::Answer(trunkline::RpcError::new(code, "on purpose"));
    let mut calls = Calls::default();
    for _ in 0..3 {
        calls.ask();
    }
    calls.end(1, soon, Ok(params(1))).unwrap();
    calls.end(2, soon, Err(error(-32001))).unwrap();
    let runs = |numbers: &[u64]| -> Vec<String> {
        numbers.iter().map(|n| params(*n).to_string()).collect()
    };
    let broken = |calls: &Calls, numbers: &[u64]| calls.check(&runs(numbers)).unwrap_err();
    assert!(broken(&calls, &[1]).contains("3 calls were asked, and 2 ended"));
    calls.end(3, soon, Ok(params(3))).unwrap();
    calls.check(&runs(&[1, 2, 3])).unwrap();
    calls.check(&runs(&[3, 1])).unwrap();
    assert!(broken(&calls, &[1]).contains("3 was answered, and never run"));
    assert!(broken(&calls, &[1, 3, 1]).contains("1 was run twice"));
    assert!(broken(&calls, &[1, 3, 4]).contains("never asked"));
    let twice = calls.end(1, soon, Ok(params(1))).unwrap_err();
    assert!(twice.contains("answered twice"));
    let other = calls.end(2, soon, Ok(params(3))).unwrap_err();
    assert!(other.contains("was answered with"));
    let late = calls.end(2, TIMEOUT * 3, Ok(params(2))).unwrap_err();
    assert!(late.contains("took 9s"));
    let needless = calls.end(2, soon, Err(error(-32601))).unwrap_err();
    assert!(needless.contains("without need"));
}
