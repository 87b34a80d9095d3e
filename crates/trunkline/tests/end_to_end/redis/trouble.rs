//! A Redis that is not there, is somebody else's, or goes away.

use super::{Old, old, said};
use crate::setup::{Ran, Running, run, text, trunkline};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use trunkline_test_servers::{Redis, ports};

const CALLS: &str = "{categories: {old: {wire: consumer-groups, methods: [echo], timeout: 5s}}, \
                     wires: {consumer_groups: {url: 'REDIS'}}}";
const ECHO: [&str; 6] = ["--handler", "h", "--method", "echo", "--", "cat"];
/// Longest time in which a start that can't succeed ends; 5 s are for Redis to answer.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

#[track_caller]
fn worker_on(url: &str, more: &[&str]) -> Ran {
    let begun = Instant::now();
    let args = ["worker", "--engine", url];
    let ran = run(trunkline(&[&args[..], more, &ECHO].concat()), b"");
    assert!(begun.elapsed() < ENDS_WITHIN, "{ran:?}");
    ran
}

#[test]
fn a_worker_says_what_is_wrong_with_its_redis() {
    let [port] = ports();
    let nobody = format!("redis://me:secret@127.0.0.1:{port}");
    for wire in ["consumer-groups", "rpcprocessor"] {
        let ran = worker_on(&nobody, &["--wire", wire]);
        assert!(!ran.err.contains("secret"), "{ran:?}");
        let address = format!("127.0.0.1:{port}");
        ran.fails(3, &address);
    }
    worker_on("memory:", &[]).fails(2, "is no Redis");
    worker_on("redis://a?colour=red", &[]).fails(2, "colour");

    let Some(redis) = Redis::start_with(&["--requirepass", "secret"]) else {
        return;
    };
    let wrong = redis.url().replace("redis://", "redis://:wrong@");
    let ran = worker_on(&wrong, &["--wire", "consumer-groups"]);
    assert!(!ran.err.contains("wrong@"), "{ran:?}");
    ran.fails(3, "look at user and password");
    worker_on(&redis.url(), &["--wire", "rpcprocessor"]).fails(3, "password");
}

#[test]
fn options_of_a_worker_without_a_server_need_one() {
    for args in [
        &["--wire", "rpcprocessor"][..],
        &["--by-method"],
        &["--consumer-host", "h"],
        &["--call-timeout", "5m"],
    ] {
        let ran = run(trunkline(&[&["worker"], args, &ECHO].concat()), b"");
        ran.fails(2, "--engine");
    }
}

/// A call, with what the time is that it takes at most.
#[track_caller]
fn call_fails(on: &Old, server: &crate::setup::Server) {
    let begun = Instant::now();
    let failed = server.run(&["--json", "call", "echo", "[1]", "--timeout", "2s"]);
    assert!(matches!(failed.code, Some(1 | 4)), "{failed:?}");
    // A refusal names Redis; a time-out has its code.
    let says = failed.err.contains("Redis") || failed.err.contains("-32001");
    assert!(says, "{failed:?}");
    assert!(!failed.err.contains(&on.redis.url()), "{failed:?}");
    assert!(begun.elapsed() < ENDS_WITHIN);
}

