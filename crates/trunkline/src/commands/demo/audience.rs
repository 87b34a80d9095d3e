use super::CHANNEL;
use crate::failure::Failure;
use indicatif::ProgressBar;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use trunkline::{Connection, Pushes, Target};

/// Who listens: one by name, the others by pattern.
pub(super) const LISTENERS: usize = 3;
/// Messages of a round.
pub(super) const TICKS: u64 = 1_000;
/// Longest wait for one of them.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections that listen to the demo's channel.
pub(super) struct Audience {
    listeners: Vec<(Connection, Pushes)>,
}

/// What the channel came to.
#[derive(Debug, Default)]
pub(super) struct Ticked {
    /// Messages sent, times listeners.
    pub(super) expected: u64,
    /// Messages heard.
    pub(super) heard: u64,
    /// From the first to the last of them.
    pub(super) elapsed: Duration,
}

impl Audience {
    pub(super) async fn gather(target: &Target) -> Result<Self, Failure> {
        let mut listeners = Vec::with_capacity(LISTENERS);
        for number in 0..LISTENERS {
            let (client, pushes) = Connection::connect(target).await?;
            let params = match number {
                0 => json!({"channels": [CHANNEL]}),
                _ => json!({"patterns": ["demo.*"]}),
            };
            client.request("rpc.channel.subscribe", &params).await?;
            listeners.push((client, pushes));
        }
        Ok(Self { listeners })
    }

    /// Sends ticks, each after everybody heard the one before.
    pub(super) async fn tick(
        &mut self,
        client: &Connection,
        bar: &ProgressBar,
    ) -> Result<Ticked, Failure> {
        let begin = Instant::now();
        let mut ticked = Ticked::default();
        for number in 0..TICKS {
            let params = json!({"channel": CHANNEL, "payload": number});
            client.request("rpc.channel.publish", &params).await?;
            for (_, pushes) in &mut self.listeners {
                ticked.expected += 1;
                ticked.heard += u64::from(hear(pushes).await);
            }
            bar.inc(1);
        }
        ticked.elapsed = begin.elapsed();
        Ok(ticked)
    }
}

/// Whether a message comes.
async fn hear(pushes: &mut Pushes) -> bool {
    let heard = async {
        while let Some(push) = pushes.next().await {
            if push.method == "rpc.channel.message" {
                return true;
            }
        }
        false
    };
    timeout(PATIENCE, heard).await.unwrap_or(false)
}
