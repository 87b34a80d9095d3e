use std::{fmt, str::FromStr, time::Duration};

/// A point in time: microseconds since the Unix epoch.
///
/// Microseconds are the finest unit that any wire of Trunkline carries, and the value
/// stays below 2⁵³ until the year 2255, so that it survives a JSON number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch; also "before everything".
    pub const ZERO: Self = Self(0);
    /// Later than every real time.
    pub const MAX: Self = Self(u64::MAX);

    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the Unix epoch, saturating.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// This time moved `span` later, saturating at [`Timestamp::MAX`].
    pub const fn after(self, span: Duration) -> Self {
        let micros = span.as_micros();
        let micros = if micros > u64::MAX as u128 {
            u64::MAX
        } else {
            micros as u64
        };
        Self(self.0.saturating_add(micros))
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with millisecond resolution (microseconds if there are any).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0 / 86_400_000_000, self.0 % 86_400_000_000);
        let (year, month, day) = civil_from_days(days as i64);
        let (secs, micros) = (rest / 1_000_000, rest % 1_000_000);
        let (h, m, s) = (secs / 3_600, secs / 60 % 60, secs % 60);
        if year > 9_999 {
            write!(f, "{year}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}")?;
            return if micros % 1_000 == 0 {
                write!(f, ".{:03}Z", micros / 1_000)
            } else {
                write!(f, ".{micros:06}Z")
            };
        }
        // Every delivery carries a time, and `write!` takes several times as long for each.
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let year = year as u64;
        for (at, value) in [
            (0, year / 100),
            (2, year % 100),
            (5, u64::from(month)),
            (8, u64::from(day)),
            (11, h),
            (14, m),
            (17, s),
            (20, micros / 10_000),
            (22, micros / 100 % 100),
            (24, micros % 100),
        ] {
            text[at] += (value / 10) as u8;
            text[at + 1] += (value % 10) as u8;
        }
        let length = if micros % 1_000 == 0 {
            text[23] = b'Z';
            24
        } else {
            text.len()
        };
        f.write_str(str::from_utf8(&text[..length]).map_err(|_| fmt::Error)?)
    }
}

/// Proleptic Gregorian date of a day number counted from 1970-01-01.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    // Eras of 400 years start on 1 March, so that the leap day ends a year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The text is not a point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time since 1970; they look like 2026-11-20T17:33:56.789Z")]
pub struct ParseTimeError(String);

impl FromStr for Timestamp {
    type Err = ParseTimeError;

    /// Reads RFC 3339 with any offset; fractions beyond microseconds are cut off.
    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        parse_rfc_3339(text).ok_or_else(|| ParseTimeError(text.into()))
    }
}

fn parse_rfc_3339(text: &str) -> Option<Timestamp> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let bytes = date_time.as_bytes();
    let separators = (bytes[4], bytes[7], bytes[10], bytes[13], bytes[16]);
    if !matches!(separators, (b'-', b'-', b'T' | b't' | b' ', b':', b':')) {
        return None;
    }
    let number = |from: usize, to: usize, max: u32| {
        digits(date_time.get(from..to)?).filter(|value| *value <= max)
    };
    let (year, month, day) = (number(0, 4, 9_999)?, number(5, 7, 12)?, number(8, 10, 31)?);
    // A leap second is the first of the next minute.
    let (h, m, s) = (
        number(11, 13, 23)?,
        number(14, 16, 59)?,
        number(17, 19, 60)?,
    );
    let days = days_from_civil(i64::from(year), month, day);
    if civil_from_days(days) != (i64::from(year), month, day) {
        return None;
    }
    let (fraction, offset) = split_fraction(rest)?;
    let seconds = days * 86_400 + i64::from(h * 3_600 + m * 60 + s) - offset_seconds(offset)?;
    let micros = u64::try_from(seconds).ok()? * 1_000_000 + fraction;
    Some(Timestamp::from_micros(micros))
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

/// Microseconds of a fraction like `.789`, and what follows it.
fn split_fraction(text: &str) -> Option<(u64, &str)> {
    let Some(text) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let (fraction, rest) = text.split_at(count);
    let kept = fraction.get(..count.min(6)).filter(|f| !f.is_empty())?;
    let scale = 10u64.pow(6 - kept.len() as u32);
    Some((kept.parse::<u64>().ok()? * scale, rest))
}

fn offset_seconds(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 3_600 + minutes * 60))
}

/// The inverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted_month = i64::from((month + 9) % 12);
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rfc_3339() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:34:56.789Z", 951_827_696_789_000),
            ("2000-02-29t14:34:56.7890009+02:00", 951_827_696_789_000),
            ("1969-12-31 23:00:00-01:00", 0),
            ("2026-11-20T17:33:56.000001z", 1_795_196_036_000_001),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp::from_micros(micros)), "{text}");
        }
        for bad in [
            "",
            "2026-11-20",
            "2026-11-20T17:33:56",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+2:00",
            "2026-01-01T00:00:00+é:0",
            "1969-12-31T23:59:59Z",
            "+026-01-01T00:00:00Z",
            "2026-01-01T00:00:0éZ",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn displays_rfc_3339() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_827_696_789_000, "2000-02-29T12:34:56.789Z"),
            (1_795_196_036_000_001, "2026-11-20T17:33:56.000001Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000Z"),
            (1_234_567_890_987_654, "2009-02-13T23:31:30.987654Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
            (253_402_300_800_000_000, "10000-01-01T00:00:00.000Z"),
            (253_402_300_800_000_010, "10000-01-01T00:00:00.000010Z"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
        }
    }

    #[test]
    fn saturates() {
        assert_eq!(Timestamp::MAX.after(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::ZERO.since(Timestamp::MAX), Duration::ZERO);
    }
}
