use super::connect::{Servers, unreachable};
use crate::failure::Failure;
use std::fmt::Write;
use tokio::time::timeout;
use trunkline_bench::StompPlan;
use trunkline_stomp::StompUrl;

/// Where a load goes, and what it says in CONNECT; after a look whether the server lets it in.
pub(in crate::commands) async fn bench(url: &StompUrl) -> Result<(String, StompPlan), Failure> {
    let [node] = &url.nodes[..] else {
        return Err(Failure::usage("--url: bench loads one server"));
    };
    if url.tls {
        return Err(Failure::usage("--url: bench speaks no TLS"));
    }
    let client = Servers::new(url)?.connect().await.map_err(unreachable)?;
    // A goodbye that nobody hears costs nothing.
    let _ = timeout(
        crate::commands::consume::FAREWELL,
        client.disconnect().start(),
    )
    .await;
    // What can't be written in CONNECT was refused above.
    let mut connect = String::new();
    let headers = [
        ("host", node.virtual_host.as_ref()),
        ("login", node.login.as_ref()),
        ("passcode", node.passcode.as_ref()),
    ];
    for (name, value) in headers {
        if let Some(value) = value {
            // Writing to a string can't fail.
            let _ = writeln!(connect, "{name}:{value}");
        }
    }
    Ok((node.peer(), StompPlan { connect }))
}
