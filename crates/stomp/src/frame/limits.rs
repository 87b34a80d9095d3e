/// What one frame may take. Whatever is beyond is refused as soon as it is seen, so that a
/// decoder never keeps more than this of a peer's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Longest line of a command, in bytes.
    pub command_bytes_max: usize,
    /// Longest line of a header as it is written, in bytes.
    pub header_line_bytes_max: usize,
    /// Most headers.
    pub headers_max: usize,
    /// All lines of headers together, in bytes.
    pub headers_bytes_max: usize,
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
    /// Leave out bodies of frames that have none by the specification, instead of refusing them.
    pub ignore_stray_bodies: bool,
}

impl Default for FrameLimits {
    /// 32 bytes, 10 KiB, 128 headers, 64 KiB, 16 MiB; stray bodies are refused.
    fn default() -> Self {
        Self {
            command_bytes_max: 32,
            header_line_bytes_max: 10 << 10,
            headers_max: trunkline_model::limits::HEADERS_MAX,
            headers_bytes_max: 64 << 10,
            body_bytes_max: trunkline_model::limits::PAYLOAD_BYTES_MAX,
            ignore_stray_bodies: false,
        }
    }
}

const _: () = assert!(crate::command::COMMAND_BYTES_MAX <= 32);
