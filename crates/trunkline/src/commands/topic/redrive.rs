use super::pages::{Pages, put_filter};
use crate::{
    args::RedriveArgs, commands::info::read, context::Context, failure::Failure, output::Output,
    progress, text,
};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};
use trunkline::{Connection, Payload};

/// Dead letters of one request: few enough that a bar moves.
const PAGE: u64 = 250;

pub(super) async fn redrive(context: &Context, args: &RedriveArgs) -> Result<(), Failure> {
    let set = Set::of(args)?;
    let (client, _pushes) = context.connect().await?;
    let mut params = json!({"topic": args.topic});
    put_filter(&mut params, &args.filter);
    if let Some(id) = &args.id {
        params["id"] = json!(id);
    }
    if args.dry_run {
        return count(context.output, &client, params, args).await;
    }
    if let Some(to) = &args.to {
        params["to"] = json!(to);
    }
    let bar = progress_bar(&client, &args.topic).await?;
    let mut moving = Moving::default();
    let outcome = moving.run(&client, params, &set, args.limit, &bar).await;
    bar.finish_and_clear();
    let Moving { moved, left } = moving;
    if let Err(failure) = outcome {
        let again = "those are not moved twice if you run it again";
        return Err(failure.while_doing(format!(
            "moved {}, {again}",
            text::counted(moved, "message")
        )));
    }
    if context.output.json {
        let result = json!({"topic": args.topic, "moved": moved, "left": left});
        context.output.object(&result)?;
    } else {
        eprintln!("moved {}", text::counted(moved, "message"));
    }
    match left {
        0 => Ok(()),
        left => Err(Failure::failed(format!(
            "{} stayed in {}: where they came from is gone or has no room, or a consumer holds them",
            text::counted(left, "message"),
            args.topic
        ))),
    }
}

/// The params of a request.
#[derive(Serialize)]
struct Params<'a> {
    #[serde(flatten)]
    which: Value,
    set: &'a Set<'a>,
}

/// What changes of the messages: JSON stays the text that it is.
#[derive(Default)]
struct Set<'a> {
    payload: Option<Payload<'a>>,
    priority: Option<u8>,
    headers: Map<String, Value>,
}

impl<'a> Set<'a> {
    fn of(args: &'a RedriveArgs) -> Result<Self, Failure> {
        let payload = args.payload.as_deref().map(|text| match args.json_payload {
            true => Payload::json(text.as_bytes()),
            false => Ok(Payload::Text(text)),
        });
        let unset = args.unset_header.iter().map(|name| (name, Value::Null));
        let given = args.set_header.iter();
        let given = given.map(|header| (&header.key, json!(header.value)));
        let headers = unset.chain(given);
        Ok(Self {
            payload: payload
                .transpose()
                .map_err(|error| Failure::usage(format!("--payload: {error}")))?,
            priority: args.priority,
            headers: headers.map(|(name, value)| (name.clone(), value)).collect(),
        })
    }
}

impl Serialize for Set<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut members = to.serialize_map(None)?;
        if let Some(payload) = &self.payload {
            payload.put(&mut members)?;
        }
        if let Some(priority) = self.priority {
            members.serialize_entry("priority", &priority)?;
        }
        if !self.headers.is_empty() {
            members.serialize_entry("headers", &self.headers)?;
        }
        members.end()
    }
}

async fn progress_bar(client: &Connection, topic: &str) -> Result<ProgressBar, Failure> {
    #[derive(Deserialize)]
    struct Counted {
        messages: u64,
    }
    let params = json!({"topic": topic});
    let Counted { messages } = client.ask("rpc.topic.inspect", &params).await?;
    let style = progress::style("{bar:30} {human_pos} of {human_len} moved, {rate}, {elapsed}");
    let bar = ProgressBar::new(messages).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}

/// What was moved so far.
#[derive(Default)]
struct Moving {
    moved: u64,
    left: u64,
}

impl Moving {
    async fn run(
        &mut self,
        client: &Connection,
        mut which: Value,
        set: &Set<'_>,
        limit: Option<u64>,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Redriven {
            moved: u64,
            #[serde(default)]
            left: u64,
            next: Option<String>,
        }
        loop {
            let wanted = limit.map_or(PAGE, |limit| (limit - self.moved).min(PAGE));
            which["limit"] = json!(wanted);
            let params = Params {
                which: which.clone(),
                set,
            };
            let page: Redriven = client.ask("rpc.topic.redrive", &params).await?;
            self.moved += page.moved;
            self.left += page.left;
            bar.set_position(self.moved);
            match page.next {
                Some(next) if limit.is_none_or(|limit| self.moved < limit) => {
                    which["from"] = json!(next);
                }
                _ => return Ok(()),
            }
        }
    }
}

/// Where a dead letter came from and why.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    topic: String,
    subscription: String,
    reason: String,
}

/// Shows what a redrive would move, by where it came from.
async fn count(
    output: Output,
    client: &Connection,
    params: Value,
    args: &RedriveArgs,
) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct DeadLetter {
        #[serde(default)]
        headers: BTreeMap<String, String>,
    }
    let mut pages = Pages::new(params, args.limit);
    let mut origins: BTreeMap<Origin, u64> = BTreeMap::new();
    while let Some(messages) = pages.next(client).await? {
        for message in &messages {
            let DeadLetter { mut headers } = read(message)?;
            let mut header = |name: &str| {
                let name = format!("trunkline-dead-{name}");
                headers.remove(&name).unwrap_or_default()
            };
            let origin = Origin {
                topic: header("topic"),
                subscription: header("subscription"),
                reason: header("reason"),
            };
            *origins.entry(origin).or_default() += 1;
        }
    }
    if output.json {
        for (origin, messages) in origins {
            let Origin {
                topic,
                subscription,
                reason,
            } = origin;
            let row = json!({
                "topic": topic, "subscription": subscription, "reason": reason,
                "messages": messages,
            });
            output.object(&row)?;
        }
        return Ok(());
    }
    if origins.is_empty() {
        eprintln!("{}: no such messages", args.topic);
        return Ok(());
    }
    let rows = origins.into_iter().map(|(origin, messages)| {
        let from = match origin.topic.as_str() {
            "" => "(not a dead letter)".to_owned(),
            topic => text::shortened(topic, 34),
        };
        let subscription = text::shortened(&origin.subscription, 34);
        vec![from, subscription, origin.reason, text::count(messages)]
    });
    let rows = rows.collect();
    Ok(output.table(&["FROM TOPIC", "SUBSCRIPTION", "REASON", ">MESSAGES"], rows)?)
}
