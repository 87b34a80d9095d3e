//! Bounds that every part of Trunkline agrees on.

/// Longest name of a topic, subscription or handler, in bytes.
pub const NAME_BYTES_MAX: usize = 200;
/// Longest channel name or pattern, in bytes.
pub const CHANNEL_BYTES_MAX: usize = 1024;
/// Largest payload of one message, in bytes, unless configured lower.
pub const PAYLOAD_BYTES_MAX: usize = 16 << 20;
/// Largest credit of a consumer, in deliveries.
pub const CREDIT_MAX: u32 = 1_000_000;
/// Most priorities that a topic can have.
pub const PRIORITIES_MAX: u16 = 256;
/// Most headers of a message.
pub const HEADERS_MAX: usize = 128;
/// Longest key, group or publish id, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// Bytes handed to a consumer's connection and not yet taken by it, unless configured.
pub const WINDOW_BYTES_DEFAULT: u64 = 4 << 20;
/// What a delivery takes of a consumer's window besides its payload, in bytes.
pub const DELIVERY_BYTES_MIN: u64 = 256;
/// Largest integer that every JSON implementation keeps exactly (2⁵³ − 1).
pub const JSON_INTEGER_MAX: u64 = (1 << 53) - 1;

const _: () = assert!(KEY_BYTES_MAX < PAYLOAD_BYTES_MAX && NAME_BYTES_MAX < CHANNEL_BYTES_MAX);
