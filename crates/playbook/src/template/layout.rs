//! Times in Go's layouts: a layout is Go's reference time, written as the result is to look.
//! Source: <https://pkg.go.dev/time#pkg-constants>.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A moment on the clocks of a place.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// What calendar and clock show there.
    pub(crate) local: DateTime,
    /// Seconds east of UTC.
    pub(crate) offset: i32,
    /// The zone's abbreviation.
    pub(crate) abbreviation: String,
}

impl Moment {
    /// Now, in the zone of the environment (`TZ`) or the system; UTC if there is none.
    pub(crate) fn now() -> Self {
        let (now, zone) = (Timestamp::now(), TimeZone::system());
        // In Go, TZ is the name of a zone or a file's path: a rule such as CET-1CEST is neither, so the zone is UTC.
        let is_path = |name: &str| name.trim_start_matches(':').starts_with('/');
        let by_rule = zone.iana_name().is_none() && std::env::var("TZ").is_ok_and(|name| !is_path(&name));
        let zone = if zone.is_unknown() || by_rule { TimeZone::UTC } else { zone };
        let here = zone.to_offset_info(now);
        let abbreviation = here.abbreviation().to_owned();
        Self { local: here.offset().to_datetime(now), offset: here.offset().seconds(), abbreviation }
    }

    /// This moment in a layout of Go's.
    pub(crate) fn in_layout(&self, layout: &str) -> String {
        let mut text = String::new();
        let mut rest = layout;
        while let Some(character) = rest.chars().next() {
            match part_at(rest) {
                Some((part, length)) => {
                    self.write(&mut text, part);
                    rest = &rest[length..];
                }
                // An underscore before the year is no padding of the day "2".
                None if rest.starts_with("_2006") => {
                    text.push('_');
                    self.write(&mut text, Part::Year);
                    rest = &rest["_2006".len()..];
                }
                None => {
                    text.push(character);
                    rest = &rest[character.len_utf8()..];
                }
            }
        }
        text
    }

    fn write(&self, text: &mut String, part: Part) {
        let local = &self.local;
        let hour = (local.hour() + 11) % 12 + 1;
        let morning = local.hour() < 12;
        let month = MONTHS[usize::from(local.month().unsigned_abs()) - 1];
        let weekday = WEEKDAYS[usize::from(local.weekday().to_monday_zero_offset().unsigned_abs())];
        text.push_str(&match part {
            Part::Month => month.to_owned(),
            Part::ShortMonth => month[..3].to_owned(),
            Part::NumberOfMonth => local.month().to_string(),
            Part::PaddedMonth => format!("{:02}", local.month()),
            Part::Weekday => weekday.to_owned(),
            Part::ShortWeekday => weekday[..3].to_owned(),
            Part::Day => local.day().to_string(),
            Part::SpacedDay => format!("{:2}", local.day()),
            Part::PaddedDay => format!("{:02}", local.day()),
            Part::SpacedDayOfYear => format!("{:3}", local.date().day_of_year()),
            Part::PaddedDayOfYear => format!("{:03}", local.date().day_of_year()),
            Part::Hour => format!("{:02}", local.hour()),
            Part::HalfDayHour => hour.to_string(),
            Part::PaddedHalfDayHour => format!("{hour:02}"),
            Part::Minute => local.minute().to_string(),
            Part::PaddedMinute => format!("{:02}", local.minute()),
            Part::Second => local.second().to_string(),
            Part::PaddedSecond => format!("{:02}", local.second()),
            Part::Year => format!("{:04}", local.year()),
            Part::ShortYear => format!("{:02}", local.year().rem_euclid(100)),
            Part::UpperHalfOfDay => if morning { "AM" } else { "PM" }.to_owned(),
            Part::LowerHalfOfDay => if morning { "am" } else { "pm" }.to_owned(),
            Part::Abbreviation => self.abbreviation.clone(),
            Part::Offset { z: true, .. } if self.offset == 0 => "Z".to_owned(),
            Part::Offset { colon, precision, .. } => self.offset(colon, precision),
            Part::Fraction { separator, digits, trimmed } => {
                let nanoseconds = format!("{:09}", local.subsec_nanosecond());
                let shown: String = nanoseconds.chars().take(digits).collect();
                let shown = if trimmed { shown.trim_end_matches('0') } else { &shown };
                if shown.is_empty() { String::new() } else { format!("{separator}{shown}") }
            }
        });
    }

