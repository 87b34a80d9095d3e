//! Scenarios in a small language, so that they read like the conversation that they are.
//!
//! ```text
//! == title                            a fresh server; clients connect when first named
//! a> 1 rpc.topic.declare {"topic":"t"}   client a sends a request with id 1
//! a> - rpc.progress {"id":1}             … a notification
//! a>> {"any": "text"}                    … a frame as it is
//! a< 1 {"created":true}                  client a gets a result
//! a< 1 error -32009 "no topic t" {…}     … an error, with or without data
//! a< - rpc.topic.deliver {…}             … a notification
//! a< call 7 add [1,2]                    … a request
//! a<< {"any": "text"}                    … a frame as it is
//! a# 1003                                the server closes a's connection with that code
//! a/                                     a closes
//! ```
//!
//! What is got must be the same text, byte for byte, but for `$name`: the first time it takes what
//! stands there, up to the character that follows the name, and means that from then on.

use super::server::{Client, Server};
use std::collections::BTreeMap;

/// Runs every scenario of a file.
pub(crate) async fn run(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let starts: Vec<usize> = (0..lines.len())
        .filter(|line| lines[*line].starts_with("=="))
        .collect();
    for (index, start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(lines.len());
        println!("{}", lines[*start]);
        let mut scene = Scene::new().await;
        for (number, line) in lines.iter().enumerate().take(end).skip(start + 1) {
            if !line.is_empty() && !line.starts_with("//") {
                scene.line(number + 1, line).await;
            }
        }
    }
}

struct Scene {
    server: Server,
    clients: BTreeMap<String, Client>,
    names: BTreeMap<String, String>,
}

impl Scene {
    async fn new() -> Self {
        Self {
            server: Server::start().await,
            clients: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    async fn line(&mut self, number: usize, line: &str) {
        let end = line.find(|c: char| !c.is_alphanumeric()).unwrap();
        let (who, rest) = line.split_at(end);
        if !self.clients.contains_key(who) {
            let client = self.server.connect().await;
            self.clients.insert(who.to_owned(), client);
        }
        let client = self.clients.get_mut(who).unwrap();
        if rest == "/" {
            self.clients.remove(who).unwrap().close().await;
        } else if let Some(raw) = rest.strip_prefix(">> ") {
            client.send(&filled(raw, &self.names)).await;
        } else if let Some(request) = rest.strip_prefix("> ") {
            client.send(&filled(&sent(request), &self.names)).await;
        } else if let Some(code) = rest.strip_prefix("# ") {
            assert_eq!(client.closed().await.to_string(), code, "line {number}");
        } else {
            let expected = match rest.strip_prefix("<< ") {
                Some(raw) => raw.to_owned(),
                None => got(rest.strip_prefix("< ").expect("a known form of line")),
            };
            let frame = client.receive().await;
            let frame = frame.unwrap_or_else(|code| format!("closed with {code}"));
            if !matches(&expected, &frame, &mut self.names) {
                panic!("line {number}\nexpected {expected}\n     got {frame}");
            }
        }
    }
}

/// A line to a request.
fn sent(line: &str) -> String {
    let (id, rest) = line.split_once(' ').unwrap();
    let (method, params) = rest.split_once(' ').unwrap_or((rest, ""));
    call(id, method, params)
}

fn call(id: &str, method: &str, params: &str) -> String {
    let id = match id {
        "-" => String::new(),
        id => format!(r#""id":{id},"#),
    };
    let params = match params {
        "" => String::new(),
        params => format!(r#","params":{params}"#),
    };
    format!(r#"{{"jsonrpc":"2.0",{id}"method":"{method}"{params}}}"#)
}

/// A line to what it expects.
fn got(line: &str) -> String {
    let (first, rest) = line.split_once(' ').unwrap();
    if first == "call" || first == "-" {
        let rest = if first == "-" { line } else { rest };
        return sent(rest);
    }
    let Some(error) = rest.strip_prefix("error ") else {
        return format!(r#"{{"jsonrpc":"2.0","id":{first},"result":{rest}}}"#);
    };
    let (code, rest) = error.split_once(' ').unwrap();
    let mut parts = serde_json::Deserializer::from_str(rest).into_iter::<serde_json::Value>();
    parts.next().unwrap().unwrap();
    let (message, data) = rest.split_at(parts.byte_offset());
    let data = match data.trim() {
        "" => String::new(),
        data => format!(r#","data":{data}"#),
    };
    format!(
        r#"{{"jsonrpc":"2.0","id":{first},"error":{{"code":{code},"message":{message}{data}}}}}"#
    )
}

fn filled(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in names {
        text = text.replace(name, value);
    }
    text
}

fn matches(expected: &str, frame: &str, names: &mut BTreeMap<String, String>) -> bool {
    let expected = filled(expected, names);
    let Some((before, after)) = expected.split_once('$') else {
        return expected == frame;
    };
    let Some(rest) = frame.strip_prefix(before) else {
        return false;
    };
    let end = after.find(|c: char| !c.is_alphanumeric());
    let name = &after[..end.unwrap_or(after.len())];
    let next = after[name.len()..].chars().next();
    let value = match next.and_then(|next| rest.find(next)) {
        Some(end) => &rest[..end],
        None => rest,
    };
    names.insert(format!("${name}"), value.to_owned());
    matches(&expected, frame, names)
}
