//! System time, in 100 ns since 1601, and its calendar form.

/// 100 ns units in a millisecond.
const MILLISECOND: u64 = 10_000;
/// Milliseconds in a day.
const DAY: u64 = 86_400_000;
/// Days from 1601-01-01 to 0000-03-01, where the count of days below begins.
const DAYS_BEFORE: u64 = 584_694;
/// Days in 400 years.
const ERA: u64 = 146_097;
/// 1601-01-01 was a Monday.
const FIRST_WEEKDAY: u64 = 1;
/// First year of system time.
const YEAR_MIN: i16 = 1601;
/// Last year that the largest system time reaches whole.
const YEAR_MAX: i16 = 30_827;

/// `TIME_FIELDS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeFields {
    /// From 1601.
    pub year: i16,
    /// 1 to 12.
    pub month: i16,
    /// 1 to 31.
    pub day: i16,
    /// 0 to 23.
    pub hour: i16,
    /// 0 to 59.
    pub minute: i16,
    /// 0 to 59.
    pub second: i16,
    /// 0 to 999.
    pub milliseconds: i16,
    /// 0 is Sunday.
    pub weekday: i16,
}

/// Returns the calendar form of a system time.
#[must_use]
pub fn fields(time: u64) -> TimeFields {
    let milliseconds = time / MILLISECOND;
    let (days, rest) = (milliseconds / DAY, milliseconds % DAY);
    // Days since the 1st of March of the year 0: leap days are the last days of their years.
    let count = days + DAYS_BEFORE;
    let (era, day_of_era) = (count / ERA, count % ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (ERA - 1)) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * day_of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    TimeFields {
        year: (year_of_era + 400 * era + u64::from(month <= 2)) as i16,
        month: month as i16,
        day: (day_of_year - (153 * march + 2) / 5 + 1) as i16,
        hour: (rest / 3_600_000) as i16,
        minute: (rest / 60_000 % 60) as i16,
        second: (rest / 1000 % 60) as i16,
        milliseconds: (rest % 1000) as i16,
        weekday: ((days + FIRST_WEEKDAY) % 7) as i16,
    }
}

/// Returns the system time of a calendar form, whose weekday is not looked at. `None` if there is no such date or
/// time.
#[must_use]
pub fn time(fields: &TimeFields) -> Option<u64> {
    let within = |value: i16, range: core::ops::RangeInclusive<i16>| range.contains(&value).then_some(value as u64);
    let year = within(fields.year, YEAR_MIN..=YEAR_MAX)?;
    let month = within(fields.month, 1..=12)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_in_month = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let day = within(fields.day, 1..=days_in_month)?;
    let clock = ((within(fields.hour, 0..=23)? * 60 + within(fields.minute, 0..=59)?) * 60
        + within(fields.second, 0..=59)?)
        * 1000
        + within(fields.milliseconds, 0..=999)?;
    let year = year - u64::from(month <= 2);
    let march = if month > 2 { month - 3 } else { month + 9 };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * march + 2) / 5 + day - 1;
    let count = era * ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(((count - DAYS_BEFORE) * DAY + clock) * MILLISECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: i16, month: i16, day: i16) -> TimeFields {
        TimeFields { year, month, day, ..TimeFields::default() }
    }

    #[test]
    fn time_begins_on_a_monday_in_1601() {
        assert_eq!(fields(0), TimeFields { weekday: 1, ..date(1601, 1, 1) });
        assert_eq!(time(&date(1601, 1, 1)), Some(0));
    }

    #[test]
    fn the_unix_epoch_is_its_known_system_time() {
        assert_eq!(time(&date(1970, 1, 1)), Some(116_444_736_000_000_000));
        let then = fields(116_444_736_000_000_000 + 951_827_696 * 10_000_000 + 1_230_000);
        let expected =
            TimeFields { hour: 12, minute: 34, second: 56, milliseconds: 123, weekday: 2, ..date(2000, 2, 29) };
        assert_eq!(then, expected);
    }

    #[test]
    fn converts_each_day_of_eight_centuries_both_ways() {
        let mut last = None;
        for day in 0..2 * ERA {
            let time_of_day = day * DAY * MILLISECOND;
            let found = fields(time_of_day);
            assert_eq!(time(&found), Some(time_of_day), "{found:?}");
            assert!(last.is_none_or(
                |last: TimeFields| (last.year, last.month, last.day) < (found.year, found.month, found.day)
            ));
            last = Some(found);
        }
    }

    #[test]
    fn refuses_dates_that_do_not_exist() {
        for (year, month, day) in
            [(1600, 12, 31), (1900, 2, 29), (2001, 4, 31), (2001, 13, 1), (2001, 0, 1), (2001, 1, 0)]
        {
            assert_eq!(time(&date(year, month, day)), None, "{year}-{month}-{day}");
        }
        assert!(time(&date(2000, 2, 29)).is_some());
        assert_eq!(time(&TimeFields { hour: 24, ..date(2001, 1, 1) }), None);
    }
}
