use std::time::Duration;
use trunkline_bench::{Amount, LoadPlan, PAYLOAD_BYTES_MIN, Shape};
use trunkline_model::{ByteSize, Span};

const EXAMPLES: &str = "\
Examples:
  trunkline bench calls --window 64                    as fast as it goes, for 10 s
  trunkline bench publish --connections 16 --count 1000000
  trunkline bench end-to-end --rate 5000 --duration 1m   latency at a given load
  trunkline bench fan-out --listeners 1000 --payload 1KiB

Everything is made under names of its own (bench.*) and removed at the end; Ctrl-C ends
early, with the figures so far. All that `publish` and `end-to-end` send needs room on the
server's disk until then. Client and server share a machine's cores if they are on one:
look at `generator cores`.";

/// Load a running server, and show rate and latency
#[derive(Clone, Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum BenchCommand {
    /// Calls to a worker of its own that echoes; latency until the answer
    Calls(BenchArgs),
    /// Durable publishes, one message each; latency until the confirmation
    Publish(BenchArgs),
    /// Messages from publish to confirmed ack, with one consumer; latency until delivered
    EndToEnd(BenchArgs),
    /// Channel messages to many listeners; deliveries are counted, latency until delivered
    FanOut(FanOutArgs),
}

/// How a server is loaded.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) amount: AmountArgs,
    /// Connections that send
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: u32,
}

/// The same, for a channel.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FanOutArgs {
    #[command(flatten)]
    pub(crate) amount: AmountArgs,
    /// Connections that listen
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) listeners: u32,
}

/// How much, how fast, how large.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AmountArgs {
    /// How long, after a tenth of it (at most 1 s) that isn't counted [default: 10s]
    #[arg(long, value_name = "TIME", conflicts_with = "count", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Send so many instead
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Requests in flight on each connection [default: 64 calls, 512 publishes, 100 for fan-out]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) window: Option<u32>,
    /// Requests a second, all together, instead of as fast as it goes; latency then counts from
    /// the moment at which each was due
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Size of each payload, 16 B to 16 MiB
    #[arg(long, value_name = "SIZE", default_value = "256", value_parser = payload)]
    pub(crate) payload: usize,
}

/// Longest and largest that is taken.
const DURATION_MAX: Duration = Duration::from_secs(24 * 3_600);
const PAYLOAD_BYTES_MAX: u64 = 16 << 20;
const RATE_MAX: f64 = 10_000_000.0;

fn duration(text: &str) -> Result<Duration, String> {
    let Span(time) = text.parse().map_err(|error| format!("{error}"))?;
    match time.is_zero() || time > DURATION_MAX {
        true => Err("more than nothing and up to 24h".to_owned()),
        false => Ok(time),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=RATE_MAX).contains(&rate) => Ok(rate),
        _ => Err("a number from 0.001 to 10000000".to_owned()),
    }
}

fn payload(text: &str) -> Result<usize, String> {
    let ByteSize(bytes) = text.parse().map_err(|error| format!("{error}"))?;
    match usize::try_from(bytes) {
        Ok(size) if size >= PAYLOAD_BYTES_MIN && bytes <= PAYLOAD_BYTES_MAX => Ok(size),
        _ => Err("from 16B (a payload carries the time of its sending) to 16MiB".to_owned()),
    }
}

impl BenchCommand {
    /// As it is typed, and what one of what it counts is called.
    pub(crate) fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Calls(_) => ("calls", "call"),
            Self::Publish(_) => ("publish", "message"),
            Self::EndToEnd(_) => ("end-to-end", "message"),
            Self::FanOut(_) => ("fan-out", "delivery"),
        }
    }

    /// What it means, against the server at `url`.
    pub(crate) fn plan(&self, url: String, token: Option<String>, name: String) -> LoadPlan {
        let (shape, window, amount, connections) = match self {
            Self::Calls(args) => (Shape::Calls, 64, &args.amount, args.connections),
            Self::Publish(args) => (Shape::Publish, 512, &args.amount, args.connections),
            Self::EndToEnd(args) => (Shape::EndToEnd, 512, &args.amount, args.connections),
            Self::FanOut(args) => {
                let listeners = args.listeners;
                (Shape::FanOut { listeners }, 100, &args.amount, 1)
            }
        };
        LoadPlan {
            url,
            token,
            stomp: None,
            name,
            shape,
            payload_bytes: amount.payload,
            connections,
            window: amount.window.unwrap_or(window),
            amount: match (amount.count, amount.duration) {
                (Some(count), _) => Amount::Requests(count),
                (None, time) => Amount::Time(time.unwrap_or(Duration::from_secs(10))),
            },
            rate: amount.rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_measured_is_refused() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!((rate("0.5"), payload("1KiB")), (Ok(0.5), Ok(1024)));
        for bad in ["0s", "25h", "x"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["0", "-1", "NaN", "inf", "x"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        for bad in ["15", "17MiB", "x"] {
            assert!(payload(bad).is_err(), "{bad}");
        }
    }
}
