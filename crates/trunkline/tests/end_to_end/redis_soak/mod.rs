//! Two gateways and six workers on one Redis, any of which is killed under load and started again, Redis among them:
//! every call over streams or lists gets exactly one answer, or an error that says why, in time; nothing is run
//! twice; every message that was confirmed is delivered, and none is invented.
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
/// One kill in so many is that of Redis, the first one too.
const REDIS_EVERY: u64 = 6;
/// How long nothing may happen.
const STANDSTILL: Duration = Duration::from_secs(60);
/// Events between two kills, at most: ended calls, confirmed publishes, pushes.
const EVENTS_MAX: u64 = 300;
/// The same while Redis is down.
const EVENTS_DOWN_MAX: u64 = 12;

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
    let processes = Victim::processes();
    while !plan.is_over(report) {
        let any = dice.between(0, processes.len() as u64 - 1) as usize;
        let victim = match report.kills % REDIS_EVERY {
            0 => Victim::Redis,
            _ => processes[any],
        };
        let (before, meanwhile) = (dice.between(1, EVENTS_MAX), dice.between(0, EVENTS_MAX / 4));
        // Without Redis nothing happens but that calls end.
        let meanwhile = match victim {
            Victim::Redis => meanwhile.min(EVENTS_DOWN_MAX),
            Victim::Gateway(_) | Victim::Worker(_) => meanwhile,
        };
        moves(world, before, &mut asking, &mut consuming).await?;
        block_in_place(|| fleet.kill(victim));
        report.kills += 1;
        moves(world, meanwhile, &mut asking, &mut consuming).await?;
        block_in_place(|| fleet.restart(victim));
        if plan.long {
            let (calls, messages) = (world.calls().sum(), world.messages().sum());
            eprintln!("{victim:?} killed; {calls}; {messages}");
        }
    }
    moves(world, EVENTS_MAX, &mut asking, &mut consuming).await?;
    world.end_load();
    ends(&mut asking, "a caller or publisher").await?;
    everything_comes(world, &targets[0]).await?;
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

/// Waits until no message is missing any more. What is less urgent may be long by the end of the load.
async fn everything_comes(world: &World, target: &Target) -> Result<(), Breach> {
    let from = world.messages().missing().len();
    let mut left = from;
    while left > 0 {
        let less = world.until_less_is_missing(left);
        if timeout(STANDSTILL, less).await.is_err() {
            let topic = messages::inspect(target).await?;
            let messages = world.messages();
            let first: Vec<_> = messages.missing().iter().take(10).collect();
            return Err(format!(
                "{left} messages of {from} that were missing when the load ended never came, as {first:?}; {topic}"
            ));
        }
        left = world.messages().missing().len();
    }
    Ok(())
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
