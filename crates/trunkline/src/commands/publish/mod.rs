mod chunk;
mod input;
mod window;

use crate::{args::PublishArgs, context::Context, failure::Failure, progress, signal::Stop, text};
pub(super) use chunk::{Chunk, Encoded, Encoder};
use indicatif::ProgressBar;
pub(super) use input::Input;
use serde_json::json;
use std::time::{Duration, Instant};
pub(super) use window::{Outcome, Source, Window};

pub(crate) async fn publish(context: &Context, args: PublishArgs) -> Result<(), Failure> {
    if let Some(url) = context.stomp()? {
        return super::stomp::publish(context, &url, &args).await;
    }
    let mut stop = Stop::listen()?;
    let encoder = Encoder::new(&args, args.retry.then(trunkline::unique_name));
    let listed = !args.lines;
    let input = Input::of(&args, encoder.overhead())?;
    let begin = Instant::now();
    let connection = tokio::select! {
        connection = context.connect() => connection?,
        () = stop.asked() => return Err(Failure::failed("interrupted")),
    };
    // Nothing is pushed to a publisher.
    let (client, _) = connection;
    let mut window = Window::new(client, args.retry, progress_bar());
    let mut payloads = Payloads { input, encoder };
    let outcome = window.run(context, &mut payloads, &mut stop).await;
    let Outcome {
        confirmed,
        sent,
        ids,
        durability,
    } = window.finish();
    let elapsed = begin.elapsed();
    let verdict = format!("confirmed {confirmed} of {sent}");
    if let Err(failure) = outcome {
        // Without anything sent, nothing needs to be told about it.
        if sent > 0 {
            eprintln!("{verdict}");
        }
        return Err(failure);
    }
    if context.output.json {
        context.output.object(&json!({
            "topic": args.topic, "confirmed": confirmed, "sent": sent,
            "durability": durability, "first_id": ids.first, "last_id": ids.last,
            "elapsed_ms": elapsed.as_secs_f64() * 1e3,
        }))?;
    } else if listed {
        for id in &ids.all {
            context.output.line(id)?;
        }
    } else {
        let (time, rate) = (text::time(elapsed), text::rate(confirmed, elapsed));
        let durability = durability.map(|durability| format!(", durability {}", durability.name()));
        let durability = durability.unwrap_or_default();
        eprintln!("{verdict} in {time} ({rate}){durability}");
    }
    Ok(())
}

/// Payloads as they are read, and what they have in common.
struct Payloads {
    input: Input,
    encoder: Encoder,
}

impl Source for Payloads {
    async fn next(&mut self) -> Option<Result<Encoded, Failure>> {
        Some(match self.input.next().await? {
            Ok(chunk) => self.encoder.encode(&chunk),
            Err(error) => Err(Failure::failed(format!("can't read stdin: {error}"))),
        })
    }
}

/// Shown on a terminal only, and only if it takes a moment.
pub(super) fn progress_bar() -> ProgressBar {
    let style = progress::style("{spinner} {human_pos} confirmed, {rate}, {elapsed}");
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
