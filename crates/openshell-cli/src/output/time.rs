//! Times as people write them: UTC to the second for output, RFC 3339 or epoch milliseconds for input.
//! No time zones are known beyond the offset that RFC 3339 itself carries.

const SECOND_MS: i64 = 1000;
const DAY_SECONDS: i64 = 86_400;

/// `YYYY-MM-DD HH:MM:SS` in UTC for epoch milliseconds; `-` for a negative one (`cli.md` 1.9).
pub(crate) fn time_text(time_ms: i64) -> String {
    if time_ms < 0 {
        return "-".to_owned();
    }
    let seconds = time_ms / SECOND_MS;
    let (year, month, day) = date_of(seconds / DAY_SECONDS);
    let of_day = seconds % DAY_SECONDS;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Epoch milliseconds from a number not below zero, or from an RFC 3339 time such as
/// `2030-01-01T00:00:00Z`.
pub(crate) fn parse_time_ms(text: &str) -> Result<i64, String> {
    if let Ok(time_ms) = text.parse::<i64>() {
        return if time_ms < 0 { Err(format!("'{text}' is before 1970")) } else { Ok(time_ms) };
    }
    rfc3339_ms(text).filter(|time_ms| *time_ms >= 0).ok_or_else(|| {
        format!("'{text}' is neither epoch milliseconds nor an RFC 3339 time such as 2030-01-01T00:00:00Z")
    })
}

fn rfc3339_ms(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let digits = |from: usize, to: usize| -> Option<i64> {
        let part = text.get(from..to)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let is = |at: usize, allowed: &[u8]| bytes.get(at).is_some_and(|byte| allowed.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let (hour, minute, second) = (digits(11, 13)?, digits(14, 16)?, digits(17, 19)?);
    let days = days_to(year, month, day);
    if date_of(days) != (year, month, day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction_ms, offset) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
            let milliseconds: String = rest[..end].chars().chain("000".chars()).take(3).collect();
            (if end == 0 { None } else { milliseconds.parse().ok() }?, &rest[end..])
        }
    };
    let seconds = days * DAY_SECONDS + hour * 3600 + minute * 60 + second - offset_seconds(offset)?;
    Some(seconds * SECOND_MS + fraction_ms)
}

/// Seconds east of UTC: `Z`, or a sign, hours, colon, minutes.
fn offset_seconds(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'Z' | b'z' => return (text.len() == 1).then_some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = text[1..].split_once(':')?;
    let part = |text: &str, max: i64| {
        let number: i64 =
            (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())??;
        (number <= max).then_some(number)
    };
    Some(sign * (part(hours, 23)? * 3600 + part(minutes, 59)? * 60))
}

/// The Gregorian date of a day counted from 1970-01-01, not before it (Hinnant, "chrono-compatible
/// low-level date algorithms": years begin in March, so that the leap day comes last).
fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of `date_of`.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::{parse_time_ms, time_text};

    #[test]
    fn times_are_utc_to_the_second() {
        for (time_ms, text) in [
            (0, "1970-01-01 00:00:00"),
            (1_893_456_000_999, "2030-01-01 00:00:00"),
            (1_709_210_096_000, "2024-02-29 12:34:56"),
            (-1, "-"),
        ] {
            assert_eq!(time_text(time_ms), text);
        }
    }

    #[test]
    fn a_time_is_milliseconds_or_rfc_3339_and_nothing_else() {
        for (text, time_ms) in [
            ("0", 0),
            ("1893456000000", 1_893_456_000_000),
            ("2030-01-01T00:00:00Z", 1_893_456_000_000),
            ("2030-01-01T01:30:00.25+01:30", 1_893_456_000_250),
            ("2024-02-29T12:34:56Z", 1_709_210_096_000),
        ] {
            assert_eq!(parse_time_ms(text), Ok(time_ms), "{text}");
        }
        for text in [
            "-1",
            "",
            "soon",
            "2030-01-01",
            "2023-02-29T00:00:00Z",
            "2030-13-01T00:00:00Z",
            "2030-01-01T00:00:00",
            "1960-01-01T00:00:00Z",
            "2030-01-01T00:00:00+1:0",
        ] {
            assert!(parse_time_ms(text).is_err(), "{text}");
        }
    }
}
