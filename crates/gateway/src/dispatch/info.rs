//! `rpc.info` and `rpc.discover`.

use super::{Connection, Step, params::Params, waiting::Ask};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use std::collections::{BTreeMap, BTreeSet};
use trunkline_auth::{Action, Resource};
use trunkline_jsonrpc::openrpc::{Content, Document, Info, Method, ParamStructure, Tag};
use trunkline_model::{
    Capabilities, Durability, Error, HandlerInfo, HandlerStats, MethodSpec, limits,
};
use trunkline_rpc::{CallCounters, Calls, WireStats};

/// The version of the protocol that is spoken here.
const PROTOCOL: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Serialize)]
struct InfoView<'a> {
    version: &'a str,
    protocol: u32,
    engine: &'a str,
    /// The strongest class, and so the default.
    durability: Option<Durability>,
    capabilities: &'a Capabilities,
    limits: LimitsView,
    calls: CallsView,
}

/// What calls came to since the start of this server.
#[derive(Serialize)]
struct CallsView {
    outstanding: usize,
    #[serde(flatten)]
    counters: CallCounters,
    /// The wires besides the engine's own, by name.
    wires: BTreeMap<CompactString, WireView>,
}

#[derive(Serialize)]
struct WireView {
    counters: BTreeMap<&'static str, u64>,
    /// Calls that were asked for here, by the queue in which they waited.
    queues: BTreeMap<CompactString, QueueView>,
}

#[derive(Serialize)]
struct QueueView {
    /// In percent of those that have ended.
    success_rate: Option<f64>,
    #[serde(flatten)]
    stats: HandlerStats,
}

impl CallsView {
    fn of(calls: &Calls) -> Self {
        let queue = |(name, stats): (CompactString, HandlerStats)| {
            let success_rate = stats.success_rate();
            (
                name,
                QueueView {
                    success_rate,
                    stats,
                },
            )
        };
        let wire = |wire: WireStats| WireView {
            counters: wire.counters.into_iter().collect(),
            queues: wire.queues.into_iter().map(queue).collect(),
        };
        let wires = calls.wires().into_iter();
        Self {
            outstanding: calls.outstanding(),
            counters: calls.counters(),
            wires: wires.map(|w| (w.name.clone(), wire(w))).collect(),
        }
    }
}

#[derive(Serialize)]
struct LimitsView {
    max_message_bytes: u64,
    max_payload_bytes: usize,
    max_batch: usize,
    max_in_flight: usize,
    max_consumers: usize,
    max_workers: usize,
    max_listening: usize,
    max_credit: u32,
    max_name_bytes: usize,
    max_channel_bytes: usize,
    max_headers: usize,
    max_key_bytes: usize,
}

pub(crate) fn info(
    connection: &mut Connection,
    params: Params<'_>,
    _: Ask<'_>,
) -> Result<Step, Error> {
    let Nothing {} = params.read()?;
    connection.allow(Action::Inspect, Resource::Server)?;
    let services = &connection.shared.services;
    let capabilities = services.engine.capabilities().borrow().clone();
    let bounds = &connection.shared.config.limits;
    let view = InfoView {
        version: services.version,
        protocol: PROTOCOL,
        engine: &services.engine_url,
        durability: capabilities.durability.last().copied(),
        capabilities: &capabilities,
        limits: LimitsView {
            max_message_bytes: bounds.max_message_bytes.0,
            max_payload_bytes: limits::PAYLOAD_BYTES_MAX,
            max_batch: bounds.max_batch,
            max_in_flight: bounds.max_in_flight,
            max_consumers: bounds.max_consumers,
            max_workers: bounds.max_workers,
            max_listening: bounds.max_listening,
            max_credit: limits::CREDIT_MAX,
            max_name_bytes: limits::NAME_BYTES_MAX,
            max_channel_bytes: limits::CHANNEL_BYTES_MAX,
            max_headers: limits::HEADERS_MAX,
            max_key_bytes: limits::KEY_BYTES_MAX,
        },
        calls: CallsView::of(&services.calls),
    };
    Ok(Step::Now(
        serde_json::to_vec(&view).expect("a description is JSON"),
    ))
}

