//! Points in time as text or numbers, to microseconds since 1970 in UTC. Digits beyond the microsecond are cut, never rounded.
//! A local time that a zone has twice, or not at all, is refused: either answer would be a guess.

use crate::error::{Problem, quoted};
use crate::field::nearest;
use crate::number::Decimal;
use chrono::{Datelike, LocalResult, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use websessions_core::files::TimeFormat;

const MICROSECONDS: i64 = 1_000_000;
const DAY: i64 = 86_400;
/// 0001-01-01 00:00:00, the first moment that every warehouse takes, in microseconds since 1970.
const FIRST: i64 = -62_135_596_800 * MICROSECONDS;
/// 9999-12-31 23:59:59.999999, the last one.
const LAST: i64 = 253_402_300_800 * MICROSECONDS - 1;

/// The power of ten that makes microseconds of a number; `None` if numbers are not taken.
fn exponent(format: TimeFormat) -> Option<i32> {
    match format {
        TimeFormat::Iso => None,
        TimeFormat::EpochSeconds => Some(6),
        TimeFormat::EpochMilliseconds => Some(3),
        TimeFormat::EpochMicroseconds => Some(0),
    }
}

/// A time zone by its name in the tz database, or UTC. Abbreviations such as CET are refused, as many places share one.
pub fn time_zone(name: &str) -> Result<Tz, String> {
    let known = name == "UTC" || name == "GMT" || name.contains('/');
    known.then(|| name.parse().ok()).flatten().ok_or_else(|| {
        let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).filter(|zone| zone.contains('/'));
        match nearest(name, zones) {
            Some(zone) if name.contains('/') => format!("unknown time zone {name:?}; did you mean {zone:?}?"),
            _ => format!("unknown time zone {name:?}; write UTC, or a name such as Europe/Berlin"),
        }
    })
}

/// How timestamps of a file are read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    pub(crate) format: TimeFormat,
    pub(crate) zone: Option<Tz>,
}

impl Clock {
    /// Microseconds since 1970 in UTC.
    pub(crate) fn read(self, text: &str) -> Result<i64, Problem> {
        let text = text.trim_matches(' ');
        let owned = || text.to_owned();
        let refused = || {
            Problem::new(format!(
                "{} is not a timestamp (ISO 8601, such as 2024-07-01 10:00:00 or 2024-07-01T10:00:00.5+02:00)",
                quoted(text)
            ))
        };
        if let Some(number) = Decimal::read(text) {
            let Some(exponent) = exponent(self.format) else {
                return Err(refused().with_hint(match number.scaled(0) {
                    Some(number) => format!("if it counts from 1970, say so: --time-format {}", likely_format(number)),
                    None => {
                        "if it counts from 1970, say so with --time-format epoch_s, epoch_ms or epoch_us".to_owned()
                    }
                }));
            };
            let moment = number.scaled(exponent).ok_or_else(refused).and_then(|moment| in_range(moment, owned));
            // Such a number may count something smaller than what was said.
            return moment.map_err(|problem| match number.scaled(0).map(likely_format) {
                Some(likely) if likely.parse() != Ok(self.format) => {
                    problem.with_hint(format!("a number of this size is likely one of --time-format {likely}"))
                }
                _ => problem,
            });
        }
        let (local, rest) = split(text).ok_or_else(refused)?;
        let rest = rest.trim_start_matches(' ');
        match rest {
            "" => self.local(local, owned),
            "Z" | "z" => in_range(local, owned),
            _ if rest.starts_with(['+', '-']) => {
                let offset = offset(rest).ok_or_else(refused)?;
                in_range(local - offset * MICROSECONDS, owned)
            }
            name if name.starts_with(|first: char| first.is_ascii_alphabetic()) => {
                let zone = time_zone(name).map_err(|message| Problem::new(format!("{}: {message}", quoted(text))))?;
                in_range(in_zone(zone, local, text)?, owned)
            }
            _ => Err(refused()),
        }
    }

    /// A time without an offset: UTC, or in the zone that the options name.
    pub(crate) fn local(self, local: i64, text: impl Fn() -> String) -> Result<i64, Problem> {
        let local = in_range(local, &text)?;
        match self.zone {
            Some(zone) => in_range(in_zone(zone, local, &text())?, text),
            None => Ok(local),
        }
    }
}

