//! One server: it answers, refuses, hangs, dies and comes back.

use super::super::{Failure, Refusal};
use super::{command, deployment, pipeline, soon};
use std::time::{Duration, Instant};
use trunkline_test_servers::Redis;

#[tokio::test]
async fn commands_are_answered_over_tcp_and_a_socket_in_both_protocols() {
    let Some(server) = Redis::start() else { return };
    let socket = server.socket();
    for url in [
        server.url(),
        format!("{}?protocol=resp3", server.url()),
        format!("redis+unix://{}", socket.display()),
    ] {
        let redis = deployment(&url);
        let () = redis.say(&["SET", "a", "1"]).await.expect(&url);
        let read = pipeline(&[&["INCR", "a"], &["GET", "a"]]);
        let read: (i64, String) = soon(redis.run(b"a", &read)).await.expect(&url);
        assert_eq!(read, (2, "2".to_owned()), "{url}");
        let mut whole = pipeline(&[&["INCR", "a"], &["DEL", "a"]]);
        let whole: (i64, i64) = soon(redis.run(b"a", whole.atomic())).await.expect(&url);
        assert_eq!(whole, (3, 1), "{url}");
    }
}

#[tokio::test]
async fn a_database_and_a_login_are_those_of_the_url() {
    let Some(server) = Redis::start_with(&["--requirepass", "secret"]) else {
        return;
    };
    let address = server.address();
    let redis = deployment(&format!("redis://:secret@{address}/3"));
    let () = redis.say(&["SET", "a", "1"]).await.expect("it is let in");
    let other = deployment(&format!("redis://default:secret@{address}"));
    let found: Option<String> = other.say(&["GET", "a"]).await.expect("it is let in");
    assert_eq!(found, None);
    for (url, name) in [
        (format!("redis://{address}"), "no password"),
        (format!("redis://:wrong@{address}"), "a wrong one"),
        (format!("redis://:wrong@{address}?protocol=resp3"), "RESP3"),
    ] {
        let begin = Instant::now();
        let refused = deployment(&url).say::<()>(&["SET", "a", "1"]).await;
        let failure = refused.expect_err(name);
        assert_eq!(failure.refusal(), Some(Refusal::Auth), "{name}: {failure}");
        let text = failure.to_string();
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(
            !text.contains("wrong@") && !text.contains(":wrong"),
            "{text}"
        );
        assert!(
            begin.elapsed() < Duration::from_secs(4),
            "it is said at once"
        );
    }
}

#[tokio::test]
async fn what_a_server_refuses_is_told_apart() {
    let Some(server) = Redis::start() else { return };
    let redis = deployment(&server.url());
    let failure = |refused: Result<(), Failure>| refused.expect_err("it is refused");
    let no_script = redis.say(&["EVALSHA", "0000", "0"]).await;
    assert!(failure(no_script).is_no_script());
    let () = redis.say(&["SET", "text", "x"]).await.expect("it is set");
    let some = pipeline(&[&["SET", "a", "1"], &["RPUSH", "text", "y"], &["INCR", "a"]]);
    let Failure::Refused {
        refusal, partly, ..
    } = failure(soon(redis.run(b"a", &some)).await)
    else {
        panic!("it is refused");
    };
    assert_eq!((refusal, partly), (Refusal::WrongType, true));
    let mut whole = pipeline(&[&["INCR", "a"], &["NO-SUCH", "b"]]);
    let aborted = failure(soon(redis.run(b"a", whole.atomic())).await);
    assert_eq!(aborted.refusal(), Some(Refusal::Other), "{aborted}");
    assert!(aborted.to_string().contains("NO-SUCH"), "{aborted}");
    let a: i64 = redis.say(&["GET", "a"]).await.expect("it is there");
    assert_eq!(a, 2, "the pipeline was executed, the transaction not");

    let answers = soon(redis.each(b"a", &some))
        .await
        .expect("they are answered");
    let told: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.map_err(|failure| failure.refusal()))
        .collect();
    let expected = [
        Ok(redis::Value::Okay),
        Err(Some(Refusal::WrongType)),
        Ok(redis::Value::Int(2)),
    ];
    assert_eq!(told, expected);

    let () = redis
        .say(&["CONFIG", "SET", "maxmemory", "1"])
        .await
        .expect("it is set");
    let full = failure(redis.say(&["SET", "b", "1"]).await);
    assert_eq!(full.refusal(), Some(Refusal::OutOfMemory));
    assert!(
        full.is_undone() && full.to_string().contains("maxmemory"),
        "{full}"
    );
}

