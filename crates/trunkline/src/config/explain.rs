//! What serde says about a key or value, in words that help.

use trunkline_jsonrpc::nearest;

/// Sections of the schema that this version doesn't serve.
const NOT_YET: [&str; 4] = ["ppmq", "auth", "gateway", "trace"];

/// Rewrites `unknown field` and `unknown variant` to name the nearest known one.
pub(super) fn explain(message: &str) -> String {
    let message = message.trim();
    for (prefix, what) in [("unknown field ", "key"), ("unknown variant ", "value")] {
        if let Some(rest) = message.strip_prefix(prefix) {
            let mut quoted = rest.split('`').skip(1).step_by(2);
            let typed = quoted.next().unwrap_or_default();
            let known: Vec<&str> = quoted.collect();
            return unknown(what, typed, &known);
        }
    }
    match message {
        "invalid socket address syntax" => {
            "not an address; write it as IP address and port, like 127.0.0.1:7400".to_owned()
        }
        "mapping values are not allowed in this context" => {
            "a colon in a value; put the value in quotes, like \"memory:\"".to_owned()
        }
        other => other.to_owned(),
    }
}

fn unknown(what: &str, typed: &str, known: &[&str]) -> String {
    let is_section = known.contains(&"engine") && known.contains(&"http");
    if is_section && NOT_YET.contains(&typed) {
        return format!("section `{typed}` is not served by this version yet; remove it");
    }
    if let Some(near) = nearest(typed, known) {
        return format!("unknown {what} `{typed}`; did you mean `{near}`?");
    }
    match known {
        [] => format!("unknown {what} `{typed}`"),
        known => format!("unknown {what} `{typed}`; known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_nearest() {
        for (serde, ours) in [
            (
                "unknown field `listn`, expected one of `listen`, `hosts`, `origins`",
                "unknown key `listn`; did you mean `listen`?",
            ),
            (
                "unknown field `colour`, expected `level` or `format`",
                "unknown key `colour`; known are level, format",
            ),
            (
                "unknown field `ppmq`, expected one of `engine`, `http`",
                "section `ppmq` is not served by this version yet; remove it",
            ),
            (
                "unknown variant `comit`, expected one of `memory`, `commit`",
                "unknown value `comit`; did you mean `commit`?",
            ),
            (
                "invalid socket address syntax",
                "not an address; write it as IP address and port, like 127.0.0.1:7400",
            ),
            ("invalid type: integer `1`", "invalid type: integer `1`"),
        ] {
            assert_eq!(explain(serde), ours);
        }
    }
}
