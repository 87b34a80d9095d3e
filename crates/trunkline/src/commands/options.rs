//! `--option K=V` to the options of a topic or subscription.

use crate::{args::KeyValue, failure::Failure};
use serde_json::{Map, Value};
use trunkline_jsonrpc::nearest;

/// An object of the options that were given; values are JSON where they are JSON, else text.
pub(super) fn read(given: &[KeyValue], known: &[&str]) -> Result<Value, Failure> {
    let mut options = Map::new();
    for KeyValue { key, value } in given {
        check(key, known)?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value.as_str()));
        options.insert(key.clone(), value);
    }
    Ok(Value::Object(options))
}

/// Checks that there is an option of that name.
pub(super) fn check(name: &str, known: &[&str]) -> Result<(), Failure> {
    if known.contains(&name) {
        return Ok(());
    }
    let hint = match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    };
    Err(Failure::usage(format!("unknown option `{name}`; {hint}")))
}

/// An option's value as people write it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_json_or_text() {
        let given = ["a=1", "b=30s", "c={\"min\":\"1s\"}"].map(|text| text.parse().unwrap());
        let options = read(&given, &["a", "b", "c"]).unwrap();
        assert_eq!(options, json!({"a": 1, "b": "30s", "c": {"min": "1s"}}));
        assert!(read(&given, &["a", "b"]).is_err());
    }
}