    fn offset(&self, colon: bool, precision: Precision) -> String {
        let sign = if self.offset < 0 { '-' } else { '+' };
        let seconds = self.offset.unsigned_abs();
        let colon = if colon { ":" } else { "" };
        let mut text = format!("{sign}{:02}", seconds / 3600);
        if precision != Precision::Hours {
            text.push_str(&format!("{colon}{:02}", seconds / 60 % 60));
        }
        if precision == Precision::Seconds {
            text.push_str(&format!("{colon}{:02}", seconds % 60));
        }
        text
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// How far an offset from UTC is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    Hours,
    Minutes,
    Seconds,
}

/// A part of a layout that stands for a part of the time.
#[derive(Clone, Copy, Debug)]
enum Part {
    Month,
    ShortMonth,
    NumberOfMonth,
    PaddedMonth,
    Weekday,
    ShortWeekday,
    Day,
    SpacedDay,
    PaddedDay,
    SpacedDayOfYear,
    PaddedDayOfYear,
    Hour,
    HalfDayHour,
    PaddedHalfDayHour,
    Minute,
    PaddedMinute,
    Second,
    PaddedSecond,
    Year,
    ShortYear,
    UpperHalfOfDay,
    LowerHalfOfDay,
    Abbreviation,
    Offset { z: bool, colon: bool, precision: Precision },
    Fraction { separator: char, digits: usize, trimmed: bool },
}

const fn offset(z: bool, colon: bool, precision: Precision) -> Part {
    Part::Offset { z, colon, precision }
}

/// The parts with fixed spellings; where one begins another, the longer stands first.
const PARTS: &[(&str, Part)] = &[
    ("January", Part::Month),
    ("Monday", Part::Weekday),
    ("MST", Part::Abbreviation),
    ("2006", Part::Year),
    ("__2", Part::SpacedDayOfYear),
    ("002", Part::PaddedDayOfYear),
    ("_2", Part::SpacedDay),
    ("01", Part::PaddedMonth),
    ("02", Part::PaddedDay),
    ("03", Part::PaddedHalfDayHour),
    ("04", Part::PaddedMinute),
    ("05", Part::PaddedSecond),
    ("06", Part::ShortYear),
    ("15", Part::Hour),
    ("1", Part::NumberOfMonth),
    ("2", Part::Day),
    ("3", Part::HalfDayHour),
    ("4", Part::Minute),
    ("5", Part::Second),
    ("PM", Part::UpperHalfOfDay),
    ("pm", Part::LowerHalfOfDay),
    ("-070000", offset(false, false, Precision::Seconds)),
    ("-07:00:00", offset(false, true, Precision::Seconds)),
    ("-0700", offset(false, false, Precision::Minutes)),
    ("-07:00", offset(false, true, Precision::Minutes)),
    ("-07", offset(false, false, Precision::Hours)),
    ("Z070000", offset(true, false, Precision::Seconds)),
    ("Z07:00:00", offset(true, true, Precision::Seconds)),
    ("Z0700", offset(true, false, Precision::Minutes)),
    ("Z07:00", offset(true, true, Precision::Minutes)),
    ("Z07", offset(true, false, Precision::Hours)),
];

/// The part that a layout begins with, and its length.
fn part_at(layout: &str) -> Option<(Part, usize)> {
    if layout.starts_with("_2006") {
        return None;
    }
    let fixed = PARTS.iter().find(|(spelling, _)| layout.starts_with(spelling));
    if let Some((spelling, part)) = fixed {
        return Some((*part, spelling.len()));
    }
    // "Jan" and "Mon" are names cut short, unless they begin a word: "Monkey" is no Monday.
    for (spelling, part) in [("Jan", Part::ShortMonth), ("Mon", Part::ShortWeekday)] {
        if let Some(rest) = layout.strip_prefix(spelling) {
            return (!rest.starts_with(|next: char| next.is_ascii_lowercase())).then_some((part, spelling.len()));
        }
    }
    fraction_at(layout)
}

/// A fraction of a second: a point or comma, then noughts or nines, then no other digit.
fn fraction_at(layout: &str) -> Option<(Part, usize)> {
    let separator = layout.chars().next().filter(|first| ['.', ','].contains(first))?;
    let rest = &layout[1..];
    let digit = rest.chars().next().filter(|first| ['0', '9'].contains(first))?;
    let digits = rest.len() - rest.trim_start_matches(digit).len();
    let ends = !rest[digits..].starts_with(|next: char| next.is_ascii_digit());
    ends.then_some((Part::Fraction { separator, digits, trimmed: digit == '9' }, digits + 1))
}
