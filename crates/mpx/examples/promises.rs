//! Promises on channels that begin with `p:`. Each line of input is a suffix: `+SUFFIX` promises now,
//! `*SUFFIX` as soon as that is possible; a suffix `killme` is cancelled at once. Fulfil one with
//! `redis-cli publish p:SUFFIX hello` within five seconds.
//!
//! `cargo run -p trunkline-mpx --example promises [URL]`

use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use trunkline_mpx::{Error, Multiplexer, Outcome, Promise};

const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "redis://127.0.0.1/".to_owned());
    let promises = Multiplexer::open(url)?.promises("p:")?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut running = tokio::task::JoinSet::new();
    while let Some(line) = lines.next_line().await? {
        let promise = match line.split_at_checked(1) {
            Some(("*", suffix)) => promises.wait_for_promise(suffix, TIMEOUT).await,
            Some(("+", suffix)) => promises.promise(suffix, TIMEOUT),
            _ => {
                println!("a line begins with + or *");
                continue;
            }
        };
        match promise {
            Ok(promise) => {
                if promise.channel().ends_with(b"killme") {
                    promise.cancel();
                }
                running.spawn(report(promise));
            }
            Err(error @ Error::Inactive) => println!("{error}; try * instead of +"),
            Err(error) => return Err(error.into()),
        }
    }
    running.join_all().await;
    Ok(())
}

async fn report(promise: Promise) {
    let channel = promise.channel().escape_ascii().to_string();
    match promise.await {
        Outcome::Fulfilled(message) => println!("{channel}: {}", message.escape_ascii()),
        other => println!("{channel}: {other:?}"),
    }
}
