//! Two gateways and three workers on one Redis, any of which is killed under load and started again: every call
//! gets exactly one answer, or an error that says why, in time; nothing is run twice; every message that was
//! confirmed is delivered, and none is invented.
//!
//! A seed decides who is killed when. `cargo xtask soak --redis` runs the long version.

mod calls;
mod fleet;
mod messages;
mod world;

use crate::soak::dice::Dice;
use crate::soak::ledger::Breach;
use crate::soak::plan::{Plan, Report};
use fleet::{Fleet, GATEWAYS, Victim};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::timeout;
use trunkline::Target;
use world::World;

/// Kills of the short version, which is one of the tests.
const KILLS: u64 = 12;
/// How long nothing may happen.
const STANDSTILL: Duration = Duration::from_secs(60);
/// Events between two kills, at most: ended calls, confirmed publishes, pushes.
const EVENTS_MAX: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_ends_and_every_message_arrives_whoever_is_killed() {
    let plan = Plan::from_environment(KILLS);
    let Some(mut fleet) = block_in_place(Fleet::start) else {
        return;
    };
    let world = Arc::new(World::default());
    let mut report = Report::default();
    let outcome = run(&plan, &mut fleet, &world, &mut report).await;
    let sums = format!(
        "seed {}, {} kills: {}; {}",
        plan.seed,
        report.kills,
        world.calls().sum(),
        world.messages().sum()
    );
    if let Err(breach) = outcome {
        panic!(
            "{breach}\n{sums}\nagain: cargo xtask soak --redis --seed {} --kills {}",
            plan.seed,
            report.kills + 1
        );
    }
    eprintln!("{sums}");
    assert!(world.calls().answered() > 0 && world.messages().confirmed() > 0);
}

async fn run(
    plan: &Plan,
    fleet: &mut Fleet,
    world: &Arc<World>,
    report: &mut Report,
) -> Result<(), Breach> {
    let targets: Vec<Target> = (0..GATEWAYS)
        .map(|gateway| fleet.gateway(gateway).parse().expect("a URL"))
        .collect();
    messages::declare(&targets[0]).await?;
    let (mut asking, mut consuming) = (JoinSet::new(), JoinSet::new());
    for (gateway, target) in targets.iter().enumerate() {
        asking.spawn(calls::call(Arc::clone(world), target.clone()));
        let name = format!("p{gateway}");
        asking.spawn(messages::publish(Arc::clone(world), targets.clone(), name));
        consuming.spawn(messages::consume(Arc::clone(world), target.clone()));
    }
    let mut dice = Dice::new(plan.seed);
    let victims = Victim::all();
    while !plan.is_over(report) {
        let victim = victims[dice.between(0, victims.len() as u64 - 1) as usize];
        let (before, meanwhile) = (dice.between(1, EVENTS_MAX), dice.between(0, EVENTS_MAX / 4));
        moves(world, before, &mut asking, &mut consuming).await?;
        block_in_place(|| fleet.kill(victim));
        report.kills += 1;
        moves(world, meanwhile, &mut asking, &mut consuming).await?;
        block_in_place(|| fleet.restart(victim));
        if plan.long {
            eprintln!("{victim:?} killed; {}", world.calls().sum());
        }
    }
    moves(world, EVENTS_MAX, &mut asking, &mut consuming).await?;
    world.end_load();
    ends(&mut asking, "a caller or publisher").await?;
    let missing = world.until_nothing_is_missing();
    if timeout(STANDSTILL, missing).await.is_err() {
        let topic = messages::inspect(&targets[0]).await?;
        let messages = world.messages();
        let missing = messages.missing();
        let first = &missing[..missing.len().min(10)];
        let count = missing.len();
        return Err(format!(
            "{count} messages were confirmed and never came, as {first:?}; {topic}"
        ));
    }
    world.end();
    ends(&mut consuming, "a consumer").await?;
    world.calls().check(&fleet.all_runs())
}

/// Waits until something happened so often; who breaks a rule meanwhile ends.
async fn moves(
    world: &World,
    events: u64,
    asking: &mut JoinSet<Result<(), Breach>>,
    consuming: &mut JoinSet<Result<(), Breach>>,
) -> Result<(), Breach> {
    let ended = tokio::select! {
        reached = timeout(STANDSTILL, world.until(events)) => {
            return reached.map_err(|_| format!("nothing moves: not even {events} events"));
        }
        Some(ended) = asking.join_next() => ended,
        Some(ended) = consuming.join_next() => ended,
    };
    ended.expect("a client doesn't panic")?;
    Err("a client ended before it was over".to_owned())
}

async fn ends(clients: &mut JoinSet<Result<(), Breach>>, what: &str) -> Result<(), Breach> {
    while let Some(ended) = timeout(STANDSTILL, clients.join_next())
        .await
        .map_err(|_| format!("{what} doesn't end"))?
    {
        ended.expect("a client doesn't panic")?;
    }
    Ok(())
}