/// Checks that all warehouses take it.
pub(crate) fn in_range(moment: i64, text: impl FnOnce() -> String) -> Result<i64, Problem> {
    if (FIRST..=LAST).contains(&moment) {
        Ok(moment)
    } else {
        Err(Problem::new(format!("{} is not within the years 0001 to 9999", quoted(&text()))))
    }
}

fn likely_format(number: i64) -> &'static str {
    match number.unsigned_abs() {
        0..=99_999_999_999 => "epoch_s",
        100_000_000_000..=99_999_999_999_999 => "epoch_ms",
        _ => "epoch_us",
    }
}

fn in_zone(zone: Tz, local: i64, text: &str) -> Result<i64, Problem> {
    let quoted = quoted(text);
    let out_of_range = || Problem::new(format!("{quoted} is not within the years 0001 to 9999"));
    let time = naive(local).ok_or_else(out_of_range)?;
    let name = zone.name();
    match zone.from_local_datetime(&time) {
        LocalResult::Single(moment) => Ok(moment.timestamp_micros()),
        LocalResult::Ambiguous(first, second) => Err(Problem::new(format!(
            "{quoted} is two moments in {name}: {} and {}",
            first.format("%H:%M:%S%:z"),
            second.format("%H:%M:%S%:z")
        ))
        .with_hint("write the offset from UTC after the time")),
        LocalResult::None => {
            Err(Problem::new(format!("{quoted} does not exist in {name}: the clocks went forward over it")))
        }
    }
}

fn naive(microseconds: i64) -> Option<NaiveDateTime> {
    chrono::DateTime::from_timestamp_micros(microseconds).map(|moment| moment.naive_utc())
}

