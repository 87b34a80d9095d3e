use crate::{ListenPolicy, ListenerEvent, ListenerQueue, ListenerSink, Wake};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

/// Who is inside the sink, and whether something waits for it.
#[derive(Debug, Default)]
struct Gate {
    /// A thread is calling the sink.
    busy: bool,
    /// The buffer holds something.
    buffered: bool,
    /// Listening ended: nothing is handed over any more.
    closed: bool,
}

/// A sink and the order in which it is called. Whoever finds nobody inside the sink calls
/// it; whoever finds somebody leaves the event in the buffer, and the one inside hands it
/// over before leaving. So the sink sees one thread at a time and one order, no lock is held
/// while it runs, and it may come back from inside.
pub struct ListenerGate {
    sink: Arc<dyn ListenerSink>,
    gate: Mutex<Gate>,
    buffer: ListenerQueue,
}

impl ListenerGate {
    /// Nothing waits yet. `policy` bounds what waits while another thread is inside the sink.
    pub fn new(sink: Arc<dyn ListenerSink>, policy: ListenPolicy) -> Arc<Self> {
        Arc::new(Self {
            sink,
            gate: Mutex::default(),
            buffer: ListenerQueue::new(policy, Wake::new()),
        })
    }

    /// Hands an event to the sink, after all that wait.
    pub fn send(&self, event: ListenerEvent) {
        let mut gate = self.gate();
        if gate.closed {
            return;
        }
        if gate.busy || gate.buffered {
            gate.buffered = true;
            self.buffer.event(event);
            drop(gate);
            self.flush();
            return;
        }
        gate.busy = true;
        drop(gate);
        self.sink.event(event);
        self.drain();
    }

    /// Leaves an event for the next [`ListenerGate::flush`]: for callers that hold a lock.
    pub fn leave(&self, event: ListenerEvent) {
        let mut gate = self.gate();
        gate.buffered = true;
        self.buffer.event(event);
    }

    /// Hands over what waits, unless somebody is doing that.
    pub fn flush(&self) {
        let mut gate = self.gate();
        if gate.busy || !gate.buffered {
            return;
        }
        gate.busy = true;
        drop(gate);
        self.drain();
    }

    /// Nothing is handed over any more.
    pub fn close(&self) {
        self.gate().closed = true;
    }

    /// Hands over until nothing waits, then leaves the sink. The caller is the one inside.
    fn drain(&self) {
        let mut events = Vec::new();
        loop {
            let mut gate = self.gate();
            if gate.closed || !gate.buffered {
                gate.busy = false;
                return;
            }
            self.buffer.take(usize::MAX, &mut events);
            gate.buffered = false;
            gate.closed = matches!(events.last(), Some(ListenerEvent::Overrun));
            drop(gate);
            for event in events.drain(..) {
                self.sink.event(event);
            }
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate
            .lock()
            .expect("no code panics while it holds the gate")
    }
}

impl fmt::Debug for ListenerGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListenerGate").finish_non_exhaustive()
    }
}
