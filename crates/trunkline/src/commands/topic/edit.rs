//! Changing options: of topics and of subscriptions.

use crate::{
    args::ChangeArgs,
    commands::{info::read, options},
    context::Context,
    failure::Failure,
    text,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// What is to change, checked as far as that goes without a server: the members of the params.
pub(in crate::commands) fn changes(args: &ChangeArgs, known: &[&str]) -> Result<Value, Failure> {
    let options = options::read(&args.options, known)?;
    for name in &args.unset {
        options::check(name, known)?;
        if options.get(name).is_some() {
            let text = format!("`{name}` is given a value and unset; leave one out");
            return Err(Failure::usage(text));
        }
    }
    let mut params = json!({});
    if !args.options.is_empty() {
        params["options"] = options;
    }
    if !args.unset.is_empty() {
        params["clear"] = json!(args.unset);
    }
    Ok(params)
}

/// One option, before and after.
#[derive(Deserialize)]
struct Change {
    option: String,
    from: Value,
    to: Value,
}

/// What is stored beyond a bound that was lowered.
#[derive(Deserialize)]
struct Above {
    messages: u64,
    bytes: u64,
}

/// Changes options, and says what was and what is now.
pub(in crate::commands) async fn edit(
    context: &Context,
    what: &str,
    params: &Value,
) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Altered {
        changed: Option<Vec<Change>>,
        above: Option<Above>,
    }
    let (client, _pushes) = context.connect().await?;
    let answer = client.request("rpc.topic.alter", params).await?;
    if context.output.json {
        return Ok(context.output.object(&answer)?);
    }
    let Altered { changed, above } = read(&answer)?;
    match &changed {
        None => eprintln!("{what}: changed"),
        Some(changed) if changed.is_empty() => {
            eprintln!("{what}: nothing to change, it is like that already");
        }
        Some(_) => {}
    }
    for Change { option, from, to } in changed.into_iter().flatten() {
        let (from, to) = (options::shown(&from), options::shown(&to));
        eprintln!("{what}: {option}: {from} → {to}");
    }
    if let Some(Above { messages, bytes }) = above {
        let beyond = match (messages, bytes) {
            (0, bytes) => text::bytes(bytes),
            (messages, 0) => text::counted(messages, "message"),
            (messages, bytes) => format!(
                "{} and {}",
                text::counted(messages, "message"),
                text::bytes(bytes)
            ),
        };
        eprintln!("{what}: {beyond} more than that are stored; they stay");
    }
    Ok(())
}
