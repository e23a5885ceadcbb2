//! Time is a parameter: nothing but [`SystemClock`] reads the machine's clock (clippy.toml forbids the rest).

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z. Written as RFC 3339, UTC, `Z`, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text is not a [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampError {
    /// A date and time without `Z` or an offset: the moment that it means cannot be known.
    NoZone,
    /// Not an RFC 3339 date and time.
    Malformed,
}

impl Timestamp {
    /// From milliseconds since 1970; `None` outside of the years 0 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        // 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z.
        (-62_167_219_200_000..=253_402_300_799_999).contains(&millis).then_some(Self(millis))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This moment and `duration` more.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment less `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Parses an RFC 3339 date and time, or one whose offset has no colon (`+0200`, as strftime's `%z` writes it). Digits
    /// below the millisecond are truncated.
    ///
    /// # Errors
    ///
    /// [`TimestampError`], which distinguishes a missing zone because that is the usual mistake.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let with_colon = with_colon_in_offset(text);
        let text = with_colon.as_deref().unwrap_or(text);
        match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(time) => i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000))
                .ok()
                .and_then(Self::from_millis)
                .ok_or(TimestampError::Malformed),
            Err(_) if OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339).is_ok() => Err(TimestampError::NoZone),
            Err(_) => Err(TimestampError::Malformed),
        }
    }
}

/// The text with `+hh:mm` for `+hhmm` at its end; `None` where it ends otherwise.
fn with_colon_in_offset(text: &str) -> Option<String> {
    let (time, offset) = text.split_at_checked(text.len().checked_sub(5)?)?;
    let (sign, digits) = offset.split_at_checked(1)?;
    if !matches!(sign, "+" | "-") || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = digits.split_at_checked(2)?;
    Some(format!("{time}{sign}{hours}:{minutes}"))
}

/// `0000-00-00T00:00:00.000Z`, whose zeros are the digits.
type Text = [u8; 24];

impl Timestamp {
    /// Writes it as text. By hand: a record has up to five times, and `format!` would cost each of them ten times as much.
    fn text(self) -> Option<Text> {
        let time = OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1_000)).ok()?;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut rest = text.as_mut_slice();
        for (number, width) in [
            (u32::try_from(time.year()).ok()?, 4),
            (u8::from(time.month()).into(), 2),
            (time.day().into(), 2),
            (time.hour().into(), 2),
            (time.minute().into(), 2),
            (time.second().into(), 2),
            (u32::try_from(self.0.rem_euclid(1_000)).ok()?, 3),
        ] {
            let (digits, after) = rest.split_at_mut_checked(width)?;
            let mut number = number;
            for digit in digits.iter_mut().rev() {
                *digit += u8::try_from(number % 10).ok()?;
                number /= 10;
            }
            // Past the separator.
            rest = after.get_mut(1..)?;
        }
        Some(text)
    }
}

/// The seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// The longest duration that is read: a hundred years, so that now and as much more is a date that can be written.
const LONGEST: Duration = Duration::from_secs(100 * 365 * DAY);

/// Reads a duration as people write it on a command line: a whole number and `s`, `m`, `h` or `d`, at most `36500d`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => DAY,
        _ => return None,
    };
    let digits = text.strip_suffix(unit)?;
    // A sign would be read, too.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    count.checked_mul(seconds).map(Duration::from_secs).filter(|duration| *duration <= LONGEST)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text().ok_or(fmt::Error)?;
        formatter.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.text().ok_or_else(|| serde::ser::Error::custom("a time beyond the year 9999"))?;
        serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
    }
}

/// The source of the present time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that may read the machine's clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<String, TimestampError> {
        Timestamp::parse(text).map(|time| time.to_string())
    }

    #[test]
    fn every_offset_is_written_as_utc_with_milliseconds() {
        assert_eq!(written("2023-11-07T05:31:56Z").as_deref(), Ok("2023-11-07T05:31:56.000Z"));
        assert_eq!(written("2023-11-07T05:31:56.1239+02:00").as_deref(), Ok("2023-11-07T03:31:56.123Z"));
        assert_eq!(written("2023-11-07T05:31:56+0200").as_deref(), Ok("2023-11-07T03:31:56.000Z"));
        assert_eq!(written("2023-11-07T05:31:56.5-0930").as_deref(), Ok("2023-11-07T15:01:56.500Z"));
        assert_eq!(written("1969-12-31T23:59:59.9999Z").as_deref(), Ok("1969-12-31T23:59:59.999Z"));
    }

    #[test]
    fn every_time_is_written_as_the_time_crate_writes_it() {
        // Ends of years, months and days, before and after 1970, and what lies between.
        let step = 86_399_999 * 101;
        let times = (-62_167_219_200_000..=253_402_300_799_999_i64).step_by(step);
        let ends = [-62_167_219_200_000, -1, 0, 1, 951_868_799_999, 951_868_800_000, 253_402_300_799_999];
        for millis in times.chain(ends) {
            let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).unwrap();
            let text = Timestamp::from_millis(millis).unwrap().to_string();
            assert_eq!(OffsetDateTime::parse(&text, &Rfc3339).unwrap(), time, "{text}");
            assert_eq!((text.len(), text.ends_with('Z')), (24, true), "{text}");
        }
        assert_eq!(Timestamp::from_millis(-62_167_219_200_001), None);
        assert_eq!(Timestamp::from_millis(253_402_300_800_000), None);
    }

    #[test]
    fn a_time_without_a_zone_is_distinguished_from_a_malformed_one() {
        assert_eq!(written("2023-11-07T05:31:56"), Err(TimestampError::NoZone));
        for text in
            ["2023-11-07T05:31:56+2", "2023-11-07T05:31:56+02", "2023-11-07T05:31:56+020", "2023-11-07T05:31:56+9900"]
        {
            assert_eq!(written(text), Err(TimestampError::Malformed), "{text}");
        }
        for text in [
            "é+0200",
            "+0200",
            "2023-1107",
            "2023-11-07-0800",
            "",
            "yesterday",
            "2023-13-01T00:00:00Z",
            "2023-11-07",
            "1699335116",
            "9999-12-31T23:59:59-23:00",
        ] {
            assert_eq!(written(text), Err(TimestampError::Malformed), "{text}");
        }
    }
}
