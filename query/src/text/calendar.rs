//! Dates by integer arithmetic and zone offsets by table.
//!
//! Days count from 1970-01-01, seconds from the epoch; both may be negative. UTC costs nothing. Other
//! zones keep one table each of offsets per four-day block from 1970 to 2106, built at first use;
//! blocks with a transition, and times outside, ask chrono-tz. After 2090 the rules of an equal
//! year before hold for ever. Leaves out leap seconds, as ClickHouse does.

use std::sync::OnceLock;

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone as _};
use chrono_tz::TZ_VARIANTS;
use pumphouse_storage::types::TimeZone;

pub const SECONDS_PER_DAY: i64 = 86_400;

/// Year, month (1–12) and day (1–31) of a day number.
#[inline]
pub fn civil_from_days(days: i32) -> (i32, u32, u32) {
    let z = days as i64 + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097) as u32;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era as i64 + era * 400 + i64::from(month <= 2);
    (year as i32, month, day)
}

/// Day number of a date. A day past the month's end runs on into the next month.
#[inline]
pub fn days_from_civil(year: i32, month: u32, day: u32) -> i32 {
    let year = year as i64 - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month as i64 + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day as i64 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era - 719_468) as i32
}

pub fn is_leap_year(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Monday 1 … Sunday 7.
#[inline]
pub fn weekday(days: i32) -> u32 {
    (days as i64 + 3).rem_euclid(7) as u32 + 1
}

/// A wall-clock time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    pub year: i32,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
}

/// Splits seconds of a wall clock (local seconds, already shifted by the offset).
#[inline]
pub fn civil_from_local_seconds(local: i64) -> Civil {
    let days = local.div_euclid(SECONDS_PER_DAY);
    let rest = local.rem_euclid(SECONDS_PER_DAY) as u32;
    let (year, month, day) = civil_from_days(days as i32);
    Civil { year, month, day, hour: rest / 3600, minute: rest / 60 % 60, second: rest % 60 }
}

/// The wall clock of `zone` at `utc` seconds.
#[inline]
pub fn civil_at(zone: TimeZone, utc: i64) -> Civil {
    civil_from_local_seconds(to_local(zone, utc))
}

/// Local seconds of `zone` at `utc`.
#[inline]
pub fn to_local(zone: TimeZone, utc: i64) -> i64 {
    utc.saturating_add(offset_at(zone, utc) as i64)
}

const BLOCK_SECONDS: i64 = 4 * SECONDS_PER_DAY;
const BLOCKS: i64 = (1 << 32) / BLOCK_SECONDS;
/// Marks a block in which the offset changes.
const CHANGES: i32 = i32::MIN;

fn table(zone: TimeZone) -> &'static [i32] {
    static TABLES: OnceLock<Vec<OnceLock<Box<[i32]>>>> = OnceLock::new();
    let tables = TABLES.get_or_init(|| TZ_VARIANTS.iter().map(|_| OnceLock::new()).collect());
    let Some(slot) = tables.get(zone.0 as usize) else { return &[] };
    slot.get_or_init(|| {
        (0..BLOCKS)
            .map(|block| {
                let start = offset_slow(zone, block * BLOCK_SECONDS);
                let end = offset_slow(zone, (block + 1) * BLOCK_SECONDS - 1);
                if start == end { start } else { CHANGES }
            })
            .collect()
    })
}

/// The offset from UTC, in seconds east, that `zone` has at `utc`.
#[inline]
pub fn offset_at(zone: TimeZone, utc: i64) -> i32 {
    if zone == TimeZone::UTC {
        return 0;
    }
    if utc >= 0 {
        match table(zone).get((utc / BLOCK_SECONDS) as usize) {
            Some(&offset) if offset != CHANGES => return offset,
            _ => {}
        }
    }
    offset_slow(zone, utc)
}

fn offset_slow(zone: TimeZone, utc: i64) -> i32 {
    let utc = utc - shift_into_known_years(utc);
    match DateTime::from_timestamp(utc, 0) {
        Some(t) => zone.0.offset_from_utc_datetime(&t.naive_utc()).fix().local_minus_utc(),
        None => 0,
    }
}

