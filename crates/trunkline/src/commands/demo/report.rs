use super::{
    TOPIC,
    audience::{self, Ticked},
    caller::Called,
    cast::Audited,
    publisher::Published,
};
use crate::{
    commands::publish::Chunk, failure::Failure, latency::Latency, output::Output, progress, text,
};
use indicatif::{MultiProgress, ProgressBar};
use serde_json::{Value, json};
use std::time::Duration;
use trunkline::Connection;

/// A bar for each thing that goes on; shown on a terminal only.
pub(super) struct Bars {
    all: MultiProgress,
    pub(super) published: ProgressBar,
    pub(super) consumed: ProgressBar,
    pub(super) called: ProgressBar,
    pub(super) ticked: ProgressBar,
}

impl Bars {
    pub(super) fn show(messages: u64, calls: u64) -> Self {
        let all = MultiProgress::new();
        let style =
            progress::style("{prefix:10} {wide_bar} {human_pos:>9} of {human_len:9} {rate:>11}");
        let bar = |name: &'static str, length| {
            let bar = ProgressBar::new(length)
                .with_style(style.clone())
                .with_prefix(name);
            all.add(bar)
        };
        Self {
            published: bar("confirmed", messages),
            consumed: bar("consumed", messages),
            called: bar("calls", calls),
            ticked: bar("ticks", audience::TICKS),
            all,
        }
    }
}

/// However a round ends, it leaves no half bars behind.
impl Drop for Bars {
    fn drop(&mut self) {
        for bar in [&self.published, &self.consumed, &self.called, &self.ticked] {
            bar.finish_and_clear();
        }
        // Only decoration: without a terminal there is nothing to clear.
        let _ = self.all.clear();
    }
}

/// What a round came to.
pub(super) struct Round {
    pub(super) messages: u64,
    pub(super) calls: u64,
    pub(super) published: Published,
    pub(super) audited: Audited,
    pub(super) called: Called,
    pub(super) ticked: Ticked,
    pub(super) elapsed: Duration,
}

impl Round {
    pub(super) fn show(&self, output: Output, number: u64) -> Result<(), Failure> {
        if output.json {
            return Ok(output.object(&self.object(number))?);
        }
        let (published, called) = (&self.published, &self.called);
        let row = |what: &str, wanted, right, elapsed, latency: Option<&Latency>| {
            let at = |part| latency.map(|latency| text::time(latency.quantile(part)));
            vec![
                what.to_owned(),
                text::count(wanted),
                text::count(right),
                text::rate(right, elapsed),
                at(0.5).unwrap_or_default(),
                at(0.99).unwrap_or_default(),
            ]
        };
        let rows = vec![
            row(
                "published, durable",
                self.messages,
                published.confirmed,
                published.elapsed,
                Some(&published.latency),
            ),
            row(
                "consumed, in order",
                self.messages,
                self.audited.right,
                self.audited.elapsed,
                None,
            ),
            row(
                "calls answered",
                self.calls,
                called.right,
                called.elapsed,
                Some(&called.latency),
            ),
            row(
                &format!("channel, {} listeners", audience::LISTENERS),
                self.ticked.expected,
                self.ticked.heard,
                self.ticked.elapsed,
                None,
            ),
        ];
        output.line("")?;
        let round = format!("ROUND {number}");
        Ok(output.table(
            &[&round, ">EXPECTED", ">RIGHT", ">RATE", ">P50", ">P99"],
            rows,
        )?)
    }

    fn object(&self, number: u64) -> Value {
        json!({
            "round": number, "messages": self.messages, "confirmed": self.published.confirmed,
            "consumed": self.audited.right, "calls": self.calls, "answered": self.called.right,
            "ticks": self.ticked.expected, "heard": self.ticked.heard,
            "elapsed_ms": self.elapsed.as_secs_f64() * 1e3,
            "publish_us": self.published.latency.object(),
            "call_us": self.called.latency.object(),
        })
    }

    /// Nothing lost, nothing twice, nothing wrong, nothing left.
    pub(super) async fn check(&self, client: &Connection) -> Result<(), Failure> {
        if let Some(wrong) = &self.audited.wrong {
            return Err(Failure::failed(format!(
                "another line than published came: {wrong}"
            )));
        }
        for (what, wanted, right) in [
            (
                "messages confirmed",
                self.messages,
                self.published.confirmed,
            ),
            ("messages consumed", self.messages, self.audited.right),
            ("calls answered right", self.calls, self.called.right),
            (
                "channel messages heard",
                self.ticked.expected,
                self.ticked.heard,
            ),
        ] {
            if wanted != right {
                return Err(Failure::failed(format!("{what}: {right} of {wanted}")));
            }
        }
        settled(client).await?;
        eprintln!("\nEvery count agrees: nothing was lost, nothing came twice, all in order.");
        eprintln!(
            "(P50 and P99: from a request to its answer; a publishing one has up to {} messages.)",
            Chunk::MESSAGES_MAX
        );
        Ok(())
    }
}

/// The last acks are on their way when the last line is printed: until they are there,
/// messages are left.
async fn settled(client: &Connection) -> Result<(), Failure> {
    const TRIES: u32 = 500;
    for _ in 0..TRIES {
        let topic: Value = client
            .ask("rpc.topic.inspect", &json!({"topic": TOPIC}))
            .await?;
        if topic["messages"] == json!(0) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(Failure::failed("acknowledged messages are still stored"))
}