/// A date and a time of day as if in UTC, and what stands after them.
fn split(text: &str) -> Option<(i64, &str)> {
    let bytes = text.as_bytes();
    let date = bytes.get(..10)?;
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let year = number(&date[..4])?;
    let days = days(i32::try_from(year).ok()?, number(&date[5..7])?, number(&date[8..10])?)?;
    let rest = text.get(10..)?;
    if rest.is_empty() {
        return Some((days * DAY * MICROSECONDS, rest));
    }
    let time = rest.as_bytes();
    if !matches!(time[0], b'T' | b't' | b' ') || time.len() < 6 || time[3] != b':' {
        return None;
    }
    let (hour, minute) = (number(&time[1..3])?, number(&time[4..6])?);
    let mut at = 6;
    let (mut second, mut fraction) = (0, 0);
    if time.get(at) == Some(&b':') {
        second = number(time.get(7..9)?)?;
        at = 9;
        if time.get(at) == Some(&b'.') {
            let digits = time[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            fraction =
                time[at + 1..at + 1 + digits.min(6)].iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
            fraction *= 10_i64.pow(u32::try_from(6 - digits.min(6)).ok()?);
            at += 1 + digits;
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days * DAY + i64::from(hour * 3600 + minute * 60 + second);
    Some((seconds * MICROSECONDS + fraction, rest.get(at..)?))
}

/// Digits only.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

fn days(year: i32, month: u32, day: u32) -> Option<i64> {
    // Every day up to the 28th is in every month.
    let date = NaiveDate::from_ymd_opt(year, month, day).filter(|_| year > 0)?;
    Some(i64::from(date.to_epoch_days()))
}

/// `+02`, `+02:00`, `+0200`, `+02:00:30`, in seconds.
fn offset(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let rest = &text.as_bytes()[1..];
    let (hours, minutes, seconds) = match (rest.len(), rest.get(2), rest.get(5)) {
        (2, ..) => (number(rest)?, 0, 0),
        (4, ..) => (number(&rest[..2])?, number(&rest[2..])?, 0),
        (5, Some(b':'), _) => (number(&rest[..2])?, number(&rest[3..])?, 0),
        (8, Some(b':'), Some(b':')) => (number(&rest[..2])?, number(&rest[3..5])?, number(&rest[6..])?),
        _ => return None,
    };
    (hours < 16 && minutes < 60 && seconds < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60 + seconds))
}

/// A timestamp as text: `2024-07-01 10:00:00`, with six digits of a second where they are not zero.
pub(crate) fn write(microseconds: i64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (microseconds.div_euclid(MICROSECONDS), microseconds.rem_euclid(MICROSECONDS));
    let second = seconds.rem_euclid(DAY);
    let date = i32::try_from(seconds.div_euclid(DAY)).ok().and_then(NaiveDate::from_epoch_days).unwrap_or_default();
    let mut text = *b"0000-00-00 00:00:00.000000";
    let mut put = |end: usize, digits: usize, mut number: i64| {
        for place in text[end - digits..end].iter_mut().rev() {
            *place = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
        }
    };
    put(4, 4, i64::from(date.year()));
    put(7, 2, i64::from(date.month()));
    put(10, 2, i64::from(date.day()));
    put(13, 2, second / 3600);
    put(16, 2, second / 60 % 60);
    put(19, 2, second % 60);
    put(26, 6, fraction);
    out.extend_from_slice(if fraction == 0 { &text[..19] } else { &text });
}

/// A timestamp as text; one that is too far away as its distance from 1970.
pub(crate) fn text(microseconds: i64) -> String {
    if !(FIRST..=LAST).contains(&microseconds) {
        return format!("{microseconds} microseconds since 1970");
    }
    let mut out = Vec::new();
    write(microseconds, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Result<String, String> {
        zoned(text, Clock::default())
    }

    fn zoned(text: &str, clock: Clock) -> Result<String, String> {
        clock.read(text).map(super::text).map_err(|problem| problem.message)
    }

    #[test]
    fn iso_8601_with_t_or_blank_is_taken() {
        for (text, expected) in [
            ("2024-07-01", "2024-07-01 00:00:00"),
            ("2024-07-01 10:02", "2024-07-01 10:02:00"),
            ("2024-07-01 10:02:03", "2024-07-01 10:02:03"),
            ("2024-07-01T10:02:03", "2024-07-01 10:02:03"),
            ("2024-07-01t10:02:03z", "2024-07-01 10:02:03"),
            ("2024-07-01 10:02:03.5", "2024-07-01 10:02:03.500000"),
            (" 2024-07-01 10:02:03 ", "2024-07-01 10:02:03"),
            ("2024-02-29 00:00:00", "2024-02-29 00:00:00"),
            ("0001-01-01 00:00:00", "0001-01-01 00:00:00"),
            ("9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999"),
        ] {
            assert_eq!(utc(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn offsets_and_zone_names_are_converted_to_utc() {
        for (text, expected) in [
            ("2024-10-27 02:30:00+02:00", "2024-10-27 00:30:00"),
            ("2024-10-27 02:10:00+01:00", "2024-10-27 01:10:00"),
            ("2024-07-01T10:05:00-07:00", "2024-07-01 17:05:00"),
            ("2024-07-01 10:00:00+02", "2024-07-01 08:00:00"),
            ("2024-07-01 10:00:00 +0530", "2024-07-01 04:30:00"),
            ("2024-07-01 10:00:00.25+00:00:30", "2024-07-01 09:59:30.250000"),
            ("2024-07-01 10:00:00 UTC", "2024-07-01 10:00:00"),
            ("2024-07-01 10:00 Europe/Berlin", "2024-07-01 08:00:00"),
            ("2024-01-01 10:00 Europe/Berlin", "2024-01-01 09:00:00"),
            ("2024-01-01 10:00:00 America/Argentina/Buenos_Aires", "2024-01-01 13:00:00"),
        ] {
            assert_eq!(utc(text).as_deref(), Ok(expected), "{text}");
        }
        let berlin = Clock { zone: Some(Tz::Europe__Berlin), ..Clock::default() };
        assert_eq!(zoned("2024-07-01 10:00:00", berlin).as_deref(), Ok("2024-07-01 08:00:00"));
        assert_eq!(zoned("2024-07-01 10:00:00Z", berlin).as_deref(), Ok("2024-07-01 10:00:00"));
    }

    #[test]
    fn a_local_time_that_is_two_moments_or_none_is_refused() {
        let berlin = Clock { zone: Some(Tz::Europe__Berlin), ..Clock::default() };
        let twice = zoned("2024-10-27 02:30:00", berlin);
        assert!(
            twice.as_ref().is_err_and(|message| message.contains("+02:00") && message.contains("+01:00")),
            "{twice:?}"
        );
        let never = zoned("2024-03-31 02:30:00", berlin);
        assert!(never.as_ref().is_err_and(|message| message.contains("does not exist")), "{never:?}");
        assert!(utc("2024-03-31 02:30:00 Europe/Berlin").is_err());
    }

    #[test]
    fn digits_beyond_the_microsecond_are_cut() {
        assert_eq!(utc("2024-07-01 10:00:59.9999999").as_deref(), Ok("2024-07-01 10:00:59.999999"));
        assert_eq!(utc("1969-12-31 23:59:59.123456999Z").as_deref(), Ok("1969-12-31 23:59:59.123456"));
        let seconds = Clock { format: TimeFormat::EpochSeconds, ..Clock::default() };
        assert_eq!(zoned("1719828059.9999999", seconds).as_deref(), Ok("2024-07-01 10:00:59.999999"));
        assert_eq!(zoned("-0.0000001", seconds).as_deref(), Ok("1969-12-31 23:59:59.999999"));
    }

    #[test]
    fn words_and_dates_that_do_not_exist_are_refused() {
        for text in [
            "infinity",
            "-infinity",
            "now",
            "today",
            "tomorrow",
            "yesterday",
            "epoch",
            "allballs",
            "NaN",
            "null",
            "",
            " ",
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "2024-07-01 24:00:00",
            "2024-07-01 10:60:00",
            "2024-07-01 10:00:60",
            "2024-07-01 10",
            "2024-07-01 1:00:00",
            "01/07/2024",
            "2024/07/01",
            "20240701T100000",
            "2024-07-01 10:00:00.",
            "2024-07-01 10:00:00+",
            "2024-07-01 10:00:00+25:00",
            "2024-07-01 10:00:00 CEST",
            "2024-07-01 10:00:00 Berlin",
            "2024-07-01 10:00:00 AM",
            "2024-07-01 10:00:00 BC",
            "0000-01-01",
            "10000-01-01",
            "-2024-07-01",
            "0001-01-01 00:00:00+01:00",
            "2024-07-01 10:00:00Z+01:00",
            "2024-07-01x10:00:00",
            "2024-07-0110:00:00",
            "2024-07-01 10:00:00,5",
            "٢٠٢٤-07-01",
        ] {
            assert!(utc(text).is_err(), "{text:?}: {:?}", utc(text));
        }
    }

    #[test]
    fn numbers_are_taken_only_when_asked() {
        assert!(utc("1719828000").is_err());
        let problem = Clock::default().read("1719828000123").err().and_then(|problem| problem.hint);
        assert!(problem.as_ref().is_some_and(|hint| hint.contains("epoch_ms")), "{problem:?}");
        for (format, text) in [
            (TimeFormat::EpochSeconds, "1719828000"),
            (TimeFormat::EpochSeconds, "1719828000.0"),
            (TimeFormat::EpochMilliseconds, "1719828000000"),
            (TimeFormat::EpochMilliseconds, "1.719828e12"),
            (TimeFormat::EpochMicroseconds, "1719828000000000"),
        ] {
            assert_eq!(zoned(text, Clock { format, zone: None }).as_deref(), Ok("2024-07-01 10:00:00"), "{text}");
        }
        let seconds = Clock { format: TimeFormat::EpochSeconds, zone: None };
        assert!(zoned("1719828000000000", seconds).is_err(), "beyond the year 9999");
        assert_eq!(zoned("2024-07-01", seconds).as_deref(), Ok("2024-07-01 00:00:00"));
        assert_eq!("epoch_ms".parse(), Ok(TimeFormat::EpochMilliseconds));
        assert!("epoch_mss".parse::<TimeFormat>().is_err_and(|message| message.contains("epoch_ms")));
    }

    #[test]
    fn zones_have_names_of_places() {
        assert_eq!(time_zone("Europe/Berlin"), Ok(Tz::Europe__Berlin));
        assert!(time_zone("Europe/Berlim").is_err_and(|message| message.contains("Europe/Berlin")));
        for name in ["CET", "EST", "Berlin", "", "europe"] {
            assert!(time_zone(name).is_err(), "{name}");
        }
    }
}