/// Seconds to subtract so that the time falls into a year of the same shape that chrono-tz knows.
fn shift_into_known_years(seconds: i64) -> i64 {
    let days = seconds.div_euclid(SECONDS_PER_DAY).clamp(i32::MIN as i64 / 2, i32::MAX as i64 / 2);
    let (year, _, _) = civil_from_days(days as i32);
    if year <= 2090 {
        return 0;
    }
    let first = days_from_civil(year, 1, 1);
    let same_shape = (2062..2090).find(|y| {
        is_leap_year(*y) == is_leap_year(year)
            && weekday(days_from_civil(*y, 1, 1)) == weekday(first)
    });
    let known = days_from_civil(same_shape.unwrap_or(2089), 1, 1);
    (first as i64 - known as i64) * SECONDS_PER_DAY
}

/// UTC seconds of a wall-clock time. A time that occurs twice is the first one; one that is skipped
/// takes the offset after the gap.
#[inline]
pub fn local_to_utc(zone: TimeZone, local: i64) -> i64 {
    if zone == TimeZone::UTC {
        return local;
    }
    if local >= BLOCK_SECONDS {
        // An offset is below a day: if neither side of it changes, there is only one answer.
        let table = table(zone);
        let before = table.get(((local - SECONDS_PER_DAY) / BLOCK_SECONDS) as usize);
        let after = table.get(((local + SECONDS_PER_DAY) / BLOCK_SECONDS) as usize);
        if let (Some(&a), Some(&b)) = (before, after)
            && a == b
            && a != CHANGES
        {
            return local - a as i64;
        }
    }
    local_to_utc_slow(zone, local)
}

fn local_to_utc_slow(zone: TimeZone, local: i64) -> i64 {
    let shift = shift_into_known_years(local);
    let naive = |seconds: i64| -> Option<NaiveDateTime> {
        DateTime::from_timestamp(seconds, 0).map(|t| t.naive_utc())
    };
    // A gap is seldom longer than three hours, and at most a day.
    for ahead in [0, 3 * 3600, 25 * 3600] {
        let Some(t) = naive(local - shift + ahead) else { return local };
        if let Some(offset) = zone.0.offset_from_local_datetime(&t).earliest() {
            return local - offset.fix().local_minus_utc() as i64;
        }
    }
    local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_both_ways() {
        for days in (-800_000..3_000_000).step_by(37) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(weekday(0), 4);
        assert_eq!(days_from_civil(2025, 2, 30), days_from_civil(2025, 3, 2));
    }

    #[test]
    fn table_agrees_with_the_rules() {
        let berlin = TimeZone::parse("Europe/Berlin").unwrap();
        let new_york = TimeZone::parse("America/New_York").unwrap();
        for zone in [berlin, new_york] {
            for utc in (-3_000_000_000i64..9_000_000_000).step_by(7_777_777) {
                assert_eq!(offset_at(zone, utc), offset_slow(zone, utc), "{utc}");
                let local = to_local(zone, utc);
                let back = local_to_utc(zone, local);
                assert_eq!(back, local_to_utc_slow(zone, local));
                assert_eq!(to_local(zone, back), local);
            }
        }
    }

    #[test]
    fn gaps_and_overlaps() {
        let berlin = TimeZone::parse("Europe/Berlin").unwrap();
        let new_york = TimeZone::parse("America/New_York").unwrap();
        let local = |y, mo, d, h: i64, mi: i64| {
            days_from_civil(y, mo, d) as i64 * SECONDS_PER_DAY + h * 3600 + mi * 60
        };
        assert_eq!(local_to_utc(berlin, local(2025, 3, 30, 2, 30)), 1743294600);
        assert_eq!(local_to_utc(berlin, local(2025, 10, 26, 2, 30)), 1761438600);
        assert_eq!(local_to_utc(new_york, local(2025, 3, 9, 2, 30)), 1741501800);
        assert_eq!(local_to_utc(new_york, local(2025, 11, 2, 1, 30)), 1762061400);
        assert_eq!(local_to_utc(berlin, local(2250, 7, 1, 12, 0)), 8851629600);
    }
}