#[test]
fn a_gateway_outlives_the_redis_of_its_old_workers() {
    let Some(mut on) = old() else { return };
    let server = on.gateway(CALLS);
    on.redis.kill();
    // Topics and its own calls don't need it.
    server.run(&["publish", "orders", "a book"]).ok();
    call_fails(&on, &server);
    let away = "\"warning\":\"calls over consumer-groups (category old): ";
    let ready = || super::get(server.address(), "/readyz").unwrap_or_default();
    super::until("the warning", || ready().contains(away));
    assert!(ready().contains(" 200 "), "{}", ready());

    on.redis.restart();
    super::until("the end of the warning", || {
        ready().ends_with(r#"{"status":"ready"}"#)
    });
    let mut worker = on.worker(&[&["--wire", "consumer-groups"][..], &ECHO].concat());
    super::until("the wire", || {
        server.run(&["call", "echo", "[1]", "--timeout", "5s"]).code == Some(0)
    });

    // Killed while a call runs: that ends in time, and so do the next ones.
    let mut call = {
        let slow = server.command(&["call", "echo", "[2]", "--timeout", "2s"]);
        on.redis.pause();
        Running::start(slow)
    };
    on.redis.kill();
    let (_, status) = call.finish();
    assert!(matches!(status.code(), Some(1 | 4)), "{status}");
    call_fails(&on, &server);
    on.redis.restart();
    super::until("the wire, again", || {
        server.run(&["call", "echo", "[3]", "--timeout", "5s"]).code == Some(0)
    });
    worker.signal(Signal::TERM);
    assert!(worker.wait().success());
    assert!(server.stop().success());
}

/// A start with a wire whose Redis can't be used.
#[track_caller]
fn start_with(on: &Old, url: &str, calls: &str) -> Ran {
    let begun = Instant::now();
    let config = on.dir.path().join("trunkline.yaml");
    let yaml = format!("version: 1\ncalls: {calls}\n").replace("REDIS", url);
    std::fs::write(&config, yaml).unwrap();
    let args = ["serve", "--http", "127.0.0.1:0", "--engine", "memory:"];
    let ran = run(
        trunkline(&[&args[..], &["--config", text(&config)]].concat()),
        b"",
    );
    assert!(begun.elapsed() < ENDS_WITHIN, "{ran:?}");
    assert!(!ran.err.contains("secret"), "{ran:?}");
    ran
}

#[test]
fn a_server_says_what_is_wrong_with_the_redis_of_a_wire() {
    let Some(on) = old() else { return };
    let lists = "{categories: {older: {wire: rpcprocessor}}, \
                 wires: {rpcprocessor: {url: 'REDIS', handlers: {H: [echo]}}}}";
    let [port] = ports();
    let nobody = format!("redis://me:secret@127.0.0.1:{port}");
    for (calls, wire) in [
        (CALLS, "consumer-groups (category old)"),
        (lists, "rpcprocessor (category older)"),
    ] {
        let ran = start_with(&on, &nobody, calls);
        assert!(ran.err.contains("--wait"), "{ran:?}");
        let place = format!("can't use redis://127.0.0.1:{port} for the wire {wire}");
        ran.fails(3, &place);
        let wrong = on.redis.url().replace("redis://", "redis://nobody:secret@");
        start_with(&on, &wrong, calls).fails(3, "look at user and password");
    }
    // Users that may do all but one thing each. Servers before version 7 tell when it is done.
    let mut hand = on.hand();
    let about: String = hand.run(&["INFO", "server"]);
    if about.contains("redis_version:6.") {
        return;
    }
    for (user, rules, calls, lacks) in [
        ("a", "~* &* +@all -xadd", CALLS, "XADD on general"),
        ("b", "~other &* +@all", CALLS, "XADD on general"),
        ("c", "~* &other +@all", CALLS, "SUBSCRIBE on"),
        ("d", "~* +@all -brpop", lists, "BRPOP on"),
        (
            "e",
            "~rpcs.* ~{rpcs.* ~????????-* +@all",
            lists,
            "LPUSH on H",
        ),
    ] {
        let mut words = vec!["ACL", "SETUSER", user, "on", ">secret", "resetchannels"];
        words.extend(rules.split(' '));
        let () = hand.run(&words);
        let url = on
            .redis
            .url()
            .replace("redis://", &format!("redis://{user}:secret@"));
        let ran = start_with(&on, &url, calls);
        assert!(ran.err.contains("ACL SETUSER"), "{ran:?}");
        ran.fails(3, lacks);
    }
    // Nothing was done to find that out.
    let keys: usize = hand.run(&["DBSIZE"]);
    assert_eq!(keys, 0);
}

#[test]
fn a_server_waits_for_the_redis_of_a_wire_if_told() {
    let Some(mut on) = old() else { return };
    on.redis.kill();
    let config = on.dir.path().join("trunkline.yaml");
    let yaml = format!("version: 1\ncalls: {CALLS}\n").replace("REDIS", &on.redis.url());
    std::fs::write(&config, yaml).unwrap();
    let [http] = ports();
    let address = format!("127.0.0.1:{http}");
    let args = ["serve", "--http", &address, "--engine", "memory:", "--wait"];
    let start = [&args[..], &["--config", text(&config)]].concat();
    let mut server = Running::start(trunkline(&start));
    server.says("calls over consumer-groups (category old) wait for their Redis");
    let said = super::get(&address, "/readyz").unwrap();
    assert!(
        said.contains("503") && said.contains("waiting for Redis"),
        "{said}"
    );
    on.redis.restart();
    super::until("the server", || {
        super::get(&address, "/readyz").is_some_and(|said| said.contains(" 200 "))
    });
    server.signal(Signal::TERM);
    assert!(server.wait().success());
}

#[test]
fn a_worker_ends_while_its_redis_is_gone() {
    let Some(mut on) = old() else { return };
    let mut worker = on.worker(&[&["--wire", "rpcprocessor"][..], &ECHO].concat());
    on.redis.kill();
    worker.signal(Signal::TERM);
    worker.says("answered 0 calls");
    assert_eq!(said(worker), "");
}

#[test]
fn a_server_says_what_is_wrong_with_its_redis() {
    let [port] = ports();
    let serve = |url: &str| {
        let begun = Instant::now();
        let args = ["serve", "--http", "127.0.0.1:0", "--engine", url];
        let ran = run(trunkline(&args), b"");
        assert!(begun.elapsed() < ENDS_WITHIN, "{ran:?}");
        assert!(!ran.err.contains("secret"), "{ran:?}");
        ran
    };
    let address = format!("127.0.0.1:{port}");
    let nobody = serve(&format!("redis://me:secret@{address}"));
    assert!(nobody.err.contains("--wait"), "{nobody:?}");
    nobody.fails(3, &format!("can't reach Redis at {address}"));
    serve("redis://127.0.0.1:1/x").fails(2, "database");
    let Some(redis) = Redis::start_with(&["--requirepass", "right"]) else {
        return;
    };
    let wrong = redis.url().replace("redis://", "redis://:secret@");
    serve(&wrong).fails(3, "look at user and password");
    let with_data = ["serve", "--engine", "redis://a", "--data", "b"];
    run(trunkline(&with_data), b"").fails(2, "--data");
}

/// It listens, and says what it is waiting for.
#[test]
fn a_server_waits_for_its_redis_if_told() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    redis.kill();
    let [http] = ports();
    let (address, url) = (format!("127.0.0.1:{http}"), redis.url());
    let args = ["--json", "serve", "--http", &address, "--engine", &url];
    let mut server = Running::start(trunkline(&[&args[..], &["--wait"]].concat()));
    let mut said = String::new();
    super::until("an answer of the server", || {
        let answer = super::get(&address, "/readyz");
        said = answer.unwrap_or_default();
        !said.is_empty()
    });
    assert!(
        said.contains("503") && said.contains("waiting for Redis"),
        "{said}"
    );
    redis.restart();
    super::until("the server", || {
        super::get(&address, "/readyz").is_some_and(|said| said.contains(" 200 "))
    });
    server.signal(Signal::TERM);
    assert!(server.wait().success());

    // A signal ends the waiting, too.
    redis.kill();
    let mut server = Running::start(trunkline(&[&args[..], &["--wait"]].concat()));
    super::until("an answer of the server", || {
        super::get(&address, "/readyz").is_some()
    });
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(1));
}
