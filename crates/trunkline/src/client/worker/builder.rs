use super::{Run, WorkContext, Worker, WorkerSeat};
use crate::client::{Client, RequestError, RpcError, loss::Loss};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};
use trunkline_model::{ErrorCode, MethodSpec};

/// Makes a [`Worker`]: from [`Client::worker`]; add methods, then [`WorkerBuilder::start`] it.
#[must_use = "nothing is offered until it is started"]
pub struct WorkerBuilder {
    client: Client,
    params: Register,
    methods: Vec<(MethodSpec, Run)>,
}

/// The params of `rpc.worker.register`.
#[derive(Debug, Serialize)]
struct Register {
    handler: String,
    methods: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    kind: &'static str,
    concurrency: u32,
    meta: bool,
}

impl Client {
    /// Offers methods to all callers of the server, as a worker of the handler with that name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = trunkline::TestServer::start().await?;
    /// # let client = server.client().await?;
    /// use trunkline::RpcError;
    ///
    /// let worker = client
    ///     .worker("math")
    ///     .concurrency(8)
    ///     .method("divide", |(a, b): (i64, i64), _| async move {
    ///         a.checked_div(b).ok_or_else(|| RpcError::new(1, "no such quotient"))
    ///     })
    ///     .start()
    ///     .await?;
    /// assert_eq!(client.call::<i64>("divide", &(7, 2)).await?, 3);
    /// let error = client.call::<i64>("divide", &(7, 0)).await.unwrap_err();
    /// assert_eq!(error.answer(), Some(&RpcError::new(1, "no such quotient")));
    /// worker.drain().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn worker(&self, handler: impl Into<String>) -> WorkerBuilder {
        WorkerBuilder {
            client: self.clone(),
            params: Register {
                handler: handler.into(),
                methods: Vec::new(),
                category: None,
                description: None,
                kind: "rust",
                concurrency: 1,
                meta: true,
            },
            methods: Vec::new(),
        }
    }
}

impl WorkerBuilder {
    /// Most calls at once, over all methods; 1 by default.
    pub fn concurrency(mut self, calls: u32) -> Self {
        self.params.concurrency = calls.max(1);
        self
    }

    /// The class of its calls.
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.params.category = Some(category.into());
        self
    }

    /// For people.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.params.description = Some(description.into());
        self
    }

    /// Adds a method. Params that don't fit `P` are answered with `-32602`; absent ones are read
    /// from `null`. A panic is answered with `-32603`, without its text.
    pub fn method<P, R, F, Fut>(self, name: impl Into<String>, run: F) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        R: Serialize,
        F: Fn(P, WorkContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, RpcError>> + Send + 'static,
    {
        self.method_with(spec(name.into(), false), run)
    }

    /// Adds a method that may be run again on another worker if this one is lost while it runs.
    pub fn idempotent_method<P, R, F, Fut>(self, name: impl Into<String>, run: F) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        R: Serialize,
        F: Fn(P, WorkContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, RpcError>> + Send + 'static,
    {
        self.method_with(spec(name.into(), true), run)
    }

    /// Adds a method with description and schemas: params that don't fit theirs never get here.
    pub fn method_with<P, R, F, Fut>(mut self, spec: MethodSpec, run: F) -> Self
    where
        P: DeserializeOwned + Send + 'static,
        R: Serialize,
        F: Fn(P, WorkContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, RpcError>> + Send + 'static,
    {
        let run: Run = Box::new(move |params, context| {
            let text = params.as_deref().map_or("null", RawValue::get);
            let params: P = match serde_json::from_str(text) {
                Ok(params) => params,
                Err(error) => {
                    let text = format!("params don't fit: {error}");
                    let error = RpcError::of(ErrorCode::InvalidParams, text);
                    return Box::pin(std::future::ready(Err(error)));
                }
            };
            let answer = run(params, context);
            Box::pin(async move { serde_json::to_vec(&answer.await?).map_err(RpcError::failed) })
        });
        self.methods.push((spec, run));
        self
    }

    /// Registers; resolves once calls can come.
    ///
    /// # Errors
    /// [`RequestError`]: a method is offered twice, or what the server says against it.
    pub async fn start(self) -> Result<Worker, RequestError> {
        let Self {
            client,
            mut params,
            methods,
        } = self;
        let mut runs = HashMap::with_capacity(methods.len());
        for (spec, run) in methods {
            params
                .methods
                .push(to_raw_value(&spec).map_err(RequestError::unsendable)?);
            match runs.entry(spec.name.to_string()) {
                Entry::Vacant(entry) => entry.insert(run),
                Entry::Occupied(entry) => {
                    let text = format!("method {} is there twice", entry.key());
                    return Err(RequestError::unsendable(text));
                }
            };
        }
        let concurrency = params.concurrency;
        let params = serde_json::to_vec(&params).map_err(RequestError::unsendable)?;
        let shared = client.shared();
        let (seat, begun) = WorkerSeat::new(Arc::clone(shared), params, runs, concurrency);
        let worker = Worker {
            seat: Arc::clone(&seat),
            client: client.clone(),
        };
        shared.sit(seat)?;
        match begun.await {
            Ok(begun) => begun.map(|()| worker),
            Err(_) => Err(Loss::wanted().error()),
        }
    }
}

fn spec(name: String, idempotent: bool) -> MethodSpec {
    MethodSpec {
        name: name.into(),
        description: None,
        params_schema: None,
        result_schema: None,
        idempotent,
    }
}

impl std::fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let methods: Vec<_> = self.methods.iter().map(|(spec, _)| &spec.name).collect();
        f.debug_struct("WorkerBuilder")
            .field("handler", &self.params.handler)
            .field("methods", &methods)
            .finish_non_exhaustive()
    }
}
