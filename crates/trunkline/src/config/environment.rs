//! `TRUNKLINE_SECTION__KEY=VALUE` to a place in the tree.

use serde_json::{Map, Value};

const PREFIX: &str = "TRUNKLINE_";

/// The keys that lead to a variable's place; `None` if the variable is none of ours.
/// Variables without `__` (such as `TRUNKLINE_URL`) belong to the command line.
pub(super) fn path(variable: &str) -> Option<Vec<String>> {
    let (section, key) = variable.strip_prefix(PREFIX)?.split_once("__")?;
    let keys = [section].into_iter().chain(key.split("__"));
    Some(keys.map(str::to_ascii_lowercase).collect())
}

/// A value as JSON if it is JSON (`true`, `5`, `["a"]`), else as text (`30s`).
pub(super) fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Puts a value into its place, making the sections on the way.
pub(super) fn put(tree: &mut Value, path: &[String], value: Value) {
    match path {
        [] => *tree = value,
        [key, rest @ ..] => {
            if !tree.is_object() {
                *tree = Value::Object(Map::new());
            }
            if let Value::Object(members) = tree {
                put(
                    members.entry(key.as_str()).or_insert(Value::Null),
                    rest,
                    value,
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variables_are_paths() {
        for (variable, keys) in [
            ("TRUNKLINE_HTTP__LISTEN", Some("http listen")),
            (
                "TRUNKLINE_TOPICS__DEFAULTS__TTL",
                Some("topics defaults ttl"),
            ),
            ("TRUNKLINE_URL", None),
            ("HTTP__LISTEN", None),
        ] {
            assert_eq!(path(variable).map(|keys| keys.join(" ")).as_deref(), keys);
        }
    }

    #[test]
    fn values_land_in_their_place() {
        let mut tree = json!({"http": {"listen": "a", "insecure": false}});
        put(
            &mut tree,
            &path("TRUNKLINE_HTTP__LISTEN").unwrap(),
            value("127.0.0.1:1"),
        );
        put(
            &mut tree,
            &path("TRUNKLINE_HTTP__INSECURE").unwrap(),
            value("true"),
        );
        put(
            &mut tree,
            &path("TRUNKLINE_LOG__FILTER").unwrap(),
            value("info"),
        );
        assert_eq!(
            tree,
            json!({"http": {"listen": "127.0.0.1:1", "insecure": true}, "log": {"filter": "info"}})
        );
    }
}
