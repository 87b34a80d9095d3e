//! A worker: a method that anybody can call, over the network.

use trunkline::{Client, RpcError, WorkContext};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: worker URL")?;
    let client = Client::connect(&url).await?;
    let math = client.worker("math").concurrency(8).method("sum", sum);
    let worker = math.start().await?;
    worker.run_until(tokio::signal::ctrl_c()).await?;
    Ok(client.close().await?)
}

async fn sum(numbers: Vec<i64>, _: WorkContext) -> Result<i64, RpcError> {
    let sum = numbers.iter().try_fold(0i64, |sum, n| sum.checked_add(*n));
    sum.ok_or_else(|| RpcError::new(1, "too large"))
}
