//! Requests that are not measured: preparing, looking, cleaning up.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::offered;
use crate::ws::WebSocket;

/// Sends one request and waits for its answer. Nothing else may be in flight on `socket`. What the
/// engine can't do is a [`NotMeasured`](crate::measure::NotMeasured).
pub(crate) fn request(socket: &mut WebSocket, method: &str, params: &Value) -> Result<Value> {
    let text = json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": params});
    socket.queue(text.to_string().as_bytes());
    socket.flush()?;
    loop {
        while let Some((text, _)) = socket.next_text()? {
            let mut answer: Value = serde_json::from_slice(text)
                .with_context(|| format!("the answer to {method} is not JSON"))?;
            if answer.get("method").is_some() {
                continue;
            }
            if let Some(error) = answer.get("error") {
                if let Some(missing) = offered::missing(error) {
                    return Err(missing).with_context(|| format!("{method} failed"));
                }
                bail!("{method} failed: {error}");
            }
            return Ok(answer["result"].take());
        }
        socket.fill()?;
    }
}

/// A member of an answer that has to be a string.
pub(crate) fn string_member(answer: &Value, name: &str) -> Result<String> {
    let value = answer.get(name).and_then(Value::as_str);
    Ok(value
        .with_context(|| format!("no string `{name}` in {answer}"))?
        .to_owned())
}
