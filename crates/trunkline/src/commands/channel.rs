use crate::{
    args::{ChannelCommand, ChannelPublishArgs, ListenArgs},
    context::Context,
    failure::Failure,
    output::Output,
    signal::Stop,
    text,
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::{json, value::RawValue};
use std::io::Read;
use trunkline::{Payload, Push, Received};

pub(crate) async fn channel(context: &Context, command: ChannelCommand) -> Result<(), Failure> {
    match command {
        ChannelCommand::Publish(args) => publish(context, args).await,
        ChannelCommand::Listen(args) => listen(context, args).await,
    }
}

struct PublishParams<'a> {
    channel: &'a str,
    payload: Payload<'a>,
}

impl Serialize for PublishParams<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut members = to.serialize_map(Some(2))?;
        members.serialize_entry("channel", self.channel)?;
        self.payload.put(&mut members)?;
        members.end()
    }
}

async fn publish(context: &Context, args: ChannelPublishArgs) -> Result<(), Failure> {
    let mut bytes = args.payload.into_bytes();
    if bytes == b"-" {
        bytes.clear();
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::failed(format!("can't read stdin: {error}")))?;
    }
    let payload = match args.json_payload {
        true => Payload::json(&bytes).map_err(Failure::usage)?,
        false => Payload::of(&bytes),
    };
    let params = PublishParams {
        channel: &args.name,
        payload,
    };
    #[derive(Serialize, Deserialize)]
    struct Published {
        receivers: Option<u64>,
    }
    let (client, _pushes) = context.connect().await?;
    let published: Published = client.ask("rpc.channel.publish", &params).await?;
    if context.output.json {
        context.output.object(&published)?;
    } else {
        match published.receivers {
            Some(receivers) => eprintln!("reached {}", text::counted(receivers, "listener")),
            None => eprintln!("sent"),
        }
    }
    Ok(())
}

async fn listen(context: &Context, args: ListenArgs) -> Result<(), Failure> {
    if args.names.is_empty() && args.patterns.is_empty() {
        return Err(Failure::usage("name a channel, or a --pattern of channels"));
    }
    let mut stop = Stop::listen()?;
    let connection = tokio::select! {
        connection = context.connect() => connection?,
        () = stop.asked() => return Ok(()),
    };
    let (client, mut pushes) = connection;
    let params = json!({"channels": args.names, "patterns": args.patterns});
    client.request("rpc.channel.subscribe", &params).await?;
    eprintln!(
        "listening to {}",
        [args.names, args.patterns].concat().join(", ")
    );
    let mut heard = 0;
    while args.count.is_none_or(|count| heard < count) {
        tokio::select! {
            push = pushes.next() => match push {
                Some(push) => heard += u64::from(show(context.output, &push)?),
                None => {
                    let reason = pushes.loss();
                    return Err(Failure::failed(format!("lost the connection: {reason}")));
                }
            },
            () = stop.asked() => break,
        }
    }
    Ok(())
}

/// Prints a message; whether it was one.
fn show(output: Output, push: &Push) -> Result<bool, Failure> {
    let Some(params) = push.params.as_deref() else {
        return Ok(false);
    };
    match push.method.as_str() {
        "rpc.channel.message" if output.json => output.object(&params)?,
        "rpc.channel.message" => {
            let received: Received<'_> = serde_json::from_str(params.get())
                .map_err(|error| Failure::failed(error.to_string()))?;
            let mut line = received
                .bytes()
                .map_err(|error| Failure::failed(error.to_string()))?
                .into_owned();
            line.push(b'\n');
            output.bytes(&line)?;
        }
        "rpc.channel.status" => {
            report(params);
            return Ok(false);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn report(params: &RawValue) {
    #[derive(Deserialize)]
    struct Status {
        state: Option<String>,
        dropped: Option<u64>,
        gap_ms: Option<u64>,
    }
    let Ok(status) = serde_json::from_str::<Status>(params.get()) else {
        return;
    };
    if let Some(dropped) = status.dropped {
        eprintln!("missed {}: too slow", text::counted(dropped, "message"));
    }
    match (status.state.as_deref(), status.gap_ms) {
        (Some("lost"), _) => eprintln!("lost: messages may be missed from here"),
        (Some("active"), Some(gap)) => eprintln!("active again after {gap} ms"),
        _ => {}
    }
}
