//! Durable publishes, each confirmed.

use anyhow::Result;

use super::leftover::Topic;
use super::{LoadPlan, LoadResult, measure};
use crate::load::Gauge;
use crate::rpc::{self, Requester};

pub(super) fn run(plan: &LoadPlan, gauge: &Gauge, topic: &mut Topic) -> Result<LoadResult> {
    topic.make(&mut plan.connect()?, None)?;
    let payload = rpc::payload_of(plan.payload_bytes);
    let name = &topic.name;
    let params = format!(r#"{{"topic":"{name}","messages":[{{"payload":{payload}}}]}}"#);
    let mut publishers = (0..plan.connections)
        .map(|_| {
            Ok(Requester::new(
                plan.connect()?,
                "rpc.topic.publish",
                &params,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    measure(plan, gauge, &mut publishers)
}
