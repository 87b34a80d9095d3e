mod show;
mod speed;

use crate::{args::BenchCommand, context::Context, failure::Failure, signal::Stop, text};
use indicatif::{ProgressBar, ProgressStyle};
use show::show;
use speed::Speed;
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::{
    sync::oneshot,
    time::{MissedTickBehavior, interval},
};
use trunkline_bench::{Amount, Gauge, LoadEnd, LoadError, LoadPlan, Shape, load};

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);

pub(crate) async fn bench(context: &Context, command: BenchCommand) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    // Says what is wrong as every command does; the load has connections of its own.
    let plan = tokio::select! {
        plan = plan(context, &command) => plan?,
        () = stop.asked() => return Err(Failure::failed("interrupted")),
    };
    let (unit, units) = command.words();
    let gauge = Arc::new(Gauge::default());
    let mut ended = start(&plan, &gauge)?;

    let mut bar = Bar::show(&plan);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = loop {
        tokio::select! {
            end = &mut ended => break end,
            _ = ticks.tick() => bar.moves(gauge.done()),
            () = stop.asked() => {
                if gauge.is_stopped() {
                    let name = &plan.name;
                    return Err(Failure::failed(format!(
                        "interrupted; a topic bench.{name} may be left"
                    )));
                }
                gauge.stop();
            }
        }
    };
    drop(bar);
    if plan.stomp.is_some() && !matches!(plan.shape, Shape::FanOut { .. }) {
        let name = &plan.name;
        eprintln!("topic bench.{name} is left: over STOMP it can be emptied, not deleted");
    }
    let LoadEnd { outcome, left } =
        end.map_err(|_| Failure::failed("the load ended without a result"))?;
    let shown = match outcome {
        Ok(result) => show(
            context.output,
            &plan,
            (unit, units),
            &result,
            gauge.is_stopped(),
        ),
        Err(error) => Err(Failure::from(error)),
    };
    match left {
        None => shown,
        Some(left) => {
            let left = format!(
                "topic {} is left and must be deleted by hand: {}",
                left.topic, left.why
            );
            match shown {
                Ok(()) => Err(Failure::failed(left)),
                Err(failure) => Err(failure.followed_by(&left)),
            }
        }
    }
}

/// What to load, after a look whether it is there.
async fn plan(context: &Context, command: &BenchCommand) -> Result<LoadPlan, Failure> {
    let name = trunkline::unique_name();
    if let Some(url) = context.stomp()? {
        if matches!(command, BenchCommand::Calls(_)) {
            return Err(Failure::usage(
                "bench calls needs a URL like ws://127.0.0.1:7400",
            ));
        }
        let (authority, stomp) = super::stomp::bench(&url).await?;
        let plan = command.plan(format!("stomp://{authority}"), None, name);
        return Ok(LoadPlan {
            stomp: Some(stomp),
            ..plan
        });
    }
    drop(context.connect().await?);
    let url = context.target()?.to_string();
    let token = context.token().map(str::to_owned);
    Ok(command.plan(url, token, name))
}

/// Loads on a thread of its own: the generator blocks, and whoever is asked twice to end doesn't
/// wait for it.
fn start(plan: &LoadPlan, gauge: &Arc<Gauge>) -> Result<oneshot::Receiver<LoadEnd>, Failure> {
    let (tell, ended) = oneshot::channel();
    let (plan, gauge) = (plan.clone(), Arc::clone(gauge));
    thread::Builder::new()
        .name("bench".to_owned())
        .spawn(move || {
            // Nobody waits for it any more if that fails.
            let _ = tell.send(load(&plan, &gauge));
        })?;
    Ok(ended)
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let text = error.to_string();
        match error {
            LoadError::Unreachable(_) => Self::unreachable(text),
            LoadError::Silent(_) => Self::timed_out(text),
            _ => Self::failed(text),
        }
    }
}

/// On a terminal, how far it is and how fast it goes; nothing elsewhere.
struct Bar {
    bar: ProgressBar,
    started: Instant,
    warm_up: Duration,
    by_time: bool,
    speed: Speed,
}

impl Bar {
    fn show(plan: &LoadPlan) -> Self {
        let (length, template) = match plan.amount {
            Amount::Requests(all) => {
                let each = match plan.shape {
                    Shape::FanOut { listeners } => u64::from(listeners),
                    _ => 1,
                };
                let all = all.saturating_mul(each);
                (all, "{elapsed:>4} [{bar:40}] {pos}/{len}  {msg}")
            }
            Amount::Time(time) => {
                let all = time + plan.warm_up();
                (all.as_millis() as u64, "{elapsed:>4} [{bar:40}] {msg}")
            }
            _ => (0, "{elapsed:>4} {msg}"),
        };
        let style = ProgressStyle::with_template(template).expect("the template is right");
        Self {
            bar: ProgressBar::new(length).with_style(style.progress_chars("=> ")),
            started: Instant::now(),
            warm_up: plan.warm_up(),
            by_time: matches!(plan.amount, Amount::Time(_)),
            speed: Speed::default(),
        }
    }

    fn moves(&mut self, done: u64) {
        let elapsed = self.started.elapsed();
        let rate = self.speed.at(elapsed, done);
        self.bar.set_position(match self.by_time {
            true => elapsed.as_millis() as u64,
            false => done,
        });
        self.bar.set_message(match elapsed < self.warm_up {
            true => "warming up".to_owned(),
            false => format!("{}/s", text::count(rate.round() as u64)),
        });
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
