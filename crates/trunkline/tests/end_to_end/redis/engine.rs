//! Servers whose topics, channels and calls are on one Redis.

use super::{get, old, until};
use crate::setup::{Running, Server};
use rustix::process::Signal;

const ECHO: [&str; 7] = ["worker", "--handler", "h", "--method", "echo", "--", "cat"];

fn server(url: &str) -> Server {
    Server::start(&["--http", "127.0.0.1:0", "--engine", url])
}

#[test]
fn two_servers_are_one() {
    let Some(on) = old() else { return };
    let servers = [(); 2].map(|()| server(&on.redis.url()));
    let [one, other] = &servers;
    assert_eq!(one.ready["engine"], on.redis.url().trim_end_matches('/'));
    assert!(one.ready["recovery"].is_null());
    let info = one.run(&["info"]).ok();
    assert!(
        info.contains(on.redis.url().trim_end_matches('/')),
        "{info}"
    );
    let info = other.run(&["--json", "info"]).objects();
    assert_eq!(info[0]["capabilities"]["shared"], true);

    let topic = ["topic", "add", "orders", "--option", "priorities=3"];
    one.run(&topic).ok();
    let subscription = ["subscription", "add", "orders", "billing", "--from", "all"];
    other.run(&subscription).ok();
    one.run(&["publish", "orders", "a book", "--priority", "2"])
        .ok();
    one.run(&["publish", "orders", "a lamp", "--priority", "0"])
        .ok();
    let consume = [
        "consume",
        "orders",
        "--subscription",
        "billing",
        "--count",
        "2",
    ];
    assert_eq!(other.run(&consume).ok(), "a lamp\na book\n");

    // A worker of one, asked at the other; and one of neither.
    let mut worker = Running::start(one.command(&ECHO));
    worker.says("ready");
    until("its announcement", || {
        other.run(&["call", "echo", "[1]"]).code == Some(0)
    });
    worker.signal(Signal::TERM);
    assert!(worker.wait().success());
    let mut worker = on.worker(&ECHO[1..]);
    for server in &servers {
        until("the worker without a server", || {
            server.run(&["call", "echo", "[2]"]).code == Some(0)
        });
    }
    worker.signal(Signal::TERM);
    worker.says("answered");
    assert!(worker.wait().success());
    for server in servers {
        assert!(server.stop().success());
    }
}

#[test]
fn readiness_tells_that_redis_is_gone_and_back() {
    let Some(mut on) = old() else { return };
    let server = server(&on.redis.url());
    let ready = |status: &str| {
        let answer = get(server.address(), "/readyz");
        answer.is_some_and(|answer| answer.contains(status))
    };
    until("readiness", || ready(" 200 "));
    on.redis.kill();
    until("the end of it", || ready(" 503 "));
    let begun = std::time::Instant::now();
    server
        .run(&["publish", "orders", "a book"])
        .fails(1, "Redis");
    assert!(begun.elapsed() < std::time::Duration::from_secs(30));
    on.redis.restart();
    until("readiness again", || ready(" 200 "));
    server.run(&["publish", "orders", "a book"]).ok();
    assert!(server.stop().success());
}
