use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use trunkline_model::Engine;

/// A future that can be sent to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Makes engines for the suite.
pub trait Factory: Send + Sync {
    /// What the report calls this engine.
    fn name(&self) -> String;

    /// Whether [`Fixture::restart`] works and keeps what was confirmed.
    fn restarts(&self) -> bool {
        false
    }

    /// An engine for one case. It may share its store with earlier ones: cases use names of
    /// their own.
    fn make(&self) -> BoxFuture<'_, Box<dyn Fixture>>;
}

/// An engine under test and what moves its world.
pub trait Fixture: Send + Sync {
    /// The engine.
    fn engine(&self) -> Arc<dyn Engine>;

    /// Moves the engine's clock and lets due things happen; false if time can only pass by
    /// itself, in which case the suite waits.
    fn advance(&self, span: Duration) -> bool {
        let _ = span;
        false
    }

    /// Ends when everything that was decided has reached its sink. Without a way to know,
    /// a short wait.
    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(100)))
    }

    /// Stops the engine and starts it again on the same store.
    fn restart(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
