//! Who offers what, from announcements. Pure.

use crate::calls::{config::Categories, schema::Schema};
use compact_str::CompactString;
use hashbrown::HashMap;
use serde_json::value::RawValue;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use trunkline_model::{Error, ErrorCode, HandlerInfo, HandlerName, Timestamp, WorkerSpec};

/// The handlers of all processes, and the methods that follow from them.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    offers: BTreeMap<(HandlerName, CompactString), Offer>,
    methods: HashMap<CompactString, Arc<Method>>,
}

#[derive(Debug)]
struct Offer {
    info: Arc<HandlerInfo>,
    /// `None`: from this process, which says when it goes.
    heard_at: Option<Timestamp>,
}

/// A method that somebody offers.
#[derive(Debug)]
pub(crate) struct Method {
    /// Its handler.
    pub handler: HandlerName,
    /// The number of its class here.
    pub category: usize,
    /// What its params must be like.
    pub schema: Option<Arc<Schema>>,
}

impl Registry {
    /// The method of this name, if somebody offers it.
    pub(crate) fn method(&self, name: &str) -> Option<&Arc<Method>> {
        self.methods.get(name)
    }

    /// Checks that a worker's methods belong to no other handler, and that its handler has
    /// one category.
    ///
    /// # Errors
    /// `-32013` naming method, handler and category.
    pub(crate) fn check_clash(&self, spec: &WorkerSpec) -> Result<(), Error> {
        let mut infos = self.offers.values().map(|offer| &offer.info);
        if let Some(other) =
            infos.find(|info| info.handler == spec.handler && info.category != spec.category)
        {
            return Err(Error::new(
                ErrorCode::Conflict,
                format!(
                    "handler {} is of category {}",
                    other.handler, other.category
                ),
            )
            .with("handler", other.handler.as_str())
            .with("category", other.category.as_str()));
        }
        for method in &spec.methods {
            let Some(known) = self.methods.get(&method.name) else {
                continue;
            };
            if known.handler != spec.handler {
                return Err(Error::new(
                    ErrorCode::Conflict,
                    format!(
                        "the method {:?} is offered by handler {}",
                        method.name, known.handler
                    ),
                )
                .with("method", method.name.as_str())
                .with("handler", known.handler.as_str()));
            }
        }
        Ok(())
    }

    /// Takes an announcement, of another process (`heard_at`) or of this one. Says whether
    /// what is offered has changed.
    pub(crate) fn learn(
        &mut self,
        info: Arc<HandlerInfo>,
        heard_at: Option<Timestamp>,
        categories: &Categories,
    ) -> bool {
        let key = (info.handler.clone(), info.announcer.clone());
        let changed = if info.workers == 0 {
            self.offers.remove(&key).is_some()
        } else {
            let before = self.offers.insert(
                key,
                Offer {
                    info: info.clone(),
                    heard_at,
                },
            );
            before.is_none_or(|before| !same_offer(&before.info, &info))
        };
        if changed {
            self.rebuild(categories);
        }
        changed
    }

    /// Forgets what other processes announced and have not repeated for `span`. Says
    /// whether there was any.
    pub(crate) fn forget_silent(
        &mut self,
        now: Timestamp,
        span: Duration,
        categories: &Categories,
    ) -> bool {
        let before = self.offers.len();
        self.offers
            .retain(|_, offer| offer.heard_at.is_none_or(|at| at.after(span) >= now));
        let changed = self.offers.len() != before;
        if changed {
            self.rebuild(categories);
        }
        changed
    }

    /// What other processes offer, by handler and process.
    pub(crate) fn remote(&self) -> impl Iterator<Item = &Arc<HandlerInfo>> {
        self.offers
            .values()
            .filter(|offer| offer.heard_at.is_some())
            .map(|offer| &offer.info)
    }

    /// Methods from offers. Where two processes gave one method to different handlers at
    /// the same moment, the first handler by name has it, on every gateway. What another process offers on a
    /// wire that its category doesn't have here can't be called from here.
    fn rebuild(&mut self, categories: &Categories) {
        let before = std::mem::take(&mut self.methods);
        for offer in self.offers.values() {
            let info = &offer.info;
            let category = categories.number(&info.category);
            let category = category.unwrap_or(categories.default());
            if categories.get(category).wire_name() != info.wire.as_ref() {
                continue;
            }
            for spec in &info.methods {
                if self.methods.contains_key(&spec.name) {
                    continue;
                }
                let known = before.get(&spec.name).and_then(|m| m.schema.as_ref());
                let text = spec.params_schema.as_deref();
                let method = Method {
                    handler: info.handler.clone(),
                    category,
                    schema: text.and_then(|text| compiled(&spec.name, text, known)),
                };
                self.methods.insert(spec.name.clone(), Arc::new(method));
            }
        }
    }
}

