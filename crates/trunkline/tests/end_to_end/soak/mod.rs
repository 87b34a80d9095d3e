//! The real program under real clients, killed again and again, and ledgers of what it owes
//! them. After each start, and at the end: nothing that was confirmed is lost, nothing is
//! invented, nothing comes back after the answer to its ack, everything comes in order, the
//! latest of a key wins, and what was published twice under one id is stored once.
//!
//! A seed decides who does what, and after how many events the server is killed; how threads
//! and processes come to run is decided by nobody, so a run that failed need not fail again with
//! the same seed. Therefore the store is kept.
//!
//! `cargo xtask soak` runs the long version.

mod audit;
mod consumer;
mod copy;
pub(crate) mod dice;
pub(crate) mod ledger;
pub(crate) mod plan;
mod program;
mod publisher;
pub(crate) mod world;

use crate::setup::{Running, Server, Store, run, store, text, trunkline};
use audit::{audit, nothing_is_left};
use consumer::Place;
use copy::Copy;
use dice::Dice;
use ledger::{Breach, Sums};
use plan::{Plan, Report};
use publisher::Publisher;
use rustix::process::Signal;
use std::{
    fs,
    io::{IsTerminal, Write},
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    task::{JoinSet, block_in_place},
    time::timeout,
};
use trunkline::Target;
use world::World;

/// Kills of the short version, which is one of the tests.
const KILLS: u64 = 6;
/// How long nothing may happen.
const STANDSTILL: Duration = Duration::from_secs(60);
/// How long an audit may take: of all there is, on a machine that is busy.
const AUDIT: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledgers_agree_whenever_the_server_is_killed() {
    let plan = Plan::from_environment(KILLS);
    let mut soak = Soak::new(plan);
    let outcome = soak.run().await;
    if let Err(breach) = outcome {
        let kills = soak.report.kills;
        let kept = soak.store.keep();
        panic!(
            "{breach}\nafter {kills} kills with seed {0}, around {3:?}; the store is kept in {1}; \
             again: cargo xtask soak --seed {0} --kills {2}",
            plan.seed,
            kept.display(),
            kills + 1,
            soak.last,
        );
    }
}

/// How the server ends, and when.
#[derive(Clone, Copy, Debug)]
enum End {
    /// After so many events.
    Kill(u64),
    /// SIGTERM, after so many events.
    Stop(u64),
}

struct Soak {
    plan: Plan,
    dice: Dice,
    store: Store,
    world: Arc<World>,
    publishers: Vec<Publisher>,
    report: Report,
    /// How the server ended last, or is about to.
    last: Option<End>,
    begun: Instant,
}

