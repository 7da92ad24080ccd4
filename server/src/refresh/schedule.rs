//! `REFRESH EVERY|AFTER …` read from its text, and when the next refresh is. Pure: the time is given.

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use pumphouse_query::error::codes;
use pumphouse_query::{Error, Result};

const SECOND_US: u64 = 1_000_000;
const WEEK_SECONDS: u64 = 7 * 86_400;
/// 1970-01-05 was a Monday.
const FIRST_MONDAY_SECONDS: u64 = 4 * 86_400;

/// A length of time as people say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interval {
    pub months: u32,
    pub seconds: u64,
}

/// The clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// EVERY rather than AFTER.
    pub every: bool,
    pub interval: Interval,
    pub offset: Interval,
    pub spread: Interval,
    /// `database.name` or `name` of the views that come first.
    pub depends_on: Vec<String>,
    pub append: bool,
}

impl Schedule {
    /// Reads the clause; error 36 for what makes no sense.
    pub fn parse(text: &str) -> Result<Schedule> {
        let text = text.replace(',', " , ");
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut words = Words { words: &words, at: 0 };
        if !words.take("REFRESH") {
            return Err(bad("REFRESH is expected"));
        }
        let every = words.take("EVERY");
        if !every && !words.take("AFTER") {
            return Err(bad("EVERY or AFTER is expected behind REFRESH"));
        }
        let mut schedule = Schedule {
            every,
            interval: words.interval()?,
            offset: Interval::default(),
            spread: Interval::default(),
            depends_on: vec![],
            append: false,
        };
        if schedule.interval == Interval::default() {
            return Err(bad("the interval between refreshes must be positive"));
        }
        while let Some(word) = words.next() {
            match word.to_ascii_uppercase().as_str() {
                "OFFSET" if every => schedule.offset = words.interval()?,
                "OFFSET" => return Err(bad("OFFSET is for REFRESH EVERY")),
                "RANDOMIZE" if words.take("FOR") => schedule.spread = words.interval()?,
                "DEPENDS" if words.take("ON") => schedule.depends_on = words.names(),
                "APPEND" => schedule.append = true,
                // Settings of retries have their defaults here.
                "SETTINGS" => {
                    while words.peek().is_some_and(|w| !w.eq_ignore_ascii_case("APPEND")) {
                        words.at += 1;
                    }
                }
                other => return Err(bad(&format!("{other} is not expected"))),
            }
        }
        let shorter = |a: Interval, b: Interval| rough_seconds(a) < rough_seconds(b);
        if schedule.offset != Interval::default() && !shorter(schedule.offset, schedule.interval) {
            return Err(bad("OFFSET must be less than the period"));
        }
        Ok(schedule)
    }

    /// When the refresh behind `now_us` is due; `random` (any number) spreads it.
    pub fn next(&self, now_us: u64, random: u64) -> u64 {
        let due = match self.every {
            true => self.next_slot(now_us),
            false => add(now_us, self.interval),
        };
        let spread_us = rough_seconds(self.spread) * SECOND_US;
        let shift = random % (spread_us + 1);
        (due + shift).saturating_sub(spread_us / 2).max(now_us)
    }

    fn next_slot(&self, now_us: u64) -> u64 {
        // A slot may have begun already and be due by its offset only.
        let before = now_us.saturating_sub(rough_seconds(self.offset) * SECOND_US);
        let mut slot = match self.interval {
            Interval { months: 0, seconds } => {
                let base =
                    if seconds.is_multiple_of(WEEK_SECONDS) { FIRST_MONDAY_SECONDS } else { 0 };
                let now = (before / SECOND_US).saturating_sub(base);
                (now / seconds * seconds + base) * SECOND_US
            }
            interval => {
                let date = date_of(before);
                let month = (date.year().max(0) as u32) * 12 + date.month0();
                let first = month / interval.months * interval.months;
                let begin = NaiveDate::from_ymd_opt((first / 12) as i32, first % 12 + 1, 1);
                micros(begin.unwrap_or_default())
            }
        };
        while add(slot, self.offset) <= now_us {
            slot = add(slot, self.interval);
        }
        add(slot, self.offset)
    }
}

