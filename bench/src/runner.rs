//! Runs the chosen workloads, one after the other, round by round.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::args::Args;
use crate::host::{self, Launcher, Machine, Process, Server};
use crate::measure::{Measure, NotMeasured, Runs};
#[cfg(feature = "peers")]
use crate::peers::{Comparison, Counterpart, RivalRuns, Rivals};
use crate::plan::Plan;
use crate::report::{Circumstances, Report, Subject};
use crate::rpc;
use crate::workloads::{self, Context, Needs, Prepared, Workload};
use crate::ws::WebSocket;

/// Measures what `args` ask for and prints the table to standard output, progress to standard
/// error.
///
/// # Errors
/// If there is no server to measure, or the first request that the server answers wrongly or not
/// at all. Nothing is reported then: a figure of a failing server is worth nothing.
pub fn run(args: &Args) -> Result<()> {
    if args.list {
        for workload in workloads::ALL {
            println!("{:<22}{}", workload.name, workload.about);
        }
        return Ok(());
    }
    host::raise_open_files();
    fs::create_dir_all(&args.data_root)
        .with_context(|| format!("making {}", args.data_root.display()))?;
    let bench = Bench::new(args)?;
    let report = bench.measure(args)?;
    println!("{report}");
    let json = serde_json::to_string_pretty(&report)? + "\n";
    if let Some(path) = &args.json {
        write(path, &json)?;
    }
    if let Some(path) = &args.save {
        write(&path.with_added_extension("txt"), &format!("{report}\n"))?;
        write(&path.with_added_extension("json"), &json)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// Where the server comes from.
enum Source {
    Started(Launcher),
    Running {
        url: String,
        stomp: Option<String>,
        pid: Option<u32>,
    },
    /// Only floors were asked for.
    None,
}

struct Bench {
    plan: Plan,
    chosen: Vec<Workload>,
    source: Source,
    #[cfg(feature = "peers")]
    rivals: Rivals,
}

impl Bench {
    fn new(args: &Args) -> Result<Bench> {
        let mut chosen = workloads::choose(&args.workloads)?;
        let source = match (&args.url, &args.binary) {
            (Some(url), _) => {
                chosen.retain(|workload| match workload.needs() {
                    Needs::Nothing | Needs::Server => true,
                    Needs::StompServer => args.stomp.is_some(),
                    _ => false,
                });
                Source::Running {
                    url: url.clone(),
                    stomp: args.stomp.clone(),
                    pid: args.pid,
                }
            }
            (None, Some(binary)) => {
                Source::Started(Launcher::new(binary.clone(), args.data_root.clone()))
            }
            (None, None) if chosen.iter().all(|each| each.needs() == Needs::Nothing) => {
                Source::None
            }
            (None, None) => bail!(
                "no server to measure: run `cargo xtask bench`, or name one with --binary or --url"
            ),
        };
        let mut plan = if args.quick {
            Plan::quick()
        } else {
            Plan::full()
        };
        if let Some(backlog) = args.backlog {
            plan.backlog = backlog;
        }
        Ok(Bench {
            plan,
            chosen,
            source,
            #[cfg(feature = "peers")]
            rivals: Rivals::new(args.peers.clone(), args.data_root.clone()),
        })
    }

    /// Rounds are the outer loop: a machine that gets slower in the middle then shows as a spread
    /// of every workload instead of as a difference between two.
    fn measure(&self, args: &Args) -> Result<Report> {
        let mut runs: Vec<Runs> = self.chosen.iter().map(|_| Runs::default()).collect();
        for run in 0..args.runs {
            let mut rest = &mut *runs;
            for group in self.chosen.chunk_by(share_a_server) {
                let (of_group, others) = rest.split_at_mut(group.len());
                self.run_group(group, run, args, of_group)?;
                rest = others;
            }
        }
        progress("");
        let results = self.chosen.iter().zip(&runs);
        let circumstances = Circumstances {
            machine: Machine::describe(&args.data_root)?,
            subject: self.subject()?,
            plan: self.plan.clone(),
            quick: args.quick,
        };
        let report = Report::new(circumstances, results.clone());
        #[cfg(feature = "peers")]
        if self.rivals.are_asked_for() {
            return Ok(report.compared(Comparison::new(self.rivals.describe()?, results)));
        }
        Ok(report)
    }

    /// One run of each workload of a group: of those that share a server, or of one alone.
    fn run_group(
        &self,
        group: &[Workload],
        run: u32,
        args: &Args,
        runs: &mut [Runs],
    ) -> Result<()> {
        let mut shared = None;
        for (workload, runs) in group.iter().zip(runs) {
            if runs.not_measured.is_some() {
                continue;
            }
            progress(&format!("run {}/{}: {}", run + 1, args.runs, workload.name));
            let outcome = match workload.needs() {
                Needs::SharedServer => self
                    .run_shared(workload, self.context(run, args), &mut shared)
                    .map(|ours| runs.ours.push(ours)),
                _ => self.run_once(workload, run, args, runs),
            };
            match outcome {
                Err(error) if error.is::<NotMeasured>() => {
                    runs.not_measured = error.downcast().ok();
                }
                outcome => {
                    outcome.with_context(|| format!("{} (run {})", workload.name, run + 1))?
                }
            }
        }
        Ok(())
    }

    /// One run of a workload on the server of its group, which is started and prepared for the
    /// first of them.
    fn run_shared(
        &self,
        workload: &Workload,
        context: Context<'_>,
        shared: &mut Option<(Server, Prepared)>,
    ) -> Result<Measure> {
        let Source::Started(launcher) = &self.source else {
            bail!("a server that was just started is needed");
        };
        let (server, prepared) = match shared {
            Some(shared) => shared,
            None => {
                let server = launcher.start(workload.segment_bytes(&self.plan))?;
                let prepared = on(&server, context, |context| workload.prepare(context))?;
                shared.insert((server, prepared))
            }
        };
        let context = Context {
            prepared: *prepared,
            ..context
        };
        on(server, context, |context| workload.run(context))
    }

    /// One run of a workload, and of its counterparts: before it in every second run, so that
    /// neither side always finds what the other leaves behind.
    fn run_once(&self, workload: &Workload, run: u32, args: &Args, runs: &mut Runs) -> Result<()> {
        #[cfg(feature = "peers")]
        {
            let rivals = self.rivals.counterparts(workload);
            if !rivals.is_empty() {
                return self.run_beside(workload, &rivals, self.context(run, args), runs);
            }
        }
        let ours = self.run_ours(workload, self.context(run, args))?;
        runs.ours.push(ours);
        Ok(())
    }

    /// One run of a workload and of those counterparts.
    #[cfg(feature = "peers")]
    fn run_beside(
        &self,
        workload: &Workload,
        rivals: &[Counterpart],
        context: Context<'_>,
        runs: &mut Runs,
    ) -> Result<()> {
        let ours_first = context.run.is_multiple_of(2);
        if runs.rivals.is_empty() {
            runs.rivals = rivals.iter().copied().map(RivalRuns::new).collect();
        }
        for ours in [ours_first, !ours_first] {
            if ours {
                let measure = self.run_ours(workload, context)?;
                runs.ours.push(measure.in_turn(ours_first));
                continue;
            }
            for its in &mut runs.rivals {
                let measure = self.rivals.run(workload, its.counterpart, context)?;
                its.runs.push(measure.in_turn(!ours_first));
            }
        }
        Ok(())
    }

    fn context<'a>(&'a self, run: u32, args: &'a Args) -> Context<'a> {
        Context {
            plan: &self.plan,
            run,
            scratch: &args.data_root,
            url: "",
            stomp: None,
            pid: None,
            started: None,
            store: None,
            prepared: Prepared::default(),
            #[cfg(feature = "redis")]
            redis: self.rivals.redis_program(),
        }
    }

    fn run_ours(&self, workload: &Workload, context: Context<'_>) -> Result<Measure> {
        match &self.source {
            Source::Started(launcher) if workload.needs() != Needs::Nothing => {
                let mut server = launcher.start(workload.segment_bytes(&self.plan))?;
                if workload.needs() == Needs::RestartedServer {
                    on(&server, context, |context| workload.prepare(context))?;
                    server.restart()?;
                }
                on(&server, context, |context| workload.run(context))
            }
            Source::Running { url, stomp, pid } => workload.run(&Context {
                url,
                stomp: stomp.as_deref(),
                pid: *pid,
                ..context
            }),
            _ => workload.run(&context),
        }
    }

    /// What is measured, in its own words.
    fn subject(&self) -> Result<Option<Subject>> {
        Ok(match &self.source {
            Source::None => None,
            Source::Started(launcher) => {
                let server = launcher.start(None)?;
                Some(subject(&server.url(), None)?)
            }
            Source::Running { url, .. } => Some(subject(url, Some(url.clone()))?),
        })
    }
}

/// Whether the second is run on the server that was prepared for the first.
fn share_a_server(first: &Workload, second: &Workload) -> bool {
    [first, second].map(Workload::needs) == [Needs::SharedServer; 2]
}

/// Does `work` on a server that we started. An error has the end of the server's log with it.
fn on<T>(
    server: &Server,
    context: Context<'_>,
    work: impl FnOnce(&Context<'_>) -> Result<T>,
) -> Result<T> {
    let (url, stomp, store) = (server.url(), server.stomp(), server.store());
    let context = Context {
        url: &url,
        stomp: Some(&stomp),
        store: Some(&store),
        ..context
    };
    let process: &Process = server.process();
    match work(&context.on(process)) {
        Err(error) if error.is::<NotMeasured>() => Err(error),
        outcome => process.explain(outcome),
    }
}

fn subject(address: &str, url: Option<String>) -> Result<Subject> {
    let info = rpc::request(&mut WebSocket::connect(address)?, "rpc.info", &json!({}))?;
    let word = |name: &str| {
        let value = info.get(name).and_then(Value::as_str);
        value.unwrap_or("unknown").to_owned()
    };
    // What follows the scheme is a directory or holds a password.
    let engine = word("engine");
    let scheme = engine
        .split_once(':')
        .map_or(&*engine, |(scheme, _)| scheme);
    Ok(Subject {
        url,
        version: word("version"),
        engine: scheme.to_owned(),
        durability: word("durability"),
    })
}

/// One line that is written over, on a terminal; nothing elsewhere.
fn progress(text: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[2K{text}");
    }
}
