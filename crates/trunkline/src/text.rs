//! Numbers, sizes and times as people read them.

use std::time::Duration;

/// `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 message`, `2 messages`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{} {noun}s", count(number)),
    }
}

/// The beginning of a text, in so many characters.
pub(crate) fn shortened(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some(_) => {
            let kept = text.chars().take(chars_max.saturating_sub(1));
            kept.chain(['…']).collect()
        }
    }
}

/// Text that came from anywhere, for a terminal: in so many characters, without any that do
/// something there.
pub(crate) fn printable(text: &str, chars_max: usize) -> String {
    let mut printable = String::new();
    for char in shortened(text, chars_max).chars() {
        match char {
            '"' | '\'' | '\\' => printable.push(char),
            _ => printable.extend(char.escape_debug()),
        }
    }
    printable
}

/// How long ago something was, in its two largest units.
pub(crate) fn age(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600, seconds / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, ..) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// A size with one decimal and a binary unit.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A time with three digits or so.
pub(crate) fn time(span: Duration) -> String {
    let micros = span.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        1_000_000..120_000_000 => format!("{:.2} s", micros as f64 / 1e6),
        _ => format!("{} min {} s", span.as_secs() / 60, span.as_secs() % 60),
    }
}

/// How many a second.
pub(crate) fn rate(number: u64, span: Duration) -> String {
    let per_second = number as f64 / span.as_secs_f64().max(1e-6);
    format!("{}/s", count(per_second.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count).join(" "),
            "0 999 1,000 1,234,567"
        );
        assert_eq!(
            [0, 1_023, 1_536, 1 << 20, u64::MAX].map(bytes).join(" | "),
            "0 B | 1023 B | 1.5 KiB | 1.0 MiB | 16384.0 PiB"
        );
        assert_eq!(
            [7, 1_500, 2_340_000, 150_000_000]
                .map(|micros| time(Duration::from_micros(micros)))
                .join(" | "),
            "7 µs | 1.5 ms | 2.34 s | 2 min 30 s"
        );
        assert_eq!(rate(3_000, Duration::from_secs(2)), "1,500/s");
        assert_eq!(
            [5, 65, 3_700, 90_061]
                .map(|seconds| age(Duration::from_secs(seconds)))
                .join(" | "),
            "5s | 1m 5s | 1h 1m | 1d 1h"
        );
        assert_eq!(
            ["größe", "größer", "", "abcdef"]
                .map(|text| shortened(text, 5))
                .join(" "),
            "größe größ…  abcd…"
        );
        let odd = "a\"\u{1b}[2J\r\n\u{fffd}ü\u{202e}\0…";
        assert_eq!(printable(odd, 11), "a\"\\u{1b}[2J\\r\\n\u{fffd}ü…");
        assert_eq!(printable("\u{202e}\0", 9), "\\u{202e}\\0");
        assert_eq!(
            counted(1, "message") + &counted(2, "call"),
            "1 message2 calls"
        );
    }
}
