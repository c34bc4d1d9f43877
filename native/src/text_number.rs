//! Numbers and timestamps of Ion text.

use crate::calendar::checked;
use crate::json::MOST_EXPONENT;
use crate::value::{Civil, Decimal, HandOver, Magnitude, Precision, Read, Timestamp, Value};

const NOT_A_NUMBER: HandOver = HandOver("not a number");
const NOT_A_TIME: HandOver = HandOver("not a time");

/// Parses a word that begins with a digit or a sign.
pub fn value<'a>(word: &str) -> Read<Value<'a>> {
    match word.as_bytes() {
        b"+inf" => return Ok(Value::Float(f64::INFINITY)),
        b"-inf" => return Ok(Value::Float(f64::NEG_INFINITY)),
        [a, b, c, d, b'-' | b'T', ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()) => {
            return timestamp(word).map(|time| Value::Timestamp(Box::new(time)));
        }
        _ => {}
    }
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |digits| (true, digits));
    if let Some(digits) = digits.strip_prefix("0x") {
        return integer(negative, digits, 16);
    }
    if let Some(digits) = digits.strip_prefix("0b") {
        return integer(negative, digits, 2);
    }
    let whole = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    if whole == 0 || (whole > 1 && digits.starts_with('0')) {
        return Err(NOT_A_NUMBER);
    }
    if whole == digits.len() {
        return integer(negative, digits, 10);
    }
    match digits.split_once(['e', 'E']) {
        Some(_) => float(word),
        None => decimal(negative, digits).map(|decimal| Value::Decimal(Box::new(decimal))),
    }
}

fn integer<'a>(negative: bool, digits: &str, radix: u32) -> Read<Value<'a>> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(NOT_A_NUMBER);
    }
    let magnitude = Magnitude::from_digits(digits.as_bytes(), radix)?;
    Ok(Value::Int { negative: negative && !magnitude.is_zero(), magnitude })
}

fn float<'a>(word: &str) -> Read<Value<'a>> {
    if word.len() > 1_000
        || !word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
    {
        return Err(NOT_A_NUMBER);
    }
    match word.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Value::Float(value)),
        _ => Err(NOT_A_NUMBER),
    }
}

fn decimal(negative: bool, digits: &str) -> Read<Decimal> {
    let (mantissa, exponent) = match digits.split_once(['d', 'D']) {
        Some((mantissa, exponent)) => (mantissa, signed(exponent)?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let coefficient = [whole, fraction].concat();
    if !coefficient.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(NOT_A_NUMBER);
    }
    let exponent = i32::try_from(fraction.len()).ok().and_then(|places| exponent.checked_sub(places));
    match exponent {
        Some(exponent) if exponent.abs() <= MOST_EXPONENT => Ok(Decimal {
            negative,
            coefficient: Magnitude::from_digits(coefficient.as_bytes(), 10)?,
            exponent,
        }),
        _ => Err(HandOver("a huge exponent")),
    }
}

fn signed(exponent: &str) -> Read<i32> {
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(NOT_A_NUMBER);
    }
    exponent.parse().map_err(|_| NOT_A_NUMBER)
}

fn timestamp(word: &str) -> Read<Timestamp> {
    if let Some(time) = in_milliseconds(word.as_bytes()) {
        return checked(time);
    }
    let (date, time) = word.split_once('T').map_or((word, None), |(date, time)| (date, Some(time)));
    let mut parts = date.split('-');
    let year = digits(parts.next(), 4)?;
    let month = parts.next().map(|part| digits(Some(part), 2)).transpose()?;
    let day = parts.next().map(|part| digits(Some(part), 2)).transpose()?;
    let precision = match (month, day, time) {
        (_, _, Some(time)) if !time.is_empty() => Precision::Minute,
        (_, Some(_), _) => Precision::Day,
        (Some(_), _, Some(_)) => Precision::Month,
        (None, _, Some(_)) => Precision::Year,
        _ => return Err(NOT_A_TIME),
    };
    if parts.next().is_some() || (precision == Precision::Minute && day.is_none()) {
        return Err(NOT_A_TIME);
    }
    let civil = Civil {
        year: i32::try_from(year).map_err(|_| NOT_A_TIME)?,
        month: month.unwrap_or(1),
        day: day.unwrap_or(1),
        hour: 0,
        minute: 0,
        second: 0,
    };
    let day = Timestamp { precision, civil, offset: None, fraction: 0, fraction_digits: 0 };
    checked(match time {
        Some(time) if !time.is_empty() => of_day(day, time)?,
        _ => day,
    })
}

