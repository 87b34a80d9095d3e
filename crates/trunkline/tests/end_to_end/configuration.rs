//! config, and how `serve` takes its configuration.

use crate::setup::{Server, run, setup, store, text, trunkline};
use serde_json::Value;

#[test]
fn the_default_is_a_configuration() {
    let store = store();
    for (format, name) in [("yaml", "c.yaml"), ("toml", "c.toml")] {
        let printed = run(trunkline(&["config", "default", "--format", format]), b"").ok();
        let file = store.file(name, &printed);
        let checked = run(trunkline(&["config", "check", text(&file)]), b"").ok();
        assert!(checked.ends_with("fine\n"), "{checked}");
    }
}

#[test]
fn an_unknown_key_is_told_with_line_and_nearest() {
    let store = store();
    let file = store.file("c.yaml", "version: 1\nhttp:\n  lisen: 127.0.0.1:0\n");
    let says = "c.yaml:3: unknown key `lisen`; did you mean `listen`?";
    run(trunkline(&["config", "check", text(&file)]), b"").fails(2, says);
    run(trunkline(&["serve", "--config", text(&file)]), b"").fails(2, says);

    let mut command = trunkline(&["serve", "--http", "127.0.0.1:0", "--engine", "memory:"]);
    command.env("TRUNKLINE_LOG__FLITER", "info");
    run(command, b"").fails(
        2,
        "TRUNKLINE_LOG__FLITER: unknown key `fliter`; did you mean `filter`?",
    );
}

#[test]
fn what_serve_would_refuse_check_refuses() {
    let store = store();
    for (yaml, says) in [
        ("engine: {url: 'pigeons:a'}", "is no engine"),
        (
            "calls: {categories: {old: {wire: rpcprocessor}}}",
            "calls.wires.rpcprocessor.url: missing",
        ),
        ("engine: {segment_bytes: 5000}", "engine.segment_bytes: "),
        ("log: {filter: a=b=c}", "log.filter: "),
        ("http: {listen: localhost:1}", "like 127.0.0.1:7400"),
        ("stomp: {listen: none}", "like 127.0.0.1:61613, or off"),
        ("stomp: {tls: {key: k.pem}}", "stomp.tls.certificate: "),
        ("version: 2", "version: 2 is not a version"),
    ] {
        let file = store.file("c.yaml", yaml);
        let check = run(trunkline(&["config", "check", text(&file)]), b"");
        assert!(check.err.contains("c.yaml:"), "{check:?}");
        check.fails(2, says);
        run(trunkline(&["serve", "--config", text(&file)]), b"").fails(2, says);
    }
}

#[test]
fn every_key_is_documented_with_its_default() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let defaults = run(trunkline(&["--json", "config", "default"]), b"").objects();
    for (section, keys) in defaults[0].as_object().unwrap() {
        let heading = format!("## `{section}`\n");
        let (_, rest) = page.split_once(&heading).expect(section);
        let said = rest.split("\n## ").next().unwrap();
        for (key, value) in leaves(keys) {
            let value = match value.as_str() {
                Some(text) if !text.is_empty() => text.to_owned(),
                _ => value.to_string(),
            };
            let named = format!("`{key}`");
            let row = said.lines().find(|line| {
                let first = line.split('|').nth(1);
                first.is_some_and(|cell| cell.contains(&named))
            });
            let row = row.unwrap_or_else(|| panic!("{section}.{key} is not documented"));
            let default = format!("`{value}`");
            assert!(
                row.contains(&default),
                "{section}.{key} is {default}: {row}"
            );
        }
    }
}

/// The keys of a section; those of a part of it as `part.key`.
fn leaves(section: &Value) -> Vec<(String, &Value)> {
    let mut leaves = Vec::new();
    for (key, value) in section.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(part) if !part.is_empty() => {
                let inner = self::leaves(value).into_iter();
                leaves.extend(inner.map(|(inner, value)| (format!("{key}.{inner}"), value)));
            }
            _ => leaves.push((key.clone(), value)),
        }
    }
    leaves
}

#[test]
fn topics_of_the_configuration_are_there_from_the_start() {
    let store = store();
    let yaml = "engine: {url: 'memory:'}\nhttp: {listen: '127.0.0.1:0'}\n\
                topics:\n  auto_create: false\n  declare:\n    orders: {priorities: 3}\n";
    let file = store.file("c.yaml", yaml);
    let server = Server::start(&["--config", text(&file)]);
    let info = server.run(&["--json", "topic", "info", "orders"]).objects();
    assert_eq!(info[0]["options"]["priorities"], 3);
    server.run(&["publish", "others", "x"]).fails(1, "others");
}

#[test]
fn what_is_not_served_is_refused_by_name() {
    let serve = |args: &[&str]| run(trunkline(&[&["serve"], args].concat()), b"");
    serve(&["--engine", "pigeons:here"]).fails(2, "is no engine");
    serve(&["--engine", "memory:", "--http", "0.0.0.0:0"]).fails(2, "--insecure");
    let memory = ["--engine", "memory:", "--http", "127.0.0.1:0"];
    serve(&[&memory[..], &["--stomp", "0.0.0.0:0"]].concat()).fails(2, "--insecure");
    let public = ["--http", "0.0.0.0:0", "--stomp", "0.0.0.0:0", "--insecure"];
    let server = Server::start(&[&["--engine", "memory:"], &public[..]].concat());
    assert!(server.stop().success());
}

#[test]
fn an_address_in_use_is_named() {
    let server = setup();
    let address = server.address().to_owned();
    let second = ["serve", "--engine", "memory:", "--http", &address];
    run(trunkline(&second), b"").fails(1, &address);
    let stomp = server.stomp_address().to_owned();
    let second = [
        "serve",
        "--engine",
        "memory:",
        "--http",
        "127.0.0.1:0",
        "--stomp",
        &stomp,
    ];
    let says = format!(
        "{stomp} is in use by another process: stop that one, or choose another address with --stomp"
    );
    run(trunkline(&second), b"").fails(1, &says);
    let beside = [&second[1..6], &["off"]].concat();
    let beside = Server::start(&beside);
    assert!(beside.ready["stomp"].is_null());
    assert!(beside.stop().success());
}
