use super::ClusterAddress;
use crate::cluster::SlotMap;
use crate::resp::{Decoder, Value, write_command};
use crate::shell::{Connect, Transport};
use crate::{LinkError, Node};
use bytes::BytesMut;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Largest answer: sixteen thousand ranges, each with its replicas.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Asks one node after the other who owns which slot, each for so long.
///
/// # Errors
/// Why the last one didn't say.
pub(super) async fn ask_map(
    address: ClusterAddress,
    nodes: Vec<Node>,
    timeout: Duration,
) -> Result<SlotMap, LinkError> {
    let mut last = LinkError::Protocol("there is no node to ask");
    for node in nodes {
        match tokio::time::timeout(timeout, ask(&address, &node)).await {
            Ok(Ok(map)) => return Ok(map),
            Ok(Err(error)) => last = error,
            Err(_) => {
                last = LinkError::ConnectTimeout {
                    address: node.to_string(),
                    after_ms: timeout.as_millis().try_into().unwrap_or(u64::MAX),
                }
            }
        }
    }
    Err(last)
}

async fn ask(address: &ClusterAddress, node: &Node) -> Result<SlotMap, LinkError> {
    let mut stream = address.node(node).connect().await?;
    let answer = exchange(&mut stream).await?;
    if let Value::Error(reason) = &answer {
        return Err(LinkError::server(reason));
    }
    let map = SlotMap::read(&answer, node);
    let map = map.ok_or(LinkError::Protocol("the answer to CLUSTER SLOTS is none"))?;
    if map.nodes().is_empty() {
        return Err(LinkError::Protocol("nobody owns a slot"));
    }
    Ok(map)
}

async fn exchange(stream: &mut impl Transport) -> Result<Value, LinkError> {
    let mut out = BytesMut::new();
    write_command(&mut out, &[b"CLUSTER", b"SLOTS"]);
    stream.write_all(&out).await?;
    stream.flush().await?;
    let mut decoder = Decoder::new(ANSWER_BYTES_MAX);
    let mut input = BytesMut::new();
    loop {
        if let Some(answer) = decoder.decode(&mut input)? {
            return Ok(answer);
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Err(LinkError::Closed);
        }
    }
}