fn bad(text: &str) -> Error {
    Error::new(codes::BAD_ARGUMENTS, format!("Incorrect REFRESH clause: {text}"))
}

fn rough_seconds(interval: Interval) -> u64 {
    u64::from(interval.months) * 30 * 86_400 + interval.seconds
}

fn date_of(us: u64) -> NaiveDate {
    DateTime::<Utc>::from_timestamp_micros(us as i64).map(|t| t.date_naive()).unwrap_or_default()
}

fn micros(date: NaiveDate) -> u64 {
    date.and_hms_opt(0, 0, 0).map_or(0, |t| t.and_utc().timestamp_micros().max(0) as u64)
}

fn add(us: u64, interval: Interval) -> u64 {
    let moved = match interval.months {
        0 => us,
        months => {
            let time = DateTime::<Utc>::from_timestamp_micros(us as i64).unwrap_or_default();
            let later = time.checked_add_months(Months::new(months)).unwrap_or(time);
            later.timestamp_micros().max(0) as u64
        }
    };
    moved + interval.seconds * SECOND_US
}

struct Words<'a> {
    words: &'a [&'a str],
    at: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|w| w.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    /// `1 DAY 2 HOUR`.
    fn interval(&mut self) -> Result<Interval> {
        let mut interval = Interval::default();
        while let Some(number) = self.peek().and_then(|w| w.parse::<u32>().ok()) {
            self.at += 1;
            let unit = self.next().unwrap_or_default().to_ascii_uppercase();
            let number64 = u64::from(number);
            match unit.trim_end_matches('S') {
                "SECOND" => interval.seconds += number64,
                "MINUTE" => interval.seconds += number64 * 60,
                "HOUR" => interval.seconds += number64 * 3600,
                "DAY" => interval.seconds += number64 * 86_400,
                "WEEK" => interval.seconds += number64 * WEEK_SECONDS,
                "MONTH" => interval.months = interval.months.saturating_add(number),
                "YEAR" => {
                    interval.months = interval.months.saturating_add(number.saturating_mul(12))
                }
                other => return Err(bad(&format!("{other} is no unit of time"))),
            }
        }
        match interval.months <= 12 * 1000 {
            true => Ok(interval),
            false => Err(bad("the interval is too long")),
        }
    }

    fn names(&mut self) -> Vec<String> {
        let mut names = vec![];
        while let Some(name) = self.next() {
            names.push(name.replace('`', ""));
            if !self.take(",") {
                break;
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> u64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros() as u64
    }

    #[test]
    fn clauses_are_read() {
        let text =
            "REFRESH EVERY 1 DAY OFFSET 2 HOUR RANDOMIZE FOR 1 MINUTE DEPENDS ON a, d.b APPEND";
        let schedule = Schedule::parse(text).unwrap();
        assert!(schedule.every && schedule.append);
        assert_eq!(schedule.offset.seconds, 7200);
        assert_eq!(schedule.depends_on, ["a", "d.b"]);
        for wrong in [
            "REFRESH",
            "REFRESH AFTER 1 DAY OFFSET 1 HOUR",
            "REFRESH EVERY 0 DAY",
            "REFRESH EVERY 1 FOO",
        ] {
            assert!(Schedule::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn slots_follow_the_calendar() {
        let next = |text: &str, now: &str| Schedule::parse(text).unwrap().next(at(now), 0);
        let now = "2026-03-11T10:20:30Z";
        assert_eq!(next("REFRESH EVERY 1 HOUR", now), at("2026-03-11T11:00:00Z"));
        assert_eq!(next("REFRESH EVERY 1 HOUR OFFSET 30 MINUTE", now), at("2026-03-11T10:30:00Z"));
        assert_eq!(next("REFRESH EVERY 1 WEEK", now), at("2026-03-16T00:00:00Z"));
        assert_eq!(next("REFRESH EVERY 1 MONTH OFFSET 3 DAY", now), at("2026-04-04T00:00:00Z"));
        assert_eq!(next("REFRESH EVERY 1 YEAR", now), at("2027-01-01T00:00:00Z"));
        assert_eq!(next("REFRESH AFTER 90 SECOND", now), at("2026-03-11T10:22:00Z"));
    }
}
