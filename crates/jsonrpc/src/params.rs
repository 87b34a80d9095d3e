//! A method's params to its own type, with errors that say where and what was meant.

use bytes::BufMut;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::pointer::{offset_of, pointer_at};
use crate::{code, nearest, write_string};

/// No text of an error is longer than this many bytes, however long the value it quotes.
const LONGEST_PROBLEM: usize = 300;

/// Params that don't fit their method (-32602).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", if path.is_empty() { String::new() } else { format!("{path}: ") })]
pub struct ParamsError {
    /// Where in the params, as a JSON Pointer (RFC 6901); empty for the params themselves.
    pub path: String,
    /// What is wrong, for people.
    pub problem: String,
    /// The known name nearest to an unknown one.
    pub nearest: Option<String>,
}

impl ParamsError {
    /// An error in the params at `path`, for what a type alone can't check.
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            problem: shortened(problem.into()),
            nearest: None,
        }
    }

    /// The JSON-RPC error code: -32602.
    #[must_use]
    pub fn code(&self) -> i32 {
        code::INVALID_PARAMS
    }

    /// Appends the `data` of the answer: `{"path": …, "nearest"?: …}`.
    pub fn write_data<B: BufMut>(&self, out: &mut B) {
        out.put_slice(b"{\"path\":");
        write_string(out, &self.path);
        if let Some(nearest) = &self.nearest {
            out.put_slice(b",\"nearest\":");
            write_string(out, nearest);
        }
        out.put_u8(b'}');
    }
}

/// Reads params as `T`; absent params are an empty object.
///
/// `T` should be a struct with `#[serde(deny_unknown_fields)]`, and so should the structs in it:
/// an unknown member is then refused with the nearest known name. Reading is one pass; only a
/// refusal looks at the text again to find out where it was. (A value that `T` itself refuses
/// with a custom error in an object's last member is reported at that object.)
///
/// # Errors
/// The params aren't an object, or don't fit `T`.
pub fn parse_params<'a, T: Deserialize<'a>>(
    params: Option<&'a RawValue>,
) -> Result<T, ParamsError> {
    let text = params.map_or("{}", RawValue::get);
    if !text.starts_with('{') {
        return Err(ParamsError::new("", "params must be an object"));
    }
    serde_json::from_str(text).map_err(|error| explain(text, &error))
}

fn explain(text: &str, error: &serde_json::Error) -> ParamsError {
    let path = pointer_at(text, offset_of(text, error.line(), error.column()));
    let whole = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = whole.strip_suffix(&place).unwrap_or(&whole);
    for (prefix, problem) in [
        ("missing field `", "is missing"),
        ("duplicate field `", "is there twice"),
    ] {
        let name = message.strip_prefix(prefix);
        if let Some(name) = name.and_then(|rest| rest.strip_suffix('`')) {
            return ParamsError::new(path, format!("member \"{name}\" {problem}"));
        }
    }
    for (prefix, noun) in [
        ("unknown field `", "member"),
        ("unknown variant `", "value"),
    ] {
        if let Some(rest) = message.strip_prefix(prefix) {
            return unknown(path, noun, rest);
        }
    }
    ParamsError::new(path, message)
}

/// Serde's text, after the opening quote: ``topc`, expected one of `topic`, `messages` ``. Where
/// it should ever read differently, the error loses its suggestion and nothing else.
fn unknown(path: String, noun: &str, rest: &str) -> ParamsError {
    let (name, expected) = rest
        .rsplit_once("`, expected ")
        .or_else(|| rest.rsplit_once("`, there are no "))
        .unwrap_or((rest, ""));
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let nearest = nearest(name, &known);
    let hint = match nearest {
        Some(nearest) => format!("; did you mean \"{nearest}\"?"),
        None if known.is_empty() => String::new(),
        None => format!("; known: {}", known.join(", ")),
    };
    let name = shortened(name.to_owned());
    ParamsError {
        nearest: nearest.map(str::to_owned),
        problem: format!("unknown {noun} \"{name}\"{hint}"),
        path,
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_PROBLEM {
        text.truncate(text.floor_char_boundary(LONGEST_PROBLEM));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Publish {
        #[expect(dead_code)]
        topic: String,
        #[expect(dead_code)]
        #[serde(default)]
        messages: Vec<Message>,
        #[expect(dead_code)]
        #[serde(default)]
        from: From,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Message {
        #[expect(dead_code)]
        key: Option<String>,
        #[expect(dead_code)]
        priority: u8,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum From {
        #[default]
        All,
        New,
    }

    fn refusal(params: &str) -> String {
        let raw: &RawValue = serde_json::from_str(params).expect("JSON");
        parse_params::<Publish>(Some(raw))
            .expect_err(params)
            .to_string()
    }

    #[test]
    fn a_refusal_says_where_and_what_was_meant() {
        for (params, text) in [
            (
                r#"{"topc":"t"}"#,
                r#"unknown member "topc"; did you mean "topic"?"#,
            ),
            (
                r#"{"topic":"t","quite":1}"#,
                r#"unknown member "quite"; known: topic, messages, from"#,
            ),
            (
                r#"{"topic":7}"#,
                "/topic: invalid type: integer `7`, expected a string",
            ),
            (r#"{}"#, r#"member "topic" is missing"#),
            (
                "{\"topic\":\"t\",\n\"messages\":[{\"priority\":0},{\"priorty\":1}]}",
                r#"/messages/1: unknown member "priorty"; did you mean "priority"?"#,
            ),
            (
                r#"{"topic":"t","messages":[{"priority":256}]}"#,
                "/messages/0/priority: invalid value: integer `256`, expected u8",
            ),
            (
                r#"{"topic":"t","messages":[{"key":"k"}]}"#,
                r#"/messages/0: member "priority" is missing"#,
            ),
            (
                r#"{"topic":"t","from":"al"}"#,
                r#"/from: unknown value "al"; did you mean "all"?"#,
            ),
            (r#"["t"]"#, "params must be an object"),
            (
                r#"{"topic":"t","topic":"u"}"#,
                r#"member "topic" is there twice"#,
            ),
        ] {
            assert_eq!(refusal(params), text, "{params}");
        }
    }

    #[test]
    fn absent_params_are_an_empty_object() {
        let error = parse_params::<Publish>(None).expect_err("no topic");
        assert_eq!(error, ParamsError::new("", "member \"topic\" is missing"));
    }

    #[test]
    fn a_refusal_never_quotes_a_long_value_whole() {
        let long = "x".repeat(1_000_000);
        for params in [
            format!(r#"{{"topic":"t","from":"{long}"}}"#),
            format!(r#"{{"topic":"t","{long}":1}}"#),
            format!(r#"{{"topic":"t","messages":"{long}"}}"#),
        ] {
            assert!(refusal(&params).len() < 500);
        }
    }

    #[test]
    fn the_data_is_for_programs() {
        let raw: &RawValue = serde_json::from_str(r#"{"topc":1}"#).expect("JSON");
        let error = parse_params::<Publish>(Some(raw)).expect_err("a slip");
        let mut data = Vec::new();
        error.write_data(&mut data);
        assert_eq!(data, br#"{"path":"","nearest":"topic"}"#);
    }
}
