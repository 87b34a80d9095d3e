//! Commands for keys that may be on different servers.

use crate::deployment::{Deployment, Failure};
use futures_util::future::join_all;
use redis::{Cmd, Value};
use std::collections::BTreeMap;
use trunkline_mpx::slot_of;

/// Things to be done, each with one command or more. The commands of a thing are done in their order; those of different
/// things aren't, unless they are for one server.
#[derive(Debug)]
pub(crate) struct Bundle {
    on_cluster: bool,
    things: usize,
    commands: Vec<Routed>,
}

#[derive(Debug)]
struct Routed {
    thing: usize,
    /// How often the commands of the thing before this one went from one slot to another.
    step: usize,
    slot: u16,
    key: Vec<u8>,
    command: Cmd,
}

impl Bundle {
    pub(crate) fn new(deployment: &Deployment) -> Self {
        Self {
            on_cluster: deployment.url().is_cluster(),
            things: 0,
            commands: Vec::new(),
        }
    }

    /// What is added from now on belongs to another thing.
    pub(crate) fn begin(&mut self) {
        self.things += 1;
    }

    /// A command, after the others of its thing. `key` is its key.
    pub(crate) fn add(&mut self, key: &[u8], command: Cmd) {
        // One server has them all.
        let slot = if self.on_cluster { slot_of(key) } else { 0 };
        let thing = self.things.saturating_sub(1);
        let before = self.commands.last().filter(|last| last.thing == thing);
        let step = before.map_or(0, |last| last.step + usize::from(last.slot != slot));
        self.commands.push(Routed {
            thing,
            step,
            slot,
            key: if self.on_cluster {
                key.to_owned()
            } else {
                Vec::new()
            },
            command,
        });
    }

    /// Does it all, and says of each thing what its first command answered, or what failed: after that,
    /// no command of it is sent to another server. On one server there is one round trip for everything.
    pub(crate) async fn run(self, deployment: &Deployment) -> Vec<Result<Value, Failure>> {
        let mut results: Vec<_> = (0..self.things).map(|_| Ok(Value::Nil)).collect();
        let mut begun = vec![false; self.things];
        let mut note = |results: &mut [Result<Value, Failure>], thing: usize, result| {
            let first = !std::mem::replace(&mut begun[thing], true);
            let result: Result<Value, Failure> = result;
            if first || (result.is_err() && results[thing].is_ok()) {
                results[thing] = result;
            }
        };
        if !self.on_cluster {
            for (thing, result) in run(deployment, self.commands).await {
                note(&mut results, thing, result);
            }
            return results;
        }
        let steps = self.commands.iter().map(|command| command.step + 1).max();
        let mut left = self.commands;
        for step in 0..steps.unwrap_or(0) {
            let (now, later): (Vec<_>, _) = left.into_iter().partition(|c| c.step == step);
            left = later;
            let mut slots: BTreeMap<u16, Vec<Routed>> = BTreeMap::new();
            for command in now.into_iter().filter(|c| results[c.thing].is_ok()) {
                slots.entry(command.slot).or_default().push(command);
            }
            let slots = slots
                .into_values()
                .map(|commands| run(deployment, commands));
            for (thing, result) in join_all(slots).await.into_iter().flatten() {
                note(&mut results, thing, result);
            }
        }
        results
    }
}

/// Runs commands for one slot: what each answered, with its thing.
async fn run(
    deployment: &Deployment,
    commands: Vec<Routed>,
) -> Vec<(usize, Result<Value, Failure>)> {
    let mut pipeline = redis::pipe();
    let mut things = Vec::with_capacity(commands.len());
    let mut first = None;
    for command in commands {
        first.get_or_insert(command.key);
        things.push(command.thing);
        pipeline.add_command(command.command);
    }
    let key = first.unwrap_or_default();
    match deployment.each(&key, &pipeline).await {
        Ok(answers) => things.into_iter().zip(answers).collect(),
        Err(failure) => {
            let failed = |thing| (thing, Err(failure.clone()));
            things.into_iter().map(failed).collect()
        }
    }
}
