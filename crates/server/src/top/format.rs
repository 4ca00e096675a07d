//! Numbers for people: at most seven characters each, so that columns stay narrow.
//!
//! Invariant: a number is never rounded up to a unit that it does not reach.

/// `0` to `99,999`, then `100k`, `1.2M`.
pub(super) fn count(count: u64) -> String {
    match count {
        0..=999 => count.to_string(),
        1_000..=99_999 => format!("{},{:03}", count / 1000, count % 1000),
        _ => scaled(count, 1000, &["", "k", "M", "G", "T", "P", "E"]),
    }
}

/// `0 B`, `1.5 KiB`, `64 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    scaled(bytes, 1024, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"])
}

/// `850 µs`, `1.2 ms`, `3.1 s`.
pub(super) fn micros(time_us: u64) -> String {
    scaled(time_us, 1000, &[" µs", " ms", " s", " ks", " Ms"])
}

/// `7s`, `3m 05s`, `2h 03m`, `4d 01h`.
pub(super) fn age(age_ms: u64) -> String {
    let seconds = age_ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {:02}h", hours % 24),
    }
}

/// `value` in the largest unit that it reaches, cut and not rounded, with one decimal below ten.
fn scaled(value: u64, base: u64, units: &[&str]) -> String {
    let (mut unit, mut size) = (0, 1);
    while unit + 1 < units.len() && value / size >= base {
        size *= base;
        unit += 1;
    }
    let whole = value / size;
    // The rest is smaller than `size`, which has room for a factor of ten in every unit but the last.
    let tenth = (u128::from(value % size) * 10 / u128::from(size)) as u64;
    if unit == 0 || whole >= 10 {
        format!("{whole}{}", units[unit])
    } else {
        format!("{whole}.{tenth}{}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_cut_to_what_a_column_holds() {
        assert_eq!([0, 999, 1000, 99_999].map(count), ["0", "999", "1,000", "99,999"]);
        assert_eq!([100_000, 999_999, 1_290_000, u64::MAX].map(count), ["100k", "999k", "1.2M", "18E"]);
        assert_eq!(
            [0, 1023, 1024, 1536, 10_240].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "10 KiB"]
        );
        assert_eq!([(64 << 20) - 1, u64::MAX].map(bytes), ["63 MiB", "15 EiB"]);
        assert_eq!([0, 850, 1290, 3_100_000].map(micros), ["0 µs", "850 µs", "1.2 ms", "3.1 s"]);
        assert_eq!(u64::MAX.checked_div(1).map(micros).as_deref(), Some("18446744 Ms"));
    }

    #[test]
    fn an_age_has_two_units() {
        let ages_s = [0, 59, 60, 185, 3599, 3600, 7380, 86_399, 86_400, 349_200];
        let shown = ages_s.map(|age_s| age(age_s * 1000 + 999));
        let expected =
            ["0s", "59s", "1m 00s", "3m 05s", "59m 59s", "1h 00m", "2h 03m", "23h 59m", "1d 00h", "4d 01h"];
        assert_eq!(shown, expected);
    }
}
