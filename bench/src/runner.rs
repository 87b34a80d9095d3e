//! Runs the chosen workloads, one after the other, round by round.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::args::Args;
use crate::host::{self, Launcher, Machine};
use crate::measure::{Measure, Runs};
#[cfg(feature = "peers")]
use crate::peers::{Comparison, Rivals};
use crate::plan::Plan;
use crate::report::{Circumstances, Report, Subject};
use crate::rpc;
use crate::workloads::{self, Context, Needs, Workload};
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
            println!("{:<20}{}", workload.name, workload.about);
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
                chosen
                    .retain(|workload| matches!(workload.needs(), Needs::Nothing | Needs::Server));
                Source::Running {
                    url: url.clone(),
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
            for (workload, runs) in self.chosen.iter().zip(&mut runs) {
                progress(&format!("run {}/{}: {}", run + 1, args.runs, workload.name));
                self.run_once(workload, run, args, runs)
                    .with_context(|| format!("{} (run {})", workload.name, run + 1))?;
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

    /// One run of a workload, and of its counterpart: before it in every second run, so that
    /// neither side always finds what the other leaves behind.
    fn run_once(&self, workload: &Workload, run: u32, args: &Args, runs: &mut Runs) -> Result<()> {
        #[cfg(feature = "peers")]
        if self.rivals.compares(workload) {
            let ours_first = run.is_multiple_of(2);
            for ours in [ours_first, !ours_first] {
                let context = self.context(run, args);
                if ours {
                    let measure = self.run_ours(workload, context)?;
                    runs.ours.push(measure.in_turn(ours_first));
                } else {
                    let measure = self.rivals.run(workload, context)?;
                    runs.rival.push(measure.in_turn(!ours_first));
                }
            }
            return Ok(());
        }
        let ours = self.run_ours(workload, self.context(run, args))?;
        runs.ours.push(ours);
        Ok(())
    }

    fn context<'a>(&'a self, run: u32, args: &'a Args) -> Context<'a> {
        Context {
            plan: &self.plan,
            run,
            scratch: &args.data_root,
            url: "",
            pid: None,
            started: None,
        }
    }

    fn run_ours(&self, workload: &Workload, context: Context<'_>) -> Result<Measure> {
        match &self.source {
            Source::Started(launcher) if workload.needs() != Needs::Nothing => {
                let mut server = launcher.start()?;
                let url = server.url();
                let context = Context {
                    url: &url,
                    ..context
                };
                if workload.needs() == Needs::RestartedServer {
                    let process = server.process();
                    process.explain(workload.prepare(&context.on(process)))?;
                    server.restart()?;
                }
                let process = server.process();
                process.explain(workload.run(&context.on(process)))
            }
            Source::Running { url, pid } => workload.run(&Context {
                url,
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
                let server = launcher.start()?;
                Some(subject(&server.url(), None)?)
            }
            Source::Running { url, .. } => Some(subject(url, Some(url.clone()))?),
        })
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
