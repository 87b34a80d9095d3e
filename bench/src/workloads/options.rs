//! What the options of topics and messages cost.

use anyhow::Result;
use serde_json::{Value, json};

use super::consumer::JsonConsumer;
use super::consumers::{Competing, beside};
use super::{Context, end_to_end, publish};
use crate::measure::Measure;
use crate::rpc::{self, Draws};

const WINDOW: u32 = 512;

/// Of `options-priorities`.
const PRIORITIES: u32 = 10;
/// Of `options-latest`.
const HOT_KEYS: u32 = 100_000;
/// Of `options-groups`.
const GROUPS: u32 = 1_000;
/// Of `options-groups`, all of one subscription.
const GROUP_CONSUMERS: usize = 4;

/// Which option.
#[derive(Clone, Copy)]
pub(crate) enum Feature {
    /// Ten priorities, drawn for each message; its whole life.
    Priorities,
    /// `dedupe: latest`, a key drawn for each message; publishing while a consumer settles.
    Latest,
    /// Each message delayed by a tenth of a second; its whole life.
    Delay,
    /// A group drawn for each message, several consumers; its whole life.
    Groups,
}

impl Feature {
    fn name(self) -> &'static str {
        match self {
            Feature::Priorities => "priorities",
            Feature::Latest => "latest",
            Feature::Delay => "delay",
            Feature::Groups => "groups",
        }
    }

    /// What the server must say that it can do.
    fn capability(self) -> Option<&'static str> {
        match self {
            Feature::Priorities => None,
            Feature::Latest => Some("dedupe_latest"),
            Feature::Delay => Some("delay"),
            Feature::Groups => Some("groups"),
        }
    }

    fn topic_options(self) -> Value {
        match self {
            Feature::Priorities => json!({"priorities": PRIORITIES}),
            Feature::Latest => json!({"dedupe": "latest"}),
            Feature::Delay | Feature::Groups => json!({}),
        }
    }
}

/// One publisher to a topic with the option, or whose messages have it.
pub(super) fn run(context: &Context<'_>, feature: Feature) -> Result<Measure> {
    let topic = context.unique(feature.name());
    let mut control = context.connect()?;
    if let Some(capability) = feature.capability() {
        rpc::require(&mut control, capability)?;
    }
    let params = json!({"topic": topic, "options": feature.topic_options()});
    rpc::request(&mut control, "rpc.topic.declare", &params)?;
    let consumer = || JsonConsumer::start(context.connect()?, &topic);
    let drawing = |members, below| {
        let draws = Draws::new(below, 0);
        publish::drawing_publisher(context, &topic, members, draws)
    };
    let measure = match feature {
        Feature::Priorities => {
            let publisher = drawing((r#""priority":"#, ""), PRIORITIES)?;
            end_to_end::measure(context, vec![publisher], consumer()?, WINDOW)
        }
        Feature::Latest => {
            let publisher = drawing((r#""key":"k"#, r#"""#), HOT_KEYS)?;
            beside(&mut consumer()?, || {
                publish::measure(context, vec![publisher], WINDOW)
            })
        }
        Feature::Delay => {
            let publisher = publish::publisher_with(context, &topic, r#""delay_ms":100"#)?;
            end_to_end::measure(context, vec![publisher], consumer()?, WINDOW)
        }
        Feature::Groups => {
            let publisher = drawing((r#""group":"g"#, r#"""#), GROUPS)?;
            let consumers = (0..GROUP_CONSUMERS).map(|_| consumer());
            let consumers = Competing(consumers.collect::<Result<_>>()?);
            end_to_end::measure(context, vec![publisher], consumers, WINDOW)
        }
    }?;
    rpc::request(&mut control, "rpc.topic.delete", &json!({"topic": topic}))?;
    Ok(measure)
}