pub(crate) fn discover(
    connection: &mut Connection,
    params: Params<'_>,
    _: Ask<'_>,
) -> Result<Step, Error> {
    let Nothing {} = params.read()?;
    connection.allow(Action::Inspect, Resource::Server)?;
    let services = &connection.shared.services;
    let document = document(&services.calls.handlers(), services.version);
    Ok(Step::Now(
        serde_json::to_vec(&document).expect("a document is JSON"),
    ))
}

/// All live handlers as one document, methods by name. A method that several processes announce
/// is there once.
fn document(handlers: &[HandlerInfo], version: &str) -> Document {
    let mut methods = BTreeMap::new();
    for handler in handlers {
        for spec in &handler.methods {
            methods
                .entry(spec.name.clone())
                .or_insert_with(|| method(handler, spec));
        }
    }
    let info = Info {
        title: "Trunkline".to_owned(),
        version: version.to_owned(),
    };
    Document::new(info, methods.into_values().collect())
}

fn method(handler: &HandlerInfo, spec: &MethodSpec) -> Method {
    let mut method = Method::new(spec.name.as_str());
    method.description.clone_from(&spec.description);
    if let Some(schema) = &spec.params_schema {
        method.params = by_name(schema).unwrap_or_default();
        if method.params.is_empty() {
            method.params = vec![Content::new("params", schema.clone())];
        } else {
            method.param_structure = Some(ParamStructure::ByName);
        }
    }
    method.result = spec
        .result_schema
        .as_ref()
        .map(|schema| Content::new("result", schema.clone()));
    method.tags.push(Tag {
        name: handler.handler.to_string(),
    });
    let extensions = [
        ("x-category", Value::from(handler.category.as_str())),
        ("x-idempotent", Value::from(spec.idempotent)),
    ];
    let wire = handler.wire.as_deref();
    let wire = wire.map(|wire| ("x-wire", Value::from(wire)));
    let extensions = extensions.into_iter().chain(wire);
    method
        .extensions
        .extend(extensions.map(|(name, value)| (name.to_owned(), value)));
    method
}

/// The properties of an object's schema as params by name; `None` if it has none.
fn by_name(schema: &RawValue) -> Option<Vec<Content>> {
    #[derive(Deserialize)]
    struct Object {
        properties: BTreeMap<String, Box<RawValue>>,
        #[serde(default)]
        required: BTreeSet<String>,
    }
    let object: Object = serde_json::from_str(schema.get()).ok()?;
    let required = object.required;
    let contents = object.properties.into_iter().map(|(name, schema)| Content {
        required: required.contains(&name),
        ..Content::new(name, schema)
    });
    Some(contents.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::to_raw_value;
    use trunkline_model::{HandlerName, HandlerStats};

    fn raw(text: &str) -> Box<RawValue> {
        to_raw_value(&serde_json::from_str::<Value>(text).unwrap()).unwrap()
    }

    #[test]
    fn a_method_shows_what_its_handler_told() {
        let spec = MethodSpec {
            name: "add".into(),
            description: Some("Adds.".into()),
            params_schema: Some(raw(
                r#"{"type":"object","properties":{"a":{"type":"integer"},"b":true},"required":["a"]}"#,
            )),
            result_schema: Some(raw("true")),
            idempotent: true,
        };
        let handler = HandlerInfo {
            handler: HandlerName::new("math").unwrap(),
            announcer: "x".into(),
            methods: vec![spec],
            category: "general".into(),
            description: None,
            kind: None,
            wire: None,
            workers: 1,
            concurrency: 1,
            stats: HandlerStats::default(),
        };
        let document = document(&[handler.clone(), handler], "1");
        let text = serde_json::to_string(&document.methods).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"[{"name":"add","description":"Adds.","paramStructure":"by-name","params":["#,
                r#"{"name":"a","required":true,"schema":{"type":"integer"}},{"name":"b","schema":true}],"#,
                r#""result":{"name":"result","schema":true},"tags":[{"name":"math"}],"#,
                r#""x-category":"general","x-idempotent":true}]"#
            )
        );
    }
}