impl Soak {
    fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed);
        // Two to the first topic: their publishes mix.
        let publishers = [0, 0, 1, 2, 3, 4, 5].map(|topic| Publisher::new(topic, dice.split()));
        Self {
            plan,
            dice,
            store: store(),
            world: Arc::new(World::new()),
            publishers: publishers.into(),
            report: Report::default(),
            last: None,
            begun: Instant::now(),
        }
    }

    async fn run(&mut self) -> Result<(), Breach> {
        let mut server = self.start()?;
        let (client, pushes) = world::connect(&target(&server)).await?;
        self.world.declare(&client).await?;
        drop((client, pushes));
        while !self.plan.is_over(&self.report) {
            let end = self.end();
            self.last = Some(end);
            let copy = self.traffic(&server, end).await?;
            block_in_place(|| self.finish(server, end))?;
            if let Some(copy) = copy {
                let checked = timeout(AUDIT, copy.check()).await;
                checked.map_err(|_| "the audit of a copy doesn't end")??;
                self.report.copies += 1;
            }
            server = self.start()?;
            self.restarted();
            self.quiet(&server, |name| name == "audit").await?;
            self.show();
        }
        self.quiet(&server, |_| true).await?;
        nothing_is_left(&self.world, &target(&server)).await?;
        server.process.signal(Signal::TERM);
        block_in_place(|| self.finish(server, End::Stop(0)))?;
        let path = self.store.path();
        let verify = trunkline(&["journal", "verify", text(&path)]);
        let verified = block_in_place(|| run(verify, b""));
        if verified.code != Some(0) {
            return Err(format!("the store is damaged: {verified:?}"));
        }
        self.tell();
        Ok(())
    }

    fn end(&mut self) -> End {
        let most = self.plan.events_max();
        match self.dice.between(0, 9) {
            0 => End::Kill(0),
            1 => End::Stop(self.dice.between(0, most)),
            _ => End::Kill(self.dice.between(1, most)),
        }
    }

    /// Runs all clients until the server ends as it should; ends it. A copy may be made
    /// meanwhile.
    async fn traffic(&mut self, server: &Server, end: End) -> Result<Option<Copy>, Breach> {
        let mut publishing = JoinSet::new();
        for publisher in self.publishers.drain(..) {
            publishing.spawn(publisher.run(Arc::clone(&self.world), target(server)));
        }
        let mut consuming = JoinSet::new();
        // Several at one subscription compete.
        for (topic, consumers) in [(0, 3), (1, 2), (2, 2), (3, 1), (4, 2), (5, 1)] {
            for _ in 0..consumers {
                let place = Place {
                    topic,
                    subscription: "work",
                };
                let world = Arc::clone(&self.world);
                let dice = self.dice.split();
                consuming.spawn(consumer::consume(world, target(server), place, dice));
            }
        }
        let place = Place {
            topic: 0,
            subscription: "cli",
        };
        let (world, url) = (Arc::clone(&self.world), server.url.clone());
        let program = program::consume(world, url, place, self.dice.split());
        let program = tokio::spawn(program);

        let (events, signal) = match end {
            End::Kill(events) => (events, Signal::KILL),
            End::Stop(events) => (events, Signal::TERM),
        };
        // One that is not waited for may be cut off.
        let (copying, waited_for) = match self.report.starts.len() {
            1 => (true, true),
            _ => (self.dice.chance(1, 3), self.dice.chance(1, 2)),
        };
        let mut copy = JoinSet::new();
        if copying {
            let dir = self.store.path().with_file_name("copy");
            let when = self.dice.between(0, events / 2);
            copy.spawn(copy::make(
                Arc::clone(&self.world),
                server.url.clone(),
                when,
                dir,
            ));
        }
        let mut made = None;
        // A client that sees a rule broken ends, and others may not: that is told at once.
        let trouble = async {
            while let Some(ended) = consuming.join_next().await {
                if let Err(breach) = ended.expect("a consumer doesn't panic") {
                    return breach;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            reached = timeout(STANDSTILL, self.world.until(events)) => {
                reached.map_err(|_| format!("nothing moves: not even {events} events"))?;
            }
            breach = trouble => return Err(breach),
        }
        if waited_for && let Some(ended) = copy.join_next().await {
            made = ended.expect("a copy doesn't panic")?;
        }
        for topic in 0..self.world.topics() {
            self.world.ledger(topic).is_stopping = matches!(end, End::Stop(_));
        }
        server.process.signal(signal);
        let ended = timeout(STANDSTILL, async {
            while let Some(publisher) = publishing.join_next().await {
                self.publishers
                    .push(publisher.expect("a publisher doesn't panic")?);
            }
            while let Some(ended) = consuming.join_next().await {
                ended.expect("a consumer doesn't panic")?;
            }
            self.report.killed_programs += program.await.expect("it doesn't panic")?;
            if let Some(ended) = copy.join_next().await {
                made = ended.expect("a copy doesn't panic")?;
                self.report.cut_copies += u64::from(made.is_none());
            }
            Ok::<_, Breach>(())
        });
        ended
            .await
            .map_err(|_| "clients don't see that the server is gone")??;
        Ok(made)
    }

    /// Sees how the server ended.
    fn finish(&mut self, mut server: Server, end: End) -> Result<(), Breach> {
        match end {
            End::Kill(_) => {
                server.process.wait();
                self.report.kills += 1;
            }
            End::Stop(_) => {
                let status = server.process.wait();
                if !status.success() {
                    return Err(format!("it stopped with {status}"));
                }
                self.report.stops += 1;
            }
        }
        Ok(())
    }

    /// Starts a server; kills one before, now and then, while it opens the store.
    fn start(&mut self) -> Result<Server, Breach> {
        block_in_place(|| {
            if self.report.kills > 0 && self.dice.chance(1, 5) {
                kill_while_opening(serve(&self.store))?;
                self.report.kills += 1;
                self.report.killed_while_opening += 1;
            }
            let begun = Instant::now();
            let server = Server::try_of(serve(&self.store))?;
            self.report.starts.push(begun.elapsed());
            Ok(server)
        })
    }

    fn restarted(&mut self) {
        for topic in 0..self.world.topics() {
            self.world.ledger(topic).restarted();
        }
        for publisher in &mut self.publishers {
            publisher.restarted(&self.world);
        }
    }

    /// Compares everything with the ledgers, and takes what is in some subscriptions.
    async fn quiet(&self, server: &Server, wanted: impl Fn(&str) -> bool) -> Result<(), Breach> {
        let target = target(server);
        let audited = async {
            let (client, pushes) = world::connect(&target).await?;
            drop(pushes);
            if self.world.declare(&client).await? {
                return Err("a topic or a subscription was lost".to_owned());
            }
            audit(&self.world, &target, wanted).await
        };
        timeout(AUDIT, audited)
            .await
            .map_err(|_| "an audit doesn't end")?
    }

    fn sums(&self) -> Sums {
        let mut all = Sums::default();
        for topic in 0..self.world.topics() {
            let sums = self.world.ledger(topic).sums;
            all.confirmed += sums.confirmed;
            all.delivered += sums.delivered;
            all.repeated += sums.repeated;
            all.settled += sums.settled;
            all.dead += self.world.ledger(topic).dead();
        }
        all
    }

    fn show(&self) {
        if !self.plan.long {
            return;
        }
        let mut out = std::io::stderr().lock();
        let line = self.report.progress(self.sums());
        // Only decoration: what can't be written is not missed.
        let _ = match out.is_terminal() {
            true => write!(out, "\r{line}"),
            false => writeln!(out, "{line}"),
        };
    }

    fn tell(&mut self) {
        let again = self.publishers.iter().map(|one| one.again).sum();
        let sums = self.sums();
        let summary = self.report.summary(sums, again, self.begun.elapsed());
        eprintln!("\nseed {}\n{summary}", self.plan.seed);
        assert!(sums.confirmed > 0 && sums.settled > 0, "nothing was tried");
    }
}

fn target(server: &Server) -> Target {
    server.url.parse().expect("a server tells its URL")
}

/// With small segments, so that many are made and freed.
fn serve(store: &Store) -> Command {
    serve_on(&store.path())
}

fn serve_on(path: &Path) -> Command {
    let arguments = ["--json", "serve", "--http", "127.0.0.1:0", "--data"];
    let mut command = trunkline(&arguments);
    command
        .arg(path)
        .env("TRUNKLINE_ENGINE__SEGMENT_BYTES", "512KiB");
    command
}

/// Starts a server and kills it once it has its store locked, which it reads next.
fn kill_while_opening(command: Command) -> Result<(), Breach> {
    let mut process = Running::start(command);
    let descriptors = format!("/proc/{}/fd", process.id());
    let opening = || {
        let entries = fs::read_dir(&descriptors).into_iter().flatten().flatten();
        let mut files = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
        files.any(|file| file.ends_with("journal.lock"))
    };
    let begun = Instant::now();
    while !opening() {
        if begun.elapsed() > STANDSTILL {
            return Err("a server doesn't open its store".to_owned());
        }
        std::thread::yield_now();
    }
    process.signal(Signal::KILL);
    process.wait();
    Ok(())
}
