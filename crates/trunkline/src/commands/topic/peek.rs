use super::pages::{Pages, behind, end_of, id_of, put_filter};
use crate::{
    args::{FilterArgs, PeekArgs},
    commands::{
        again::{self, Broken},
        info::read,
    },
    context::Context,
    failure::Failure,
    output::Output,
    signal::Stop,
    text,
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;
use trunkline::{Backoff, Connection, MessageId, Received};
use trunkline_model::Timestamp;

/// Messages shown unless told otherwise.
const LIMIT: u64 = 10;
/// How long a follower waits: the longer, the longer nothing has come.
const FOLLOW: Backoff = Backoff {
    min: Duration::from_millis(50),
    max: Duration::from_secs(1),
};

/// A message as peek shows it.
#[derive(Deserialize)]
struct Peeked {
    id: String,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    attempts: u64,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    priority: u8,
    #[serde(default)]
    published_at: String,
}

pub(super) async fn peek(context: &Context, args: &PeekArgs) -> Result<(), Failure> {
    if args.follow {
        return follow(context, args).await;
    }
    let (client, _pushes) = context.connect().await?;
    let mut params = json!({"topic": args.topic});
    for (name, value) in [("subscription", &args.subscription), ("from", &args.from)] {
        if let Some(value) = value {
            params[name] = json!(value);
        }
    }
    put_filter(&mut params, &args.filter);
    let mut pages = Pages::new(params, Some(args.limit.unwrap_or(LIMIT)));
    let mut rows = Rows::default();
    let mut shown = 0;
    while let Some(messages) = pages.next(&client).await? {
        shown += messages.len();
        for message in &messages {
            match context.output.json {
                true => context.output.object(message)?,
                false => rows.add(message)?,
            }
        }
    }
    if shown == 0 {
        eprintln!("{}: no messages", args.topic);
    }
    rows.show(context.output)
}

/// Rows of a table, and which columns say something.
#[derive(Default)]
struct Rows {
    rows: Vec<(Peeked, String)>,
    of_subscription: bool,
    keyed: bool,
}

impl Rows {
    fn add(&mut self, raw: &RawValue) -> Result<(), Failure> {
        let message: Peeked = read(raw)?;
        self.of_subscription |= message.state.is_some();
        self.keyed |= message.key.is_some();
        self.rows.push((message, preview(raw)?));
        Ok(())
    }

    fn show(self, output: Output) -> Result<(), Failure> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut head = vec!["ID", ">PRIORITY", "PUBLISHED"];
        let mut room = 48;
        if self.of_subscription {
            head.extend(["STATE", ">ATTEMPTS"]);
            room -= 20;
        }
        if self.keyed {
            head.push("KEY");
            room -= 15;
        }
        head.push("PAYLOAD");
        let rows = self.rows.into_iter().map(|(message, payload)| {
            let mut row = vec![
                message.id,
                message.priority.to_string(),
                message.published_at,
            ];
            if self.of_subscription {
                row.push(message.state.unwrap_or_default());
                row.push(message.attempts.to_string());
            }
            if self.keyed {
                row.push(text::shortened(&message.key.unwrap_or_default(), 12));
            }
            row.push(text::shortened(&payload, room));
            row
        });
        let rows = rows.collect();
        Ok(output.table(&head, rows)?)
    }
}

/// The beginning of a payload, on one line.
fn preview(raw: &RawValue) -> Result<String, Failure> {
    const CHARS_MAX: usize = 60;
    let received: Received<'_> =
        serde_json::from_str(raw.get()).map_err(|error| Failure::failed(error.to_string()))?;
    let bytes = received
        .bytes()
        .map_err(|error| Failure::failed(error.to_string()))?;
    let Ok(text) = str::from_utf8(&bytes) else {
        return Ok(format!("({})", text::counted(bytes.len() as u64, "byte")));
    };
    let mut shown: String = text.chars().take(CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    Ok(shown.escape_debug().to_string().replace("\\\"", "\""))
}

/// Shows what comes, until it is told to stop.
async fn follow(context: &Context, args: &PeekArgs) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let (mut client, mut _pushes) = context.connect().await?;
    let from = args.from.as_deref().map(str::parse).transpose();
    let from = from.map_err(|error| Failure::usage(format!("--from: {error}")))?;
    let end = end_of(&client, &args.topic).await?;
    let mut follower = Follower {
        args,
        next: match args.filter.since {
            Some(_) => from,
            None => from.or(Some(end)),
        },
        end,
        left: args.limit,
    };
    eprintln!("following {}; Ctrl-C ends", args.topic);
    let mut idle = 0;
    while follower.left != Some(0) {
        match follower.look(&client, context.output).await {
            Ok(true) => idle = 0,
            Ok(false) => idle += 1,
            Err(Broken::Connection(error)) if again::passes(&error) => {
                eprintln!("{error}; connecting again");
                match again::connect(context, &mut stop).await {
                    Some(connection) => (client, _pushes) = connection,
                    None => return Ok(()),
                }
                continue;
            }
            Err(broken) => return Err(broken.into()),
        }
        let wait = match idle {
            0 => Duration::ZERO,
            idle => FOLLOW.bound(idle - 1),
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.asked() => return Ok(()),
        }
    }
    Ok(())
}

struct Follower<'a> {
    args: &'a PeekArgs,
    /// Where to go on; if absent, the server looks for what was published since then, up to
    /// `end` at least.
    next: Option<MessageId>,
    end: MessageId,
    left: Option<u64>,
}

impl Follower<'_> {
    /// Shows what has come since the last time; whether anything has.
    async fn look(&mut self, client: &Connection, output: Output) -> Result<bool, Broken> {
        let mut params = json!({"topic": self.args.topic});
        if let Some(next) = &self.next {
            params["from"] = json!(next.to_string());
        } else {
            let since = FilterArgs {
                since: self.args.filter.since,
                ..FilterArgs::default()
            };
            put_filter(&mut params, &since);
        }
        let mut pages = Pages::new(params, None);
        let mut came = false;
        while let Some(messages) = pages.next(client).await? {
            came |= !messages.is_empty();
            for message in &messages {
                if self.left == Some(0) {
                    return Ok(came);
                }
                self.show(message, output)?;
            }
        }
        self.next.get_or_insert(self.end);
        Ok(came)
    }

    fn show(&mut self, raw: &RawValue, output: Output) -> Result<(), Failure> {
        self.next = Some(behind(id_of(raw)?));
        let message: Peeked = read(raw)?;
        if !takes(&self.args.filter, &message) {
            return Ok(());
        }
        self.left = self.left.map(|left| left - 1);
        if output.json {
            return Ok(output.object(&raw)?);
        }
        let Peeked {
            id, published_at, ..
        } = message;
        let payload = text::shortened(&preview(raw)?, 56);
        Ok(output.line(&format!("{id:<12}  {published_at:<27}  {payload}"))?)
    }
}

/// Whether a filter takes a message: here, since who follows passes over what it doesn't.
fn takes(filter: &FilterArgs, message: &Peeked) -> bool {
    let same = |asked: &Option<String>, is: &Option<String>| asked.is_none() || asked == is;
    let header = filter.header.as_ref().is_none_or(|header| {
        let found = message.headers.get(&header.name);
        found.is_some_and(|is| header.value.as_ref().is_none_or(|value| value == is))
    });
    let at: Timestamp = message.published_at.parse().unwrap_or_default();
    header
        && same(&filter.key, &message.key)
        && same(&filter.group, &message.group)
        && filter.since.is_none_or(|since| at >= since.0)
        && filter.until.is_none_or(|until| at < until.0)
}
