//! A segmented, checksummed, group-committed log with an opaque payload.
