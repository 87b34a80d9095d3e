use super::info;
use crate::{context::Context, failure::Failure, text};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What a server says of itself; `rpc.info` has more.
#[derive(Deserialize, Serialize)]
struct ServerInfo {
    version: String,
    protocol: u32,
    engine: String,
    #[serde(default)]
    durability: Option<String>,
    #[serde(default)]
    capabilities: Map<String, Value>,
    #[serde(default)]
    limits: Map<String, Value>,
    #[serde(default)]
    calls: Map<String, Value>,
}

pub(crate) async fn server_info(context: &Context) -> Result<(), Failure> {
    let (client, _pushes) = context.connect().await?;
    let raw = client.request("rpc.info", &json!({})).await?;
    let about: ServerInfo = info::read(&raw)?;
    if context.output.json {
        context.output.object(&about)?;
        return Ok(());
    }
    let durability = about.durability.as_deref().unwrap_or("none");
    let mut rows = vec![
        row(
            "version",
            format!("{} (protocol {})", about.version, about.protocol),
        ),
        row("engine", about.engine.clone()),
        row("durability", durability.to_owned()),
    ];
    rows.extend(capabilities(&about.capabilities));
    let limits = about.limits.iter();
    rows.extend(limits.map(|(name, value)| row(name, value.to_string())));
    rows.extend(calls(&about.calls));
    context.output.table(&["SERVER", ""], rows)?;
    Ok(())
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}

/// What it can and can't do, each in one row; what is more than yes or no has its own.
fn capabilities(all: &Map<String, Value>) -> Vec<Vec<String>> {
    let of = |wanted: bool| {
        let names = all.iter().filter(|(_, can)| can.as_bool() == Some(wanted));
        let names: Vec<_> = names.map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    };
    let others = ["atomic", "priorities"].into_iter();
    let others = others.filter_map(|name| Some((name, all.get(name)?)));
    let mut rows: Vec<_> = others
        .map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            row(name, text)
        })
        .collect();
    for (name, wanted) in [("can", true), ("can't", false)] {
        let names = of(wanted);
        if !names.is_empty() {
            rows.push(row(name, names));
        }
    }
    rows
}

/// What calls came to, and what each wire besides the engine's own counts of them and of its queues: one row for each.
/// Numbers that are 0 are left out.
fn calls(all: &Map<String, Value>) -> Vec<Vec<String>> {
    let mut rows = vec![row("calls", numbers(all))];
    let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
    for (wire, about) in all.get("wires").map(members).unwrap_or_default() {
        let counters = members(&about["counters"]);
        rows.push(row(&format!("calls over {wire}"), numbers(&counters)));
        for (queue, stats) in members(&about["queues"]) {
            rows.push(row(
                &format!("asked of {}", text::shortened(&queue, 40)),
                numbers(&members(&stats)),
            ));
        }
    }
    rows.retain(|row| !row[1].is_empty());
    rows
}

/// The members that are numbers and not 0.
fn numbers(members: &Map<String, Value>) -> String {
    let shown = members.iter().filter(|(_, value)| value.is_number());
    let shown = shown.filter(|(_, value)| value.as_f64() != Some(0.0));
    let shown: Vec<_> = shown.map(|(name, n)| format!("{name} {n}")).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_wire_and_queue() {
        let all = json!({
            "calls": 5, "answered": 4, "timed_out": 0,
            "wires": {"rpcprocessor": {
                "counters": {"sent": 5, "refused": 0},
                "queues": {"H": {"calls": 5, "success_rate": 60.0}},
            }},
        });
        let rows = calls(all.as_object().unwrap());
        let rows: Vec<_> = rows.iter().map(|row| row.join(": ")).collect();
        assert_eq!(
            rows,
            [
                "calls: answered 4, calls 5",
                "calls over rpcprocessor: sent 5",
                "asked of H: calls 5, success_rate 60.0",
            ]
        );
        assert!(calls(&Map::new()).is_empty());
    }

    #[test]
    fn what_a_server_can_is_told_in_a_row() {
        let all = json!({"atomic": "topic", "priorities": 256, "ttl": true, "backup": false, "delay": true});
        let rows = capabilities(all.as_object().unwrap());
        let rows: Vec<_> = rows.iter().map(|row| row.join(": ")).collect();
        assert_eq!(
            rows,
            [
                "atomic: topic",
                "priorities: 256",
                "can: delay, ttl",
                "can't: backup"
            ]
        );
    }
}
