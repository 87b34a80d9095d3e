//! Commands for keys that may be on different servers.

use crate::connection::Commands;
use crate::deployment::{Deployment, Failure};
use futures_util::future::join_all;
use redis::Value;
use std::collections::BTreeMap;
use trunkline_mpx::slot_of;

/// Things to be done, each with one command or more. The commands of a thing are done in their order; those of different
/// things aren't, unless they are for one server.
#[derive(Debug)]
pub(crate) struct Bundle {
    on_cluster: bool,
    things: usize,
    commands: Commands,
    /// Of each command.
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    thing: usize,
    /// How often the commands of the thing before this one went from one slot to another.
    step: usize,
    slot: u16,
}

impl Bundle {
    pub(crate) fn new(deployment: &Deployment) -> Self {
        Self {
            on_cluster: deployment.url().is_cluster(),
            things: 0,
            commands: Commands::default(),
            routes: Vec::new(),
        }
    }

    /// What is added from now on belongs to another thing.
    pub(crate) fn begin(&mut self) {
        self.things += 1;
    }

    /// A command with its words, after the others of its thing. `key` is its key.
    pub(crate) fn add(&mut self, key: &[u8], words: &[&[u8]]) {
        // One server has them all.
        let slot = if self.on_cluster { slot_of(key) } else { 0 };
        let thing = self.things.saturating_sub(1);
        let before = self.routes.last().filter(|last| last.thing == thing);
        let step = before.map_or(0, |last| last.step + usize::from(last.slot != slot));
        self.routes.push(Route { thing, step, slot });
        self.commands.add(words);
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
            let answers = run(deployment, 0, &self.commands).await;
            for (route, result) in self.routes.iter().zip(answers) {
                note(&mut results, route.thing, result);
            }
            return results;
        }
        let steps = self.routes.iter().map(|route| route.step + 1).max();
        for step in 0..steps.unwrap_or(0) {
            let mut slots: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
            for (place, route) in self.routes.iter().enumerate() {
                if route.step == step && results[route.thing].is_ok() {
                    slots.entry(route.slot).or_default().push(place);
                }
            }
            let slots = slots.into_iter().map(|(slot, places)| {
                let commands = self.commands.pick(&places, false);
                async move { (places, run(deployment, slot, &commands).await) }
            });
            for (places, answers) in join_all(slots).await {
                for (place, result) in places.into_iter().zip(answers) {
                    note(&mut results, self.routes[place].thing, result);
                }
            }
        }
        results
    }
}

/// Runs commands for one slot: what each answered.
async fn run(
    deployment: &Deployment,
    slot: u16,
    commands: &Commands,
) -> Vec<Result<Value, Failure>> {
    let answers = deployment.each_written(slot, commands).await;
    answers.unwrap_or_else(|failure| vec![Err(failure); commands.len()])
}