/// A schema, compiled once. One that another process announced and that is not valid here
/// is left to the worker.
fn compiled(method: &str, text: &RawValue, known: Option<&Arc<Schema>>) -> Option<Arc<Schema>> {
    if let Some(known) = known.filter(|known| known.is(text)) {
        return Some(known.clone());
    }
    match Schema::compile(method, text) {
        Ok(schema) => Some(Arc::new(schema)),
        Err(error) => {
            tracing::warn!(%error, method, "params are not checked");
            None
        }
    }
}

fn same_offer(a: &HandlerInfo, b: &HandlerInfo) -> bool {
    let text = |schema: &Option<Box<RawValue>>| schema.as_ref().map(|text| text.get().to_owned());
    a.category == b.category
        && a.wire == b.wire
        && a.workers == b.workers
        && a.concurrency == b.concurrency
        && a.description == b.description
        && a.methods.len() == b.methods.len()
        && a.methods.iter().zip(&b.methods).all(|(a, b)| {
            a.name == b.name
                && a.idempotent == b.idempotent
                && a.description == b.description
                && text(&a.params_schema) == text(&b.params_schema)
                && text(&a.result_schema) == text(&b.result_schema)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::config::CallsConfig;
    use trunkline_model::{HandlerStats, MethodSpec};

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn method(name: &str) -> MethodSpec {
        MethodSpec {
            name: name.into(),
            description: None,
            params_schema: None,
            result_schema: None,
            idempotent: false,
        }
    }

    fn info(handler: &str, process: &str, methods: &[&str], workers: u32) -> Arc<HandlerInfo> {
        Arc::new(HandlerInfo {
            handler: HandlerName::new(handler).unwrap(),
            announcer: process.into(),
            methods: methods.iter().map(|name| method(name)).collect(),
            category: "general".into(),
            description: None,
            kind: None,
            wire: None,
            workers,
            concurrency: workers,
            stats: HandlerStats::default(),
        })
    }

    fn spec(handler: &str, category: &str, name: &str) -> WorkerSpec {
        WorkerSpec {
            handler: HandlerName::new(handler).unwrap(),
            methods: vec![method(name)],
            category: category.into(),
            description: None,
            kind: None,
            concurrency: 1,
        }
    }

    #[test]
    fn methods_come_and_go_with_their_announcers() {
        let categories = Categories::native(&CallsConfig::default());
        let mut registry = Registry::default();
        let mut learn = |info, at| registry.learn(info, at, &categories);
        assert!(learn(info("math", "here", &["add"], 1), None));
        assert!(learn(info("math", "there", &["add", "sub"], 1), Some(NOW)));
        assert!(!learn(info("math", "there", &["add", "sub"], 1), Some(NOW)));
        assert!(registry.method("sub").is_some());

        let gone = registry.learn(info("math", "here", &[], 0), None, &categories);
        assert!(gone && registry.method("add").is_some());
        let span = Duration::from_secs(15);
        assert!(!registry.forget_silent(NOW.after(span), span, &categories));
        let later = NOW.after(span + Duration::from_millis(1));
        assert!(registry.forget_silent(later, span, &categories));
        assert!(registry.method("add").is_none());
    }

    #[test]
    fn a_method_has_one_handler_and_category() {
        let categories = Categories::native(&CallsConfig::default());
        let mut registry = Registry::default();
        registry.learn(info("math", "there", &["add"], 1), Some(NOW), &categories);
        assert!(
            registry
                .check_clash(&spec("math", "general", "add"))
                .is_ok()
        );
        assert!(
            registry
                .check_clash(&spec("other", "general", "mul"))
                .is_ok()
        );
        for spec in [spec("other", "general", "add"), spec("math", "slow", "mul")] {
            let error = registry.check_clash(&spec).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Conflict);
            assert_eq!(error.data().unwrap()["handler"], "math");
        }
    }

    #[test]
    fn a_race_of_two_handlers_has_the_same_winner_everywhere() {
        let categories = Categories::native(&CallsConfig::default());
        for order in [["a", "b"], ["b", "a"]] {
            let mut registry = Registry::default();
            for handler in order {
                registry.learn(info(handler, handler, &["m"], 1), Some(NOW), &categories);
            }
            assert_eq!(registry.method("m").unwrap().handler.as_str(), "a");
        }
    }
}
