//! Civil time: converts between local time and UTC, and to PostgreSQL's epoch.

use crate::value::{Civil, HandOver, Precision, Read, Timestamp};

/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
const POSTGRES_EPOCH: i64 = 10_957;
const MINUTES_A_DAY: i64 = 1_440;

/// Checks the members' ranges; the year, also in UTC, is from 1 to 9999, as in Python.
pub fn checked(timestamp: Timestamp) -> Read<Timestamp> {
    let civil = &timestamp.civil;
    let in_range = (1..=9999).contains(&civil.year)
        && (1..=12).contains(&civil.month)
        && (1..=days_in_month(civil.year, civil.month)).contains(&civil.day)
        && civil.hour < 24
        && civil.minute < 60
        && civil.second < 60
        && timestamp.fraction_digits <= 9 // amazon.ion reads no more
        && timestamp.offset.is_none_or(|minutes| minutes.abs() < 1_440)
        && (1..=9999).contains(&utc(&timestamp).year);
    if in_range { Ok(timestamp) } else { Err(HandOver("a time out of range")) }
}

/// Returns the timestamp's members in UTC; unchanged if the offset is unknown.
pub fn utc(timestamp: &Timestamp) -> Civil {
    shifted(&timestamp.civil, -i64::from(timestamp.offset.unwrap_or(0)))
}

/// Adds minutes to a civil time.
pub fn shifted(civil: &Civil, minutes: i64) -> Civil {
    if minutes == 0 {
        return *civil;
    }
    let days = days_from_civil(civil.year, civil.month, civil.day);
    let total = days * MINUTES_A_DAY + i64::from(civil.hour) * 60 + i64::from(civil.minute) + minutes;
    let (year, month, day) = civil_from_days(total.div_euclid(MINUTES_A_DAY));
    let of_day = total.rem_euclid(MINUTES_A_DAY) as u32;
    Civil { year, month, day, hour: of_day / 60, minute: of_day % 60, second: civil.second }
}

/// Returns microseconds since 2000-01-01 UTC, for a time of day with at most six digits of fraction.
pub fn microseconds(timestamp: &Timestamp) -> Option<i64> {
    let civil = utc(timestamp);
    // One year of room at both ends, so that a minute can be added.
    let whole = timestamp.precision == Precision::Second && (2..=9998).contains(&civil.year);
    if !whole || timestamp.fraction_digits > 6 {
        return None;
    }
    let days = days_from_civil(civil.year, civil.month, civil.day) - POSTGRES_EPOCH;
    let seconds = (days * 24 + i64::from(civil.hour)) * 60 + i64::from(civil.minute);
    let fraction = timestamp.fraction * 10_u64.pow(6 - timestamp.fraction_digits);
    Some((seconds * 60 + i64::from(civil.second)) * 1_000_000 + i64::try_from(fraction).ok()?)
}

/// Returns the time in UTC of microseconds since 2000-01-01 UTC, with so many digits of fraction (at most six); none if
/// it has more, or is out of range.
pub fn from_microseconds(microseconds: i64, digits: u32) -> Option<Timestamp> {
    let unit = 10_i64.pow(6_u32.checked_sub(digits)?);
    let (seconds, fraction) = (microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000));
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u32);
    let (year, month, day) = civil_from_days(days.checked_add(POSTGRES_EPOCH)?);
    if fraction % unit != 0 || !(2..=9998).contains(&year) {
        return None;
    }
    let civil =
        Civil { year, month, day, hour: of_day / 3_600, minute: of_day / 60 % 60, second: of_day % 60 };
    let fraction = (fraction / unit).unsigned_abs();
    Some(Timestamp {
        precision: Precision::Second,
        civil,
        offset: Some(0),
        fraction,
        fraction_digits: digits,
    })
}

fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i32, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    ((year_of_era + era * 400 + i64::from(month <= 2)) as i32, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_converts_to_its_number_and_back() {
        for days in days_from_civil(1, 1, 1)..=days_from_civil(9999, 12, 31) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            assert!((1..=days_in_month(year, month)).contains(&day));
        }
        assert_eq!(days_from_civil(2000, 1, 1), POSTGRES_EPOCH);
    }

    #[test]
    fn microseconds_convert_to_a_time_and_back() {
        for value in [0, 1_000, -1_000, 86_399_999_000, -86_400_000_000, 820_454_400_123_000] {
            assert_eq!(from_microseconds(value, 3).as_ref().and_then(microseconds), Some(value));
        }
        assert_eq!(from_microseconds(1, 3), None);
        assert_eq!(from_microseconds(i64::MAX, 6), None);
        assert_eq!(from_microseconds(i64::MIN, 6), None);
    }

    #[test]
    fn local_time_can_be_in_another_year_than_utc() {
        let civil = Civil { year: 2000, month: 1, day: 1, hour: 0, minute: 30, second: 5 };
        let before = Civil { year: 1999, month: 12, day: 31, hour: 23, minute: 30, second: 5 };
        assert_eq!(shifted(&civil, -60), before);
        assert_eq!(shifted(&before, 60), civil);
    }
}
