//! A server inside a program.

use trunkline::{
    Client, Drained, Durability, ErrorCode, Handler, Server, State, TestServer, TopicSettings,
};

#[tokio::test]
async fn what_was_stored_is_there_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("data");
    let start = || {
        Server::builder()
            .store(&store)
            .listen("127.0.0.1:0")
            .start()
    };
    let server = start().await.unwrap().spawn();
    let client = Client::connect(server.url()).await.unwrap();
    let id = client.publish("t", "x").await.unwrap();
    client.close().await.unwrap();
    let stopped = server.stop().await;
    assert!(
        stopped.closed && stopped.drained == Drained::Cleanly,
        "{stopped:?}"
    );

    let server = start().await.unwrap().spawn();
    let client = Client::connect(server.url()).await.unwrap();
    let peeked = client.topic("t").peek(&Default::default()).await.unwrap();
    assert_eq!(peeked.messages[0].id, id);
    assert_eq!(client.topics().await.unwrap().len(), 1);
}

#[tokio::test]
async fn mistakes_are_told_with_their_place() {
    for (builder, says) in [
        (
            Server::builder().listen("localhost"),
            "http.listen: \"localhost\" is not an address",
        ),
        (
            Server::builder().topic("a b", TopicSettings::default()),
            "topics.declare: a topic name must not contain ' '",
        ),
        (
            Server::builder().memory().listen("0.0.0.0:0"),
            "authenticat",
        ),
        (
            Server::builder()
                .memory()
                .listen("127.0.0.1:0")
                .handler(Handler::new("a b")),
            "the handler can't be served: a handler name must not contain ' '",
        ),
    ] {
        let error = builder.start().await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn topics_are_made_at_the_start_and_others_only_if_allowed() {
    let settings = TopicSettings {
        durability: Some(Durability::Memory),
        ..TopicSettings::default()
    };
    let builder = Server::builder()
        .topic("t", settings)
        .declared_topics_only();
    let server = TestServer::start_with(builder).await.unwrap();
    let client = server.client().await.unwrap();
    let info = client.topic("t").inspect().await.unwrap();
    assert_eq!(info.options.durability, Some(Durability::Memory));
    client.publish("t", "x").await.unwrap();
    let error = client.publish("other", "x").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NotFound), "{error}");
    assert_eq!(client.info().await.unwrap().engine, "memory:");
}

#[tokio::test]
async fn a_server_that_is_dropped_ends() {
    let server = TestServer::start().await.unwrap();
    let client = Client::builder(&server.url()).no_reconnect();
    let client = client.connect().await.unwrap();
    let url = server.url();
    drop(server);
    let mut state = client.state();
    state.wait_for(State::is_closed).await.unwrap();
    // It drains and closes what is open; then its port is free.
    while Client::connect(&url).await.is_ok() {}
}
