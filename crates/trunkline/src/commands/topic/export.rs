use super::{
    lines::{self, Head, SubscriptionHead},
    pages::{Pages, end_of, id_of},
    show::all,
};
use crate::{
    args::ExportArgs,
    commands::info::{Topic, read},
    context::Context,
    failure::Failure,
    progress,
    signal::Stop,
    text,
};
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::Duration,
};
use trunkline::Connection;
use trunkline_model::{Clock, SystemClock, Timestamp};

pub(super) async fn export(context: &Context, args: &ExportArgs) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let (client, _pushes) = context.connect().await?;
    let begun = async {
        let topics = described(&client, args).await?;
        let out = Out::create(args.out.as_deref())?;
        Ok::<_, Failure>((topics, out))
    };
    let (topics, mut out) = tokio::select! {
        begun = begun => begun?,
        () = stop.asked() => return Err(Failure::failed("interrupted")),
    };
    let style = progress::style("{bar:30} {human_pos} of {human_len} messages, {rate}, {elapsed}");
    let expected = topics.iter().map(|head| head.messages).sum();
    let bar = ProgressBar::new(expected).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    let mut messages = 0;
    for head in &topics {
        let written = tokio::select! {
            written = write(&client, head, &mut out, &bar) => written,
            () = stop.asked() => Err(Failure::failed("interrupted")),
        };
        messages += written?;
    }
    bar.finish_and_clear();
    out.finish()?;
    if context.output.json && args.out.is_some() {
        let result = json!({"topics": topics.len(), "messages": messages});
        return Ok(context.output.object(&result)?);
    }
    eprintln!(
        "exported {} of {}",
        text::counted(messages, "message"),
        text::counted(topics.len() as u64, "topic")
    );
    Ok(())
}

/// What every topic's head says.
async fn described(client: &Connection, args: &ExportArgs) -> Result<Vec<Head>, Failure> {
    let mut topics = Vec::new();
    if args.all {
        topics = all(client).await?;
    } else {
        for topic in &args.topics {
            let params = json!({"topic": topic});
            topics.push(client.request("rpc.topic.inspect", &params).await?);
        }
    }
    let now = SystemClock::new(Timestamp::ZERO).now().to_string();
    topics.iter().map(|topic| head(topic, &now)).collect()
}

fn head(raw: &RawValue, now: &str) -> Result<Head, Failure> {
    #[derive(Deserialize)]
    struct Subscribed {
        #[serde(default)]
        subscriptions: Vec<Described>,
    }
    #[derive(Deserialize)]
    struct Described {
        subscription: String,
        #[serde(default)]
        options: Map<String, Value>,
    }
    let topic: Topic = read(raw)?;
    let Subscribed { subscriptions } = read(raw)?;
    let subscriptions = subscriptions.into_iter().map(|mut described| {
        // What is like the topic's was not asked for, or might as well not have been.
        described
            .options
            .retain(|name, value| topic.options.get(name) != Some(value) && !value.is_null());
        SubscriptionHead {
            subscription: described.subscription,
            options: Value::Object(described.options),
        }
    });
    let subscriptions = subscriptions.collect();
    Ok(Head::new(
        topic.name,
        now.to_owned(),
        topic.messages,
        topic.options,
        subscriptions,
    ))
}

/// Writes a topic; how many messages. What is published after it began is left out, so that it
/// ends.
async fn write(
    client: &Connection,
    head: &Head,
    out: &mut Out,
    bar: &ProgressBar,
) -> Result<u64, Failure> {
    let topic = &head.topic;
    let end = end_of(client, topic).await?;
    out.line(&serde_json::to_string(head).map_err(io::Error::from)?)?;
    let mut pages = Pages::new(json!({"topic": topic}), None);
    let mut written = 0;
    'pages: while let Some(messages) = pages.next(client).await? {
        for message in &messages {
            if id_of(message)?.sequence >= end.sequence {
                break 'pages;
            }
            out.line(&lines::message(message)?)?;
            written += 1;
            bar.inc(1);
        }
    }
    out.line(&lines::end(topic, written))?;
    Ok(written)
}

/// Where the lines go: to stdout, or to a file that has its name only once it is complete.
enum Out {
    Stdout(BufWriter<io::Stdout>),
    File {
        to: BufWriter<File>,
        partial: Partial,
        target: PathBuf,
    },
}

impl Out {
    fn create(target: Option<&Path>) -> Result<Self, Failure> {
        let Some(target) = target else {
            return Ok(Self::Stdout(BufWriter::new(io::stdout())));
        };
        let mut partial = target.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(|error| {
            Failure::failed(format!("can't write {}: {error}", partial.display()))
        })?;
        Ok(Self::File {
            to: BufWriter::new(file),
            partial: Partial(Some(partial)),
            target: target.to_owned(),
        })
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        let to: &mut dyn Write = match self {
            Self::Stdout(to) => to,
            Self::File { to, .. } => to,
        };
        to.write_all(line.as_bytes())?;
        to.write_all(b"\n")
    }

    /// All of it is there.
    fn finish(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut to) => to.flush(),
            Self::File {
                mut to,
                mut partial,
                target,
            } => {
                to.flush()?;
                to.get_ref().sync_all()?;
                if let Some(partial) = partial.0.take() {
                    fs::rename(partial, target)?;
                }
                Ok(())
            }
        }
    }
}

/// A file that is removed unless it was completed.
struct Partial(Option<PathBuf>);

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(partial) = &self.0 {
            // What can't be removed stays, under a name that says what it is.
            let _ = fs::remove_file(partial);
        }
    }
}
