//! The embedded engine: queue, journal and in-process channels behind the engine trait.
