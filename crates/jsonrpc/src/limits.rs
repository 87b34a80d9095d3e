//! The bounds that a frame must keep.

/// Bounds on one frame, checked before anything in it is acted upon.
///
/// The size of the frame itself is the transport's bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most entries of a batch. Default 1,000.
    pub max_batch: usize,
    /// Deepest nesting of arrays and objects, the frame's own braces counted. Default 128, which
    /// leaves `params` within what `serde_json` itself agrees to read.
    pub max_depth: usize,
    /// Longest `id`, in bytes of its JSON text. Default 1,024: an id is kept for as long as its
    /// call runs.
    pub max_id_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_batch: 1_000,
            max_depth: 128,
            max_id_bytes: 1_024,
        }
    }
}
