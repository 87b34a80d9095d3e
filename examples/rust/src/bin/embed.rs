//! A whole server inside a program: topics on the disk, in `./trunkline-data`.

use trunkline::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: embed ADDRESS")?;
    let server = Server::builder().listen(&address).start().await?;
    println!("{}", server.url());
    server.run(tokio::signal::ctrl_c()).await;
    Ok(())
}
