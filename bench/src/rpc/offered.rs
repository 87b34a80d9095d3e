//! What a server says that it doesn't offer: no failure, but nothing to measure.

use anyhow::Result;
use serde_json::{Value, json};

use super::request;
use crate::measure::NotMeasured;
use crate::ws::WebSocket;

/// The code of "the engine can't do that".
const UNSUPPORTED: i64 = -32010;

/// Fails unless `rpc.info` tells `capability`: before anything is loaded that would then be
/// refused, one message at a time.
pub(crate) fn require(socket: &mut WebSocket, capability: &str) -> Result<()> {
    let info = request(socket, "rpc.info", &json!({}))?;
    if info["capabilities"][capability] == true {
        return Ok(());
    }
    Err(not_offered(capability).into())
}

/// What `error`, the member of an answer, says that the engine can't do; `None` if it says
/// something else.
pub(super) fn missing(error: &Value) -> Option<NotMeasured> {
    (error["code"] == UNSUPPORTED).then(|| {
        let named = error.pointer("/data/capability").and_then(Value::as_str);
        not_offered(named.unwrap_or("an option"))
    })
}

fn not_offered(capability: &str) -> NotMeasured {
    NotMeasured::new(format!("not offered yet: `{capability}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_capability_is_not_offered() {
        for (error, why) in [
            (
                json!({"code": -32010, "message": "no", "data": {"capability": "delay"}}),
                Some("not offered yet: `delay`"),
            ),
            (
                json!({"code": -32010, "message": "no"}),
                Some("not offered yet: `an option`"),
            ),
            (json!({"code": -32602, "message": "no"}), None),
        ] {
            let told = missing(&error).map(|missing| missing.to_string());
            assert_eq!(told.as_deref(), why, "{error}");
        }
    }
}
