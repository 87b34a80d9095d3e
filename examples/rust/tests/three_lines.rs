//! A test against a real server, in three lines.

use trunkline::TestServer;

#[tokio::test]
async fn an_order_is_stored() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestServer::start().await?;
    let client = server.client().await?;
    client.publish("orders", "a book").await?;
    assert_eq!(client.topic("orders").inspect().await?.messages, 1);
    Ok(())
}
