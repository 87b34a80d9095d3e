//! Topics on Redis: the whole state of one lies under keys with one hash tag, and one script changes
//! it.

#[allow(
    dead_code,
    unused_imports,
    reason = "the engine that asks is still to come"
)]
mod script;
