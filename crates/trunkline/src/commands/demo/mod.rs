//! Everything at once, on real lines: a server, a worker and a consumer in processes of their
//! own; this process publishes, calls, listens and checks.

mod audience;
mod caller;
mod cast;
mod input;
mod publisher;
mod report;
mod worker;

pub(crate) use worker::demo_worker;

use crate::{args::DemoArgs, context::Context, failure::Failure, signal::Stop, text};
use audience::Audience;
use cast::{Auditor, Cast};
use input::Lines;
use report::{Bars, Round};
use std::{
    io::{self, Write},
    time::Instant,
};
use tokio::signal::unix::{SignalKind, signal};
use trunkline::{Connection, Target};

const TOPIC: &str = "demo.lines";
const SUBSCRIPTION: &str = "audit";
const METHOD: &str = "demo.words";
const CHANNEL: &str = "demo.ticks";

pub(crate) async fn demo(context: &Context, args: DemoArgs) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    // A closed terminal must not leave the others behind.
    let mut hang_up = signal(SignalKind::hangup())?;
    let lines = Lines::read(args.input.as_deref(), args.messages)?;
    say(&format!(
        "input      {} from {}",
        text::counted(lines.found(), "line"),
        lines.name()
    ));
    let mut cast = Cast::start().await?;
    let outcome = tokio::select! {
        outcome = rounds(context, &args, &lines, &mut cast) => outcome,
        () = stop.asked() => Ok(()),
        _ = hang_up.recv() => Ok(()),
    };
    say("stopping   worker, consumer and server");
    let stopped = cast.stop().await;
    outcome.and(stopped)?;
    say("\nNow yourself: `trunkline serve` in one terminal, and in another:");
    say("  seq 1 100000 | trunkline publish numbers --lines");
    say("  trunkline consume numbers --subscription me --count 5");
    say("  trunkline worker --handler text --method upper -- tr a-z A-Z &");
    say("  trunkline call upper '[\"hello\"]'");
    Ok(())
}

async fn rounds(
    context: &Context,
    args: &DemoArgs,
    lines: &Lines,
    cast: &mut Cast,
) -> Result<(), Failure> {
    let target: Target = cast
        .url
        .parse()
        .map_err(|error| Failure::failed(format!("the server's URL: {error}")))?;
    let (publisher, _) = Connection::connect(&target).await?;
    // A connection of its own: calls don't queue behind bulk.
    let (caller, _) = Connection::connect(&target).await?;
    caller::ready(&caller).await?;
    let mut audience = Audience::gather(&target).await?;
    let mut auditor = cast.auditor()?;
    for number in 1.. {
        let round = round(
            args,
            lines,
            [&publisher, &caller],
            &mut audience,
            &mut auditor,
        )
        .await?;
        round.show(context.output, number)?;
        round.check(&publisher).await?;
        if args.once {
            break;
        }
        say("once more; Ctrl-C ends it\n");
    }
    Ok(())
}

/// Publishes, consumes, calls and ticks, all at the same time.
async fn round(
    args: &DemoArgs,
    lines: &Lines,
    [publisher, caller]: [&Connection; 2],
    audience: &mut Audience,
    auditor: &mut Auditor,
) -> Result<Round, Failure> {
    say(&format!(
        "\nNow {} are published, each durable before it is confirmed;\n\
         the consumer prints them, the worker answers {}, and every tick\n\
         of a channel reaches {} listeners.",
        text::counted(args.messages, "message"),
        text::counted(args.calls, "call"),
        audience::LISTENERS,
    ));
    let bars = Bars::show(args.messages, args.calls);
    let begin = Instant::now();
    let (published, audited, called, ticked) = tokio::try_join!(
        publisher::publish(publisher, lines, &bars.published),
        auditor.audit(lines, &bars.consumed),
        caller::call(caller, lines, args.calls, &bars.called),
        audience.tick(caller, &bars.ticked),
    )?;
    let elapsed = begin.elapsed();
    drop(bars);
    Ok(Round {
        messages: args.messages,
        calls: args.calls,
        published,
        audited,
        called,
        ticked,
        elapsed,
    })
}

/// What is going on, for people; if the terminal is gone, for nobody.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
