//! Runs the chosen workloads, one after the other, round by round.

use std::fs;
use std::io::{self, IsTerminal};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::args::Args;
use crate::host::{self, Launcher, Machine};
use crate::measure::Measure;
use crate::plan::Plan;
use crate::report::{Report, Subject};
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
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
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
}

impl Bench {
    fn new(args: &Args) -> Result<Bench> {
        let mut chosen = workloads::choose(&args.workloads)?;
        let source = match (&args.url, &args.binary) {
            (Some(url), _) => {
                chosen.retain(|workload| workload.needs() != Needs::FreshServer);
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
        })
    }

    /// Rounds are the outer loop: a machine that gets slower in the middle then shows as a spread
    /// of every workload instead of as a difference between two.
    fn measure(&self, args: &Args) -> Result<Report> {
        let mut runs: Vec<Vec<Measure>> = vec![Vec::new(); self.chosen.len()];
        for run in 0..args.runs {
            for (workload, measures) in self.chosen.iter().zip(&mut runs) {
                progress(&format!("run {}/{}: {}", run + 1, args.runs, workload.name));
                let measure = self
                    .run_one(workload, run, args)
                    .with_context(|| format!("{} (run {})", workload.name, run + 1))?;
                measures.push(measure);
            }
        }
        progress("");
        let workloads = self
            .chosen
            .iter()
            .zip(runs)
            .map(|(workload, runs)| (workload.name, workload.about, runs));
        Ok(Report::new(
            Machine::describe(&args.data_root)?,
            self.subject()?,
            args.quick,
            workloads,
        ))
    }

    fn run_one(&self, workload: &Workload, run: u32, args: &Args) -> Result<Measure> {
        let context = Context {
            plan: &self.plan,
            run,
            scratch: &args.data_root,
            url: "",
            pid: None,
            server: None,
        };
        match &self.source {
            Source::Started(launcher) if workload.needs() != Needs::Nothing => {
                let server = launcher.start()?;
                let outcome = workload.run(&Context {
                    url: &server.url(),
                    pid: Some(server.pid()),
                    server: Some(&server),
                    scratch: server.data(),
                    ..context
                });
                outcome.map_err(|error| {
                    anyhow!("{error:#}; the server's log ends:\n{}", server.log_tail())
                })
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
