//! What a real server says of itself.

use super::super::{Failure, Fsync, Persistence, Refusal};
use super::{deployment, soon};
use trunkline_test_servers::Redis;

#[tokio::test]
async fn a_server_says_what_it_is_and_how_it_keeps_data() {
    for (options, persistence, warnings) in [
        (&[][..], Persistence::Off, 1),
        (&["--save", "60", "1"], Persistence::Snapshots, 1),
        (
            &["--appendonly", "yes"],
            Persistence::Log(Fsync::EverySecond),
            0,
        ),
        (
            &["--appendonly", "yes", "--appendfsync", "always"],
            Persistence::Log(Fsync::Always),
            0,
        ),
    ] {
        let Some(server) = Redis::start_with(options) else {
            return;
        };
        let newer = deployment(&format!("{}?protocol=resp3", server.url()));
        let newer = soon(newer.features()).await.expect("it answers");
        let redis = deployment(&server.url());
        let features = soon(redis.features()).await.expect("it answers");
        assert_eq!(features, newer, "in both protocols");
        assert_eq!(features.persistence, persistence, "{options:?}");
        assert_eq!((features.master, features.replicas), (Some(true), Some(0)));
        assert_eq!(features.unknown, Vec::<&str>::new(), "{options:?}");
        let said = features.warnings(redis.url());
        assert_eq!(said.len(), warnings, "{said:?}");
    }
}

#[tokio::test]
async fn what_a_server_refuses_to_say_is_unknown_and_a_wrong_login_is_an_error() {
    let Some(server) = Redis::start() else { return };
    let redis = deployment(&server.url());
    let rules = [
        "ACL", "SETUSER", "few", "on", ">pass", "~*", "+get", "+info",
    ];
    let () = redis.say(&rules).await.expect("the user is made");
    let address = server.address();
    let few = deployment(&format!("redis://few:pass@{address}"));
    let features = soon(few.features())
        .await
        .expect("what is refused is no error");
    assert_eq!(features.persistence, Persistence::Unknown);
    assert!(features.redis.is_some());
    assert!(!features.notes(few.url()).is_empty());
    let stranger = deployment(&format!("redis://few:wrong@{address}"));
    let failure: Failure = soon(stranger.features())
        .await
        .expect_err("it isn't let in");
    assert_eq!(failure.refusal(), Some(Refusal::Auth), "{failure}");
}

#[tokio::test]
async fn a_write_that_too_few_replicas_have_says_so_and_is_there() {
    let Some(server) = Redis::start() else { return };
    let url = format!("{}?wait=1&wait_timeout=100us", server.url());
    let redis = deployment(&url);
    let push = super::pipeline(&[&["RPUSH", "a", "1"]]);
    for round in 1..3 {
        let failure = soon(redis.confirm::<(u64,)>(b"a", &push)).await;
        let failure = failure.expect_err("there is no replica");
        assert!(
            failure.to_string().contains("only 0 of 1 replicas have it"),
            "{failure}"
        );
        assert!(!failure.is_undone());
        let length: u64 = redis.say(&["LLEN", "a"]).await.expect("it is read");
        assert_eq!(length, round, "it is stored");
    }
    let address = server.address();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &address.port().to_string()]);
    let replica = replica.expect("there is one server already");
    let patient = deployment(&format!("{}?wait=1&wait_timeout=60s", server.url()));
    let done: (u64,) = soon(patient.confirm(b"a", &push)).await.expect("it has it");
    assert_eq!(done, (3,));
    let copied = deployment(&replica.url());
    let length: u64 = copied.say(&["LLEN", "a"]).await.expect("it is read");
    assert_eq!(length, 3, "confirmed means that the replica has it");
}
