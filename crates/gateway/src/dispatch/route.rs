//! Which verb a method name means.

use super::{
    Connection, Step, call, channel, consumer, info, manage, params::Params, publish, topic,
    waiting::Ask, worker,
};
use trunkline_jsonrpc::nearest;
use trunkline_model::{Error, ErrorCode, Protocol};

type Run = for<'a> fn(&mut Connection, Params<'a>, Ask<'a>) -> Result<Step, Error>;

struct Verb {
    name: &'static str,
    run: Run,
    /// Sends frames by itself, and so needs a connection that stays.
    pushes: bool,
    /// Goes on with others of the frames that were read together.
    gathers: bool,
}

const fn answers(name: &'static str, run: Run) -> Verb {
    Verb {
        name,
        run,
        pushes: false,
        gathers: false,
    }
}

const fn gathers(name: &'static str, run: Run) -> Verb {
    Verb {
        name,
        run,
        pushes: false,
        gathers: true,
    }
}

const fn pushes(name: &'static str, run: Run) -> Verb {
    Verb {
        name,
        run,
        pushes: true,
        gathers: false,
    }
}

/// The methods of Trunkline itself (PROTOCOL.md §1), by name.
const VERBS: [Verb; 27] = [
    gathers("rpc.call", call::with_options),
    answers("rpc.cancel", call::cancel),
    answers("rpc.channel.publish", channel::publish),
    pushes("rpc.channel.subscribe", channel::subscribe),
    pushes("rpc.channel.unsubscribe", channel::unsubscribe),
    answers("rpc.discover", info::discover),
    answers("rpc.info", info::info),
    answers("rpc.progress", call::progress),
    gathers("rpc.topic.ack", publish::ack),
    answers("rpc.topic.alter", manage::alter),
    answers("rpc.topic.cancel", consumer::cancel),
    pushes("rpc.topic.consume", consumer::consume),
    answers("rpc.topic.credit", consumer::change_credit),
    answers("rpc.topic.declare", topic::declare),
    answers("rpc.topic.delete", topic::delete),
    gathers("rpc.topic.extend", publish::extend),
    answers("rpc.topic.inspect", topic::inspect),
    answers("rpc.topic.list", topic::list),
    gathers("rpc.topic.nack", publish::nack),
    answers("rpc.topic.peek", topic::peek),
    gathers("rpc.topic.publish", publish::publish),
    answers("rpc.topic.purge", topic::purge),
    answers("rpc.topic.redrive", manage::redrive),
    answers("rpc.topic.subscribe", topic::subscribe),
    answers("rpc.topic.unsubscribe", topic::unsubscribe),
    pushes("rpc.worker.drain", worker::drain),
    pushes("rpc.worker.register", worker::register),
];

/// Runs a request.
pub(crate) fn run(
    connection: &mut Connection,
    method: &str,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    if !method.starts_with("rpc.") {
        return call::plain(connection, method, params, ask);
    }
    let verb = VERBS
        .binary_search_by(|verb| verb.name.cmp(method))
        .map(|index| &VERBS[index])
        .map_err(|_| unknown(method))?;
    if !verb.gathers {
        connection.submit_gathered();
    }
    if verb.pushes && connection.caller.protocol == Protocol::Http {
        let text = format!("{method} needs a WebSocket connection, POST gets answers only");
        return Err(Error::unsupported("push", text));
    }
    (verb.run)(connection, params, ask)
}

fn unknown(method: &str) -> Error {
    let names = VERBS.map(|verb| verb.name);
    let shown: String = method.chars().take(100).collect();
    let error = |hint: &str| {
        let text = format!("Trunkline has no method {shown:?}{hint}");
        Error::new(ErrorCode::MethodNotFound, text).with("method", shown.as_str())
    };
    match nearest(method, &names) {
        Some(nearest) => error(&format!("; did you mean {nearest:?}?")).with("nearest", nearest),
        None => error(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_sorted_so_that_they_are_found() {
        assert!(VERBS.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn an_unknown_method_suggests_the_nearest() {
        let error = unknown("rpc.topic.publsh");
        assert_eq!(error.code(), ErrorCode::MethodNotFound);
        assert_eq!(
            error.to_string(),
            r#"Trunkline has no method "rpc.topic.publsh"; did you mean "rpc.topic.publish"?"#
        );
        assert_eq!(
            unknown("rpc.x").to_string(),
            r#"Trunkline has no method "rpc.x""#
        );
    }
}
