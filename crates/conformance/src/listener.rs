use std::sync::Arc;
use trunkline_model::{
    ListenHandle, ListenPolicy, ListenerEvent, ListenerQueue, ListenerSink, Wake,
};

/// A listener and what it heard, in the bounded queue that fronts use.
pub(crate) struct Listener {
    queue: Arc<ListenerQueue>,
    wake: Wake,
    pub(crate) handle: Box<dyn ListenHandle>,
}

impl Listener {
    /// `listen` gets the sink and gives back the engine's handle.
    pub(crate) fn new(
        policy: ListenPolicy,
        listen: impl FnOnce(Arc<dyn ListenerSink>) -> Box<dyn ListenHandle>,
    ) -> Self {
        let wake = Wake::new();
        let queue = Arc::new(ListenerQueue::new(policy, wake.clone()));
        Self {
            handle: listen(queue.clone()),
            queue,
            wake,
        }
    }

    /// The next `n` events as text.
    pub(crate) async fn take(&self, n: usize) -> Vec<String> {
        let mut events = Vec::new();
        while events.len() < n {
            let before = events.len();
            self.queue.take(1, &mut events);
            if events.len() == before {
                self.wake.woken().await;
            }
        }
        events.iter().map(describe).collect()
    }

    /// What is there already, as text.
    pub(crate) fn rest(&self) -> Vec<String> {
        let mut events = Vec::new();
        self.queue.take(usize::MAX, &mut events);
        events.iter().map(describe).collect()
    }
}

/// `active` with sorted names, `CHANNEL TEXT [via PATTERN]`, or the event's name.
fn describe(event: &ListenerEvent) -> String {
    match event {
        ListenerEvent::Active { channels, patterns } => {
            let names = channels.iter().map(|name| name.as_str());
            let patterns = patterns.iter().map(|pattern| pattern.as_str());
            let mut all: Vec<&str> = names.chain(patterns).collect();
            all.sort_unstable();
            format!("active {}", all.join(" "))
        }
        ListenerEvent::Message { message, pattern } => {
            let text = String::from_utf8_lossy(&message.payload);
            match pattern {
                Some(pattern) => format!("{} {text} via {pattern}", message.channel),
                None => format!("{} {text}", message.channel),
            }
        }
        ListenerEvent::Dropped(n) => format!("dropped {n}"),
        ListenerEvent::Overrun => "overrun".into(),
        other => format!("{other:?}"),
    }
}
