//! The tasks of an engine, which end with it.

use std::future::Future;
use std::sync::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

#[derive(Debug)]
pub(crate) struct Tasks {
    running: Mutex<JoinSet<()>>,
    runtime: Handle,
}

impl Tasks {
    /// For the runtime that this is called in.
    ///
    /// # Panics
    /// Outside of one.
    pub(crate) fn new() -> Self {
        Self {
            running: Mutex::default(),
            runtime: Handle::current(),
        }
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock().expect("nothing panics with it");
        while running.try_join_next().is_some() {}
        running.spawn_on(task, &self.runtime);
    }

    /// Ends all of them, wherever they are.
    pub(crate) fn abort(&self) {
        let mut running = self.running.lock().expect("nothing panics with it");
        running.abort_all();
    }
}
