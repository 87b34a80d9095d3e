//! The end of a journal after a failed write or sync.

use std::io;
use std::sync::{Arc, OnceLock};

use thiserror::Error;

/// A write or a sync failed, so nobody knows what is on disk. No commit succeeds after it, until the journal is opened again.
#[derive(Clone, Debug, Error)]
#[error(
    "the journal stopped: {operation} {file} failed: {cause}. What was not confirmed may be lost; check the disk, then restart"
)]
#[non_exhaustive]
pub struct Poison {
    /// What was being done: `writing`, `syncing`, …
    pub operation: &'static str,
    /// The file, or the directory.
    pub file: String,
    /// What the operating system said.
    pub cause: Arc<io::Error>,
}

/// Where the first failure is kept, once and for all.
#[derive(Debug, Default)]
pub(crate) struct PoisonCell(OnceLock<Poison>);

impl PoisonCell {
    /// The failure, if there was one.
    pub(crate) fn check(&self) -> Result<(), Poison> {
        match self.0.get() {
            Some(poison) => Err(poison.clone()),
            None => Ok(()),
        }
    }

    /// Turns a failed operation into poison; the first one stays.
    pub(crate) fn guard<T>(
        &self,
        result: io::Result<T>,
        operation: &'static str,
        file: impl FnOnce() -> String,
    ) -> Result<T, Poison> {
        result.map_err(|cause| {
            let poison = Poison {
                operation,
                file: file(),
                cause: Arc::new(cause),
            };
            self.0.get_or_init(|| poison).clone()
        })
    }
}
