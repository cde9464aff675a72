//! From when on.

use super::Insight;

/// From when on rows are looked at: a point in time in UTC, or so many days ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// A date, or a date and a time, as SQL writes it.
    Time(String),
    /// So many days before now.
    Days(u32),
}

impl std::str::FromStr for Since {
    type Err = String;

    /// `2026-01-31`, `2026-01-31 12:00`, `2026-01-31T12:00:00`, or `7d`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no date (2026-01-31), time (2026-01-31 12:00) or number of days (7d)");
        if let Some(days) = text.strip_suffix('d') {
            return days.parse().map(Self::Days).map_err(|_| wrong());
        }
        let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
        let numbers = |text: &str, separator: char, widths: &[usize]| -> Option<Vec<u32>> {
            let parts: Vec<&str> = text.split(separator).collect();
            let fits = parts.len() == widths.len()
                && parts
                    .iter()
                    .zip(widths)
                    .all(|(part, width)| part.len() == *width && part.bytes().all(|letter| letter.is_ascii_digit()));
            fits.then(|| parts.iter().filter_map(|part| part.parse().ok()).collect())
        };
        let date = numbers(date, '-', &[4, 2, 2]).ok_or_else(wrong)?;
        let time = numbers(time, ':', &[2, 2, 2]).or_else(|| numbers(time, ':', &[2, 2])).ok_or_else(wrong)?;
        let (year, month, day) = (date[0], date[1], date[2]);
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            _ => 31,
        };
        let second = time.get(2).copied().unwrap_or(0);
        let is_time = time[0] < 24 && time[1] < 60 && second < 60;
        if year == 0 || !(1..=12).contains(&month) || !(1..=days).contains(&day) || !is_time {
            return Err(wrong());
        }
        Ok(Self::Time(format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{second:02}", time[0], time[1])))
    }
}

impl Insight<'_> {
    /// The condition that a time is not before; that always holds if none is given.
    pub(super) fn since(&self, time: &str, since: Option<&Since>) -> String {
        match since {
            None => "1 = 1".to_owned(),
            Some(Since::Days(days)) => format!("{time} >= {}", self.dialect.minus_days(&self.dialect.now(), *days)),
            Some(Since::Time(text)) => {
                let of_time = self.dialect.column_type(crate::table::ColumnType::Timestamp);
                format!("{time} >= CAST({} AS {of_time})", self.dialect.text(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_times_and_days_are_read_and_nothing_else() {
        let time = |text: &str| Ok(Since::Time(text.to_owned()));
        assert_eq!("2026-01-31".parse(), time("2026-01-31 00:00:00"));
        assert_eq!("2024-02-29 07:05".parse(), time("2024-02-29 07:05:00"));
        assert_eq!("2026-12-01T23:59:59".parse(), time("2026-12-01 23:59:59"));
        assert_eq!("7d".parse(), Ok(Since::Days(7)));
        for wrong in ["", "d", "-1d", "2026", "2026-2-1", "2026-02-29", "2026-04-31", "2026-13-01", "2026-01-01 24:00"]
        {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
        assert!("2026-01-01'; DROP TABLE x; --".parse::<Since>().is_err());
    }
}