/// Parses a timestamp like 2022-01-01T00:00:00.000Z, the form of all of QLDB's own.
fn in_milliseconds(text: &[u8]) -> Option<Timestamp> {
    let (year, text) = leading(text, 4, b'-')?;
    let (month, text) = leading(text, 2, b'-')?;
    let (day, text) = leading(text, 2, b'T')?;
    let (hour, text) = leading(text, 2, b':')?;
    let (minute, text) = leading(text, 2, b':')?;
    let (second, text) = leading(text, 2, b'.')?;
    let (fraction, text) = leading(text, 3, b'Z')?;
    let civil = Civil { year: year as i32, month, day, hour, minute, second };
    text.is_empty().then_some(Timestamp {
        precision: Precision::Second,
        civil,
        offset: Some(0),
        fraction: u64::from(fraction),
        fraction_digits: 3,
    })
}

/// Parses a number of this many digits, followed by the byte `end`; returns it and the rest.
fn leading(text: &[u8], count: usize, end: u8) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(count)?;
    let (byte, rest) = rest.split_first()?;
    if *byte != end || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')), rest))
}

/// Adds a time of day and its offset to a timestamp.
fn of_day(mut timestamp: Timestamp, text: &str) -> Read<Timestamp> {
    let at = text.find(['Z', '+', '-']).ok_or(NOT_A_TIME)?;
    let (time, offset_text) = text.split_at_checked(at).ok_or(NOT_A_TIME)?;
    timestamp.offset = offset(offset_text)?;
    let (time, fraction) =
        time.split_once('.').map_or((time, None), |(time, fraction)| (time, Some(fraction)));
    let mut parts = time.split(':');
    timestamp.civil.hour = digits(parts.next(), 2)?;
    timestamp.civil.minute = digits(parts.next(), 2)?;
    if let Some(second) = parts.next() {
        timestamp.civil.second = digits(Some(second), 2)?;
        timestamp.precision = Precision::Second;
    }
    if let Some(fraction) = fraction {
        timestamp.fraction_digits = u32::try_from(fraction.len()).map_err(|_| NOT_A_TIME)?;
        if timestamp.precision != Precision::Second || !(1..=9).contains(&fraction.len()) {
            return Err(HandOver("a fraction of a second of another form"));
        }
        timestamp.fraction = u64::from(digits(Some(fraction), fraction.len())?);
    }
    if parts.next().is_some() { Err(NOT_A_TIME) } else { Ok(timestamp) }
}

fn offset(text: &str) -> Read<Option<i32>> {
    let (sign, parts) = match text.as_bytes() {
        b"Z" => return Ok(Some(0)),
        b"-00:00" => return Ok(None),
        [b'+', ..] => (1, text.strip_prefix('+')),
        _ => (-1, text.strip_prefix('-')),
    };
    let (hours, minutes) = parts.and_then(|parts| parts.split_once(':')).ok_or(NOT_A_TIME)?;
    let (hours, minutes) = (digits(Some(hours), 2)?, digits(Some(minutes), 2)?);
    if hours > 23 || minutes > 59 {
        return Err(NOT_A_TIME);
    }
    Ok(Some(sign * i32::try_from(hours * 60 + minutes).map_err(|_| NOT_A_TIME)?))
}

/// Parses a number of exactly this many digits, at most nine.
fn digits(text: Option<&str>, count: usize) -> Read<u32> {
    text.filter(|text| text.len() == count && text.bytes().all(|digit| digit.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(NOT_A_TIME)
}
