//! A server inside a program that answers calls itself, without a connection in between.

use trunkline::{Failure, Handler, HandlerContext, Server};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("usage: handler ADDRESS")?;
    let math = Handler::new("math").concurrency(8).method("sum", sum);
    let server = Server::builder().memory().listen(&address).handler(math);
    let server = server.start().await?;
    println!("{}", server.url());
    server.run(tokio::signal::ctrl_c()).await;
    Ok(())
}

async fn sum(numbers: Vec<i64>, _: HandlerContext) -> Result<i64, Failure> {
    let sum = numbers.iter().try_fold(0i64, |sum, n| sum.checked_add(*n));
    sum.ok_or_else(|| Failure::new(1, "too large"))
}
