//! A Redis, a wire on it, and a hand that does what the other side would.

use bytes::Bytes;
use compact_str::CompactString;
use redis::FromRedisValue;
use redis::aio::MultiplexedConnection;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use trunkline_engine_redis::{ConsumerGroups, ConsumerGroupsOptions, Deployment, redis};
use trunkline_model::{
    Call, CallId, CallOutcome, CallSink, CallWire, Caller, Clock, Completion, DispatchId, Error,
    IncomingCall, MethodSpec, Outcome, SystemClock, Timestamp, WorkerHandle, WorkerSpec, oneshot,
};
use trunkline_test_servers::Redis;

/// Longest wait for anything; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whatever is awaited comes.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, what).await;
    done.expect("it was to be done")
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("{what} never came"));
}

pub(crate) struct Setup {
    pub(crate) server: Redis,
    pub(crate) hand: Hand,
    pub(crate) clock: Arc<dyn Clock>,
}

/// `None` where there is no Redis to test with; that was said then.
pub(crate) async fn setup() -> Option<Setup> {
    setup_with(&[]).await
}

/// The same with options of the server's.
pub(crate) async fn setup_with(options: &[&str]) -> Option<Setup> {
    log();
    let server = Redis::start_with(options)?;
    Some(Setup {
        hand: Hand::on(&server).await,
        clock: clock(),
        server,
    })
}

impl Setup {
    pub(crate) fn wire(&self) -> Arc<ConsumerGroups> {
        self.wire_with(ConsumerGroupsOptions::default())
    }

    pub(crate) fn wire_with(&self, options: ConsumerGroupsOptions) -> Arc<ConsumerGroups> {
        let wire = ConsumerGroups::new(self.deployment(), options, self.clock.clone());
        Arc::new(wire)
    }

    pub(crate) fn deployment(&self) -> Deployment {
        deployment(&self.server.url())
    }

    pub(crate) fn call(&self, method: &str, params: &str, timeout: Duration) -> Call {
        call(method, params, timeout)
    }
}

/// What all tests have logged, of which each begins with this: whether anybody wants to hear of a line is
/// decided when the first test gets there, and not again.
pub(crate) fn log() -> &'static Log {
    static LOG: LazyLock<Log> = LazyLock::new(|| {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::set_global_default(subscriber).expect("nobody else sets one");
        log
    });
    &LOG
}

/// What was logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Lines of ours with this text.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        let log = self.0.lock().expect("nothing panics with it");
        let log = String::from_utf8_lossy(&log);
        let ours = log.lines().filter(|line| line.contains("trunkline"));
        let lines = ours.filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nothing panics with it").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new(Timestamp::ZERO))
}

/// A call to be answered in time.
pub(crate) fn call(method: &str, params: &str, timeout: Duration) -> Call {
    Call {
        method: method.into(),
        params: Some(Bytes::copy_from_slice(params.as_bytes())),
        caller: Arc::new(Caller::system()),
        category: "general".into(),
        deadline: clock().now().after(timeout),
        traceparent: None,
    }
}

pub(crate) fn deployment(url: &str) -> Deployment {
    Deployment::new(url.parse().expect("a URL")).expect("it needs no certificate")
}

/// The other side: plain commands.
#[derive(Clone)]
pub(crate) struct Hand(MultiplexedConnection);

impl Hand {
    pub(crate) async fn on(server: &Redis) -> Self {
        let client = redis::Client::open(server.url()).expect("a URL");
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&patient);
        Self(connection.await.expect("Redis answers"))
    }

    pub(crate) async fn run<T: FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let done = command.query_async(&mut self.0).await;
        done.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The next requests of a stream, as its fields, as they stand there.
    pub(crate) async fn requests(&mut self, stream: &str, n: usize) -> Vec<Vec<(String, String)>> {
        let mut found = Vec::new();
        until("the requests", async || {
            type Entries = Vec<(String, Vec<(String, String)>)>;
            let entries: Entries = self.run(&["XRANGE", stream, "-", "+"]).await;
            found = entries.into_iter().map(|(_, fields)| fields).collect();
            found.len() >= n
        })
        .await;
        found
    }

    /// A reply as a worker publishes it; how many heard it.
    pub(crate) async fn reply(&mut self, who: &str, text: &str) -> i64 {
        self.run(&["PUBLISH", who, text]).await
    }

    /// A request as a gateway writes it.
    pub(crate) async fn request(&mut self, stream: &str, fields: &[(&str, &str)]) -> String {
        let mut words = vec!["XADD", stream, "*"];
        words.extend(fields.iter().flat_map(|(name, value)| [*name, *value]));
        self.run(&words).await
    }

    /// How many entries of the group are not acknowledged.
    pub(crate) async fn pending(&mut self, stream: &str) -> i64 {
        let (count, ..): (i64, redis::Value, redis::Value, redis::Value) =
            self.run(&["XPENDING", stream, "processors"]).await;
        count
    }
}

/// A call under way.
pub(crate) struct Asked {
    pub(crate) id: CallId,
    outcome: std::pin::Pin<Box<dyn Future<Output = Result<Outcome, Error>> + Send>>,
}

pub(crate) fn ask(wire: &dyn CallWire, call: Call) -> Asked {
    let (completion, outcome): (Completion, _) = oneshot();
    Asked {
        id: wire.send(call, completion),
        outcome: Box::pin(outcome),
    }
}

