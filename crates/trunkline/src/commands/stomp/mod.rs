//! `publish` and `consume` over STOMP: against a Trunkline server or any other one.

mod bench;
mod connect;
mod consume;
mod publish;
mod shown;

pub(super) use bench::bench;
pub(super) use consume::consume;
pub(super) use publish::publish;

use super::again;
use trunkline_stomp::{ClientError, Destination, ErrorCode};

/// The header in which a Trunkline server numbers its errors.
const CODE: &str = "trunkline-code";
/// The subscription behind `/queue/TOPIC`.
const QUEUE: &str = "queue";

/// Whether another connection can help.
fn passes(error: &ClientError) -> bool {
    match error.code {
        ErrorCode::CantConnect
        | ErrorCode::Io
        | ErrorCode::ClosedByRemoteHost
        | ErrorCode::ReadTimedOut => true,
        ErrorCode::Operation => {
            let code = error.frame.as_ref().and_then(|frame| frame.get(CODE));
            let code = code.and_then(|code| code.parse().ok());
            code.is_some_and(again::is_passing)
        }
        ErrorCode::ClosedByClient | ErrorCode::UnexpectedData => false,
    }
}

/// What begins with `/` is a destination of any server.
fn is_destination(topic: &str) -> bool {
    topic.starts_with('/')
}

/// Where messages for a topic go.
fn of_topic(topic: &str) -> Result<String, String> {
    if is_destination(topic) {
        return Ok(topic.to_owned());
    }
    let topic = topic
        .parse()
        .map_err(|error| format!("topic {topic:?}: {error}"))?;
    Ok(Destination::Queue(topic).to_string())
}

/// Where messages of a subscription come from.
fn of_subscription(topic: &str, name: &str) -> Result<String, String> {
    if is_destination(topic) || name == QUEUE {
        return of_topic(topic);
    }
    let topic = topic
        .parse()
        .map_err(|error| format!("topic {topic:?}: {error}"))?;
    let name = name
        .parse()
        .map_err(|error| format!("subscription {name:?}: {error}"))?;
    Ok(Destination::Subscription { topic, name }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_destinations() {
        assert_eq!(of_topic("orders").unwrap(), "/queue/orders");
        assert_eq!(of_topic("100%2F").unwrap(), "/queue/100%252F");
        assert_eq!(of_topic("/exchange/a/b").unwrap(), "/exchange/a/b");
        assert!(of_topic("a/b").is_err());
        assert_eq!(of_subscription("orders", "queue").unwrap(), "/queue/orders");
        assert_eq!(
            of_subscription("orders", "mail").unwrap(),
            "/subscription/orders/mail"
        );
        assert_eq!(of_subscription("/topic/a", "mail").unwrap(), "/topic/a");
        assert!(of_subscription("orders", "a b").is_err());
    }
}
