//! Times and sizes as people read them.

const SECOND_MS: u64 = 1_000;
const DAY_S: u64 = 86_400;

/// `3 min ago`, for a list; what lies ahead is `now`: clocks of two machines differ.
pub fn ago(at_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(at_ms) / SECOND_MS;
    match seconds {
        0 => "now".into(),
        1..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..DAY_S => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / DAY_S),
    }
}

/// `2026-11-23T07:46:34.012Z`. Source: RFC 3339 5.6.
pub fn rfc_3339(at_ms: u64) -> String {
    let (year, month, day) = date(at_ms / SECOND_MS / DAY_S);
    format!("{year:04}-{month:02}-{day:02}T{}Z", time_of_day(at_ms))
}

/// `07:46:34.012`, UTC.
pub fn time_of_day(at_ms: u64) -> String {
    let (seconds, ms) = (at_ms / SECOND_MS % DAY_S, at_ms % SECOND_MS);
    format!("{:02}:{:02}:{:02}.{ms:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Year, month and day so many days after 1970-01-01. Counts years from March, so that the leap day is the last one.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_OF_400_YEARS: u64 = 146_097;
    // From 0000-03-01.
    let days = days + 719_468;
    let (cycle, day_of_cycle) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let leap_days = day_of_cycle / 1_460 - day_of_cycle / 36_524 + day_of_cycle / 146_096;
    let year_of_cycle = (day_of_cycle - leap_days) / 365;
    let day_of_year = day_of_cycle - (year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100);
    // From March, the lengths of months repeat: 153 days in five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (cycle * 400 + year_of_cycle + u64::from(month <= 2), month, day)
}

/// `148.2 KiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1_024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1_024.0 {
            break;
        }
        (value, unit) = (value / 1_024.0, larger);
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_their_distance_and_by_the_calendar() {
        for (distance_ms, told) in [
            (0, "now"),
            (59_999, "59 s ago"),
            (60_000, "1 min ago"),
            (7_200_000, "2 h ago"),
            (86_400_000 * 400, "400 d ago"),
        ] {
            assert_eq!(ago(1 << 45, (1 << 45) + distance_ms), told);
        }
        assert_eq!(ago(5_000, 0), "now", "a clock that is ahead");
        for (at_ms, told) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_735_689_600_000, "2025-01-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc_3339(at_ms), told);
        }
        // Whatever a host sends is shown.
        assert!(rfc_3339(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn sizes_have_one_digit_after_the_point_and_a_unit() {
        for (bytes, told) in
            [(0, "0 B"), (1_023, "1023 B"), (151_757, "148.2 KiB"), (256 << 20, "256.0 MiB"), (1 << 50, "1024.0 TiB")]
        {
            assert_eq!(size(bytes), told);
        }
    }
}
