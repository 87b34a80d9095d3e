//! Handlers in Rust, inside the process.

mod context;
mod failure;
mod run;

pub use context::Context;
pub use failure::Failure;

use crate::calls::{Calls, Registration};
use bytes::Bytes;
use compact_str::CompactString;
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, pin::Pin, sync::Arc};
use trunkline_model::{Caller, Error, ErrorCode, HandlerName, MethodSpec, WorkerSpec};

type Answer = Pin<Box<dyn Future<Output = Result<Bytes, Failure>> + Send>>;
type Run = Box<dyn Fn(Option<Bytes>, Context) -> Answer + Send + Sync>;

/// A handler in Rust: a named set of async functions.
///
/// ```
/// use trunkline_rpc::{Context, Failure, Handler};
///
/// let math = Handler::new("math")
///     .concurrency(8)
///     .method("add", |(a, b): (i64, i64), _: Context| async move {
///         a.checked_add(b).ok_or_else(|| Failure::new(1, "too large"))
///     });
/// ```
#[must_use = "a handler does nothing until it is served"]
pub struct Handler {
    name: CompactString,
    category: Option<CompactString>,
    description: Option<String>,
    concurrency: u32,
    methods: Vec<(MethodSpec, Run)>,
}

impl Handler {
    /// A handler without methods, with a concurrency of 1 and the default category.
    pub fn new(name: impl Into<CompactString>) -> Self {
        Self {
            name: name.into(),
            category: None,
            description: None,
            concurrency: 1,
            methods: Vec::new(),
        }
    }

    /// Most calls at once, over all methods; at least 1.
    pub fn concurrency(mut self, calls: u32) -> Self {
        self.concurrency = calls;
        self
    }

    /// The class of its calls.
    pub fn category(mut self, category: impl Into<CompactString>) -> Self {
        self.category = Some(category.into());
        self
    }

    /// For people.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds a method. Params that don't deserialize are `-32602`; absent ones deserialize
    /// from `null`.
    pub fn method<P, R, F, Fut>(self, name: impl Into<CompactString>, run: F) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        R: Serialize,
        F: Fn(P, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Failure>> + Send + 'static,
    {
        self.method_with(spec(name.into()), run)
    }

    /// Adds a method with description, schemas, or the permission to repeat it.
    pub fn method_with<P, R, F, Fut>(self, spec: MethodSpec, run: F) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        R: Serialize,
        F: Fn(P, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Failure>> + Send + 'static,
    {
        self.add(
            spec,
            Box::new(move |params, context| {
                let params: P = match serde_json::from_slice(params.as_deref().unwrap_or(b"null")) {
                    Ok(params) => params,
                    Err(error) => {
                        let message = format!("params don't fit: {error}");
                        let failure = Failure::new(ErrorCode::InvalidParams.number(), message);
                        return Box::pin(std::future::ready(Err(failure)));
                    }
                };
                let answer = run(params, context);
                Box::pin(async move {
                    let result = answer.await?;
                    Ok(serde_json::to_vec(&result)
                        .map_err(|error| Failure::from(error.to_string()))?
                        .into())
                })
            }),
        )
    }

    /// Adds a method that takes and gives JSON text as it is.
    pub fn raw<F, Fut>(self, name: impl Into<CompactString>, run: F) -> Self
    where
        F: Fn(Option<Bytes>, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Bytes, Failure>> + Send + 'static,
    {
        self.raw_with(spec(name.into()), run)
    }

    /// The same with description, schemas, or the permission to repeat it.
    pub fn raw_with<F, Fut>(self, spec: MethodSpec, run: F) -> Self
    where
        F: Fn(Option<Bytes>, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Bytes, Failure>> + Send + 'static,
    {
        let run = Box::new(move |params, context| Box::pin(run(params, context)) as Answer);
        self.add(spec, run)
    }

    fn add(mut self, spec: MethodSpec, run: Run) -> Self {
        self.methods.push((spec, run));
        self
    }
}

fn spec(name: CompactString) -> MethodSpec {
    MethodSpec {
        name,
        description: None,
        params_schema: None,
        result_schema: None,
        idempotent: false,
    }
}

impl Calls {
    /// Runs a handler in this process, each call as a task of the tokio runtime in which
    /// this is called. A panic becomes `-32603`, without its text.
    ///
    /// # Errors
    /// As [`Calls::register`]; `-32602` for a name that no handler can have.
    pub fn serve(self: &Arc<Self>, handler: Handler) -> Result<Registration, Error> {
        let name = HandlerName::new(&handler.name)
            .map_err(|error| Error::invalid_params(error.to_string()))?;
        let (methods, runs): (Vec<MethodSpec>, Vec<Run>) = handler.methods.into_iter().unzip();
        let by_name = methods.iter().map(|method| method.name.clone()).zip(runs);
        let sink = Arc::new(run::Runner::new(
            Arc::downgrade(self),
            by_name.collect(),
            tokio::runtime::Handle::current(),
        ));
        let spec = WorkerSpec {
            handler: name,
            methods,
            category: handler
                .category
                .unwrap_or_else(|| self.default_category().into()),
            description: handler.description,
            kind: Some("rust".to_owned()),
            concurrency: handler.concurrency,
        };
        self.register(&Caller::system(), spec, sink)
    }
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let methods: Vec<_> = self.methods.iter().map(|(spec, _)| &spec.name).collect();
        f.debug_struct("Handler")
            .field("name", &self.name)
            .field("methods", &methods)
            .finish_non_exhaustive()
    }
}
