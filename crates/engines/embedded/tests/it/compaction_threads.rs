//! Compaction by its own thread, beside publishers and consumers with theirs.

use crate::support::{ack, publish, text};
use std::{
    path::Path,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use trunkline_engine_embedded::{Embedded, EmbeddedConfig, Location};
use trunkline_model::{
    Caller, Completion, ConsumeSpec, ConsumerHandle, Consuming, Delivery, DeliverySink, Engine,
    Error, Source, TopicName, oneshot,
};

const PUBLISHERS: u64 = 3;
const MESSAGES: u64 = 1_500;
const PAYLOAD: usize = 2_000;
const SEGMENT: u64 = 256 << 10;
/// Of so many messages one is never acknowledged.
const STAYS: u64 = 16;

/// Acknowledges most.
struct Taker {
    engine: Arc<Embedded>,
    handle: OnceLock<Box<dyn ConsumerHandle>>,
    seen: Mutex<Vec<(u64, String)>>,
    count: AtomicU64,
}

impl DeliverySink for Taker {
    fn started(&self, result: Result<Consuming, Error>) {
        assert!(result.is_ok(), "{result:?}");
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        let goes = |d: &&Delivery| !d.id.sequence.is_multiple_of(STAYS);
        let tags: Vec<_> = deliveries.iter().filter(goes).map(|d| d.tag).collect();
        let id = self
            .handle
            .get()
            .expect("credit comes after it is set")
            .id();
        let (caller, batch) = (Caller::system(), trunkline_model::Batch::of(ack(id, &tags)));
        self.engine.submit(&caller, batch, Completion::ignored());
        let mut seen = self.seen.lock().expect("nobody panics");
        seen.extend(deliveries.iter().map(|d| (d.id.sequence, text(d))));
        self.count
            .fetch_add(deliveries.len() as u64, Ordering::Release);
    }

    fn ended(&self, _: Error) {}
}

fn consume(engine: &Arc<Embedded>, topic: &TopicName) -> Arc<Taker> {
    let taker = Arc::new(Taker {
        engine: engine.clone(),
        handle: OnceLock::new(),
        seen: Mutex::default(),
        count: AtomicU64::new(0),
    });
    let spec = ConsumeSpec {
        sources: [Source {
            topic: topic.clone(),
            subscription: "s".parse().expect("a valid name"),
            from: None,
        }]
        .into_iter()
        .collect(),
        credit: 0,
        window_bytes: u64::MAX,
        auto_ack: false,
    };
    let handle = engine.consume(&Caller::system(), spec, taker.clone());
    let handle = taker.handle.get_or_init(|| handle);
    handle.credit(u32::MAX / 2);
    taker
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

fn segments(directory: &Path) -> u64 {
    let files = std::fs::read_dir(directory).expect("it is there").flatten();
    let is_segment = |name: &std::ffi::OsStr| Path::new(name).extension() == Some("seg".as_ref());
    files.filter(|file| is_segment(&file.file_name())).count() as u64
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

#[test]
fn the_log_is_compacted_beside_traffic() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = EmbeddedConfig::new(Location::Directory(directory.path().into()));
    config.journal.segment_bytes = SEGMENT as u32;
    config.journal.ready_segments = 1;
    let engine = Embedded::open(config.clone()).expect("it opens");
    let topic: TopicName = "t".parse().expect("a valid name");
    let taker = consume(&engine, &topic);
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let (engine, topic) = (engine.clone(), topic.clone());
            scope.spawn(move || {
                for n in 0..MESSAGES {
                    let body = format!("{publisher}.{n} {}", "x".repeat(PAYLOAD));
                    let (completion, answer) = oneshot();
                    let batch = trunkline_model::Batch::of(publish(&topic, &[&body]));
                    engine.submit(&Caller::system(), batch, completion);
                    assert!(block_on(answer).is_ok());
                }
            });
        }
    });
    let total = PUBLISHERS * MESSAGES;
    let alive = total / STAYS * PAYLOAD as u64;
    wait_until("all are delivered", || {
        taker.count.load(Ordering::Acquire) >= total
    });
    // One segment may be ready beside those of the log.
    wait_until("the log is short", || {
        (segments(directory.path()) - 1) * SEGMENT <= 3 * alive + 2 * SEGMENT
    });
    let mut expected: Vec<_> = taker.seen.lock().expect("nobody panics").clone();
    expected.retain(|(sequence, _)| sequence.is_multiple_of(STAYS));
    expected.sort_unstable();
    engine.close(Duration::from_secs(10));
    drop(engine);

    wait_until("it is closed", || Embedded::open(config.clone()).is_ok());
    let engine = Embedded::open(config).expect("it opens again");
    let taker = consume(&engine, &topic);
    let left = expected.len() as u64;
    wait_until("what stays is there", || {
        taker.count.load(Ordering::Acquire) >= left
    });
    assert_eq!(*taker.seen.lock().expect("nobody panics"), expected);
}
