//! Calls, promises, workers and the handler registry, over any engine.
