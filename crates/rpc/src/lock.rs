use std::sync::{Mutex, MutexGuard};

/// Locks a table of this crate.
///
/// Tables are only changed by short code that does not panic, and no lock is held while an
/// engine, a sink or a completion is called.
pub(crate) fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table
        .lock()
        .expect("no code panics while it holds a table of calls")
}