#[tokio::test]
async fn what_can_not_be_sent_fails_in_time_and_says_where_to() {
    let [port] = trunkline_test_servers::ports();
    let redis = deployment(&format!(
        "redis://user:secret@127.0.0.1:{port}?connect_timeout=300ms"
    ));
    let begin = Instant::now();
    let sets = (0..20).map(|_| {
        let redis = redis.clone();
        tokio::spawn(async move { redis.say::<()>(&["SET", "a", "1"]).await })
    });
    for set in sets.collect::<Vec<_>>() {
        let failure = set.await.expect("no panic").expect_err("nobody is there");
        assert!(matches!(failure, Failure::NotSent { .. }), "{failure}");
        let text = failure.to_string();
        assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?} for all at once");
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again_and_commands_wait_for_it() {
    let Some(mut restarted) =
        Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"])
    else {
        return;
    };
    let redis = deployment(&format!("{}?connect_timeout=30s", restarted.url()));
    let () = redis.say(&["SET", "a", "1"]).await.expect("it is set");
    for round in 2..5 {
        let mut server = restarted;
        // A loss that was noticed: what is sent before may have been executed.
        let killing = tokio::task::spawn_blocking(move || {
            server.kill();
            server
        });
        let mut server = killing.await.expect("it dies");
        let waiting = redis.clone();
        let waiting = tokio::spawn(async move { waiting.say::<i64>(&["INCR", "a"]).await });
        let restarting = tokio::task::spawn_blocking(move || {
            server.restart();
            server
        });
        let value = waiting.await.expect("no panic");
        assert_eq!(value.expect("it waited"), round);
        restarted = restarting.await.expect("it starts");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_and_found_again() {
    let Some(server) = Redis::start() else { return };
    let redis = deployment(&format!(
        "{}?answer_timeout=300ms&connect_timeout=500ms",
        server.url()
    ));
    let () = redis.say(&["SET", "a", "1"]).await.expect("it is set");
    server.pause();
    let begin = Instant::now();
    let failure = redis
        .say::<i64>(&["INCR", "a"])
        .await
        .expect_err("it hangs");
    assert!(matches!(failure, Failure::Unanswered { .. }), "{failure}");
    let failure = redis
        .say::<i64>(&["INCR", "a"])
        .await
        .expect_err("it hangs");
    assert!(matches!(failure, Failure::NotSent { .. }), "{failure}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    server.resume();
    let value: i64 = redis.say(&["INCR", "a"]).await.expect("it goes on");
    // The first was executed when it went on, or was not read any more.
    assert!((2..=3).contains(&value), "{value}");
}

#[tokio::test]
async fn a_command_that_blocks_may_take_any_time_as_long_as_the_server_is_there() {
    let Some(server) = Redis::start() else { return };
    let redis = deployment(&format!(
        "{}?answer_timeout=100ms&connect_timeout=500ms",
        server.url()
    ));
    let patient = redis.patient("reader".to_owned());
    let list: String = patient
        .say(&["CLIENT", "GETNAME"])
        .await
        .expect("it answers");
    assert_eq!(list, "reader");
    let begin = Instant::now();
    let nothing: Option<(String, String)> = patient
        .say(&["BLPOP", "queue", "1"])
        .await
        .expect("it is waited");
    assert_eq!(nothing, None);
    assert!(
        begin.elapsed() >= Duration::from_secs(1),
        "ten times its time"
    );

    let blocked = {
        let patient = patient.clone();
        tokio::spawn(async move {
            let pop = command(&["BLPOP", "queue", "0"]);
            patient
                .one::<Option<(String, String)>>(b"queue", &pop)
                .await
        })
    };
    server.pause();
    let failure = soon(blocked)
        .await
        .expect("no panic")
        .expect_err("it hangs");
    assert!(matches!(failure, Failure::Unanswered { .. }), "{failure}");
    server.resume();
    let () = redis
        .say(&["RPUSH", "queue", "x"])
        .await
        .expect("it goes on");
}