impl Asked {
    /// One of something else than a wire.
    pub(crate) fn of(
        outcome: impl Future<Output = Result<Outcome, Error>> + Send + 'static,
    ) -> Self {
        Self {
            id: CallId(0),
            outcome: Box::pin(outcome),
        }
    }

    /// `result TEXT`, `error TEXT`, or the failure.
    pub(crate) async fn text(self) -> String {
        match soon(self.outcome).await {
            Ok(Outcome::Answered(outcome)) => text(&outcome),
            Ok(other) => panic!("{other:?}"),
            Err(error) => format!("failed {}: {error}", error.code().number()),
        }
    }
}

pub(crate) fn text(outcome: &CallOutcome) -> String {
    match outcome {
        CallOutcome::Result(json) => format!("result {}", String::from_utf8_lossy(json)),
        CallOutcome::HandlerError(json) => format!("error {}", String::from_utf8_lossy(json)),
        CallOutcome::Failed(error) => format!("failed {}: {error}", error.code().number()),
    }
}

/// What a worker is given.
pub(crate) struct Given {
    calls: mpsc::UnboundedSender<IncomingCall>,
    pub(crate) ended: Mutex<Option<Error>>,
}

impl CallSink for Given {
    fn calls(&self, calls: Vec<IncomingCall>) {
        for call in calls {
            let _ = self.calls.send(call);
        }
    }

    fn cancelled(&self, _dispatch: DispatchId) {}

    fn ended(&self, reason: Error) {
        *self.ended.lock().expect("nothing panics with it") = Some(reason);
    }
}

pub(crate) struct Serving {
    pub(crate) handle: Box<dyn WorkerHandle>,
    pub(crate) sink: Arc<Given>,
    calls: mpsc::UnboundedReceiver<IncomingCall>,
}

/// Methods that end in `!` are idempotent.
pub(crate) fn serve(wire: &dyn CallWire, methods: &[&str], concurrency: u32) -> Serving {
    serve_in(wire, "general", methods, concurrency)
}

pub(crate) fn serve_in(
    wire: &dyn CallWire,
    category: &str,
    methods: &[&str],
    concurrency: u32,
) -> Serving {
    let (sender, calls) = mpsc::unbounded_channel();
    let sink = Arc::new(Given {
        calls: sender,
        ended: Mutex::default(),
    });
    let spec = spec(category, methods, concurrency);
    Serving {
        handle: wire.serve(spec, sink.clone()),
        sink,
        calls,
    }
}

/// The handler `h`. Methods that end in `!` are idempotent.
pub(crate) fn spec(category: &str, methods: &[&str], concurrency: u32) -> WorkerSpec {
    let method = |name: &&str| MethodSpec {
        name: CompactString::from(name.trim_end_matches('!')),
        description: None,
        params_schema: None,
        result_schema: None,
        idempotent: name.ends_with('!'),
    };
    WorkerSpec {
        handler: "h".parse().expect("a name"),
        methods: methods.iter().map(method).collect(),
        category: category.into(),
        description: None,
        kind: None,
        concurrency,
    }
}

impl Serving {
    pub(crate) async fn next(&mut self) -> IncomingCall {
        soon(self.calls.recv()).await.expect("the sink is there")
    }

    pub(crate) fn is_idle(&mut self) -> bool {
        self.calls.is_empty()
    }
}

pub(crate) fn result(json: &'static str) -> CallOutcome {
    CallOutcome::Result(Bytes::from_static(json.as_bytes()))
}

/// Hears what is published on one channel.
pub(crate) struct Ear {
    _subscription: trunkline_mpx::ChannelSubscription,
    heard: mpsc::UnboundedReceiver<String>,
}

pub(crate) async fn ear(server: &Redis, channel: &str) -> Ear {
    let mpx = trunkline_mpx::Multiplexer::open(server.url()).expect("a URL");
    let (sender, mut heard) = mpsc::unbounded_channel();
    let subscription = mpx.channels(move |event| {
        let text = match event {
            trunkline_mpx::Event::Message { payload, .. } => {
                String::from_utf8_lossy(&payload).into_owned()
            }
            other => format!("{other:?}"),
        };
        let _ = sender.send(text);
    });
    subscription.add([channel.to_owned()]).expect("it is open");
    assert!(
        soon(heard.recv())
            .await
            .is_some_and(|text| text.starts_with("Active"))
    );
    Ear {
        _subscription: subscription,
        heard,
    }
}

impl Ear {
    pub(crate) async fn next(&mut self) -> String {
        soon(self.heard.recv()).await.expect("the channel is there")
    }

    pub(crate) fn is_silent(&mut self) -> bool {
        self.heard.is_empty()
    }
}

/// Fields by name.
pub(crate) fn by_name(fields: &[(String, String)]) -> BTreeMap<&str, &str> {
    let pairs = fields.iter();
    pairs.map(|(n, v)| (n.as_str(), v.as_str())).collect()
}

/// A request of the gateway `gate`.
pub(crate) fn request<'a>(rpc: &'a str, id: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("rpc", rpc),
        ("who", "gate"),
        ("deadline", "9999999999"),
        ("args", r#"{"args":{"a":1}}"#),
        ("message_id", id),
    ]
}
