//! Writes Ion as JSON, character for character as `journal/ion/json.py` does.

use crate::value::{Civil, Decimal, Magnitude, NameId, Names, Precision, Timestamp, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// Larger exponents are handed over; amazon.ion reads a little more, PostgreSQL's numeric less.
pub const MOST_EXPONENT: i32 = 250_000;

/// Escapes characters that jsonb refuses: this code point, which is never a character, and four hex digits follow.
const ESCAPE: char = '\u{FDD0}';
// PostgreSQL's numeric: 131,072 digits before the point, 16,383 after (documentation, "Numeric Types").
const MOST_DIGITS_BEFORE: i64 = 131_072;
const MOST_DIGITS_AFTER: i32 = 16_383;

/// Appends the JSON of a value.
pub fn write(value: &Value<'_>, names: &Names<'_>, out: &mut String) {
    match value {
        Value::Null(_) => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int { negative, magnitude } => integer(*negative, magnitude, out),
        Value::Float(value) => float(*value, out),
        Value::Decimal(value) => decimal(value, out),
        Value::Timestamp(value) => timestamp(value, out),
        Value::Symbol(name) => string(name_text(*name, names), out),
        Value::String(text) => string(text, out),
        Value::Clob(data) => string(&data.iter().copied().map(char::from).collect::<String>(), out),
        Value::Blob(data) => {
            out.push('"');
            STANDARD.encode_string(data, out);
            out.push('"');
        }
        Value::List(members) | Value::Sexp(members) => array(members, names, out),
        Value::Struct(fields) => object(fields, names, out),
        Value::Annotated(annotated) => write(&annotated.1, names, out),
    }
}

/// Appends text as a JSON string.
pub fn string(text: &str, out: &mut String) {
    out.push('"');
    // No early exit, so that the compiler vectorises the loop.
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.push_str(text);
    } else {
        text.chars().for_each(|character| push_quoted(character, out));
    }
    out.push('"');
}

fn is_plain(byte: u8) -> bool {
    (b' '..0x7F).contains(&byte) & (byte != b'"') & (byte != b'\\')
}

/// Appends text, escaping characters that PostgreSQL refuses.
pub fn escaped(text: &str, out: &mut String) {
    text.chars().for_each(|character| match character {
        '\0' | ESCAPE => push_refused(character, out),
        _ => out.push(character),
    });
}

fn push_quoted(character: char, out: &mut String) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{C}' => out.push_str("\\f"),
        '\0' | ESCAPE => push_refused(character, out),
        '\u{1}'..='\u{1F}' => append(out, format_args!("\\u{:04x}", u32::from(character))),
        _ => out.push(character),
    }
}

fn push_refused(character: char, out: &mut String) {
    append(out, format_args!("{ESCAPE}{:04x}", u32::from(character)));
}

fn append(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments); // writing to a String never fails
}

/// Returns the text of a name.
pub fn name_text<'n>(name: NameId, names: &'n Names<'_>) -> &'n str {
    names.text(name).unwrap_or("$0") // Ion text's form of a symbol whose text is unknown
}

fn array(members: &[Value<'_>], names: &Names<'_>, out: &mut String) {
    out.push('[');
    for (index, member) in members.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(member, names, out);
    }
    out.push(']');
}

fn object(fields: &[(NameId, Value<'_>)], names: &Names<'_>, out: &mut String) {
    out.push('{');
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(name_text(*name, names), out);
        out.push(':');
        write(value, names, out);
    }
    out.push('}');
}

fn integer(negative: bool, magnitude: &Magnitude, out: &mut String) {
    if negative {
        out.push('-');
    }
    match magnitude {
        Magnitude::Small(value) => padded(*value, 1, out),
        Magnitude::Big(value) => append(out, format_args!("{value}")),
    }
}

/// Appends a number with at least this many digits; several times as fast as `format_args`.
fn padded(value: u64, digits: u32, out: &mut String) {
    let needed = value.checked_ilog10().map_or(1, |power| power + 1);
    let mut power = 10_u64.pow(needed.max(digits) - 1);
    while power > 0 {
        out.push(char::from(b'0' + (value / power % 10) as u8));
        power /= 10;
    }
}

/// Appends a float as Python's repr does: the shortest digits that read back, an exponent below 1e-4 and from 1e16.
fn float(value: f64, out: &mut String) {
    if !value.is_finite() {
        out.push_str(if value.is_nan() {
            "\"nan\""
        } else if value > 0.0 {
            "\"+inf\""
        } else {
            "\"-inf\""
        });
        return;
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
        append(out, format_args!("{digits}e{sign}{exponent:0>2}"));
    } else {
        append(out, format_args!("{value:?}"));
    }
}

fn decimal(value: &Decimal, out: &mut String) {
    let digits = value.coefficient.digits();
    let adjusted = i64::from(value.exponent) + digits.len() as i64 - 1;
    let held = value.exponent >= -MOST_DIGITS_AFTER && adjusted < MOST_DIGITS_BEFORE;
    if !held {
        out.push('"');
    }
    if value.negative {
        out.push('-');
    }
    decimal_text(&digits, value.exponent, adjusted, out);
    if !held {
        out.push('"');
    }
}

/// Appends the to-scientific-string of the General Decimal Arithmetic Specification, as Python's Decimal does.
fn decimal_text(digits: &str, exponent: i32, adjusted: i64, out: &mut String) {
    let (first, others) = digits.split_at_checked(1).unwrap_or((digits, ""));
    if exponent > 0 || adjusted < -6 {
        out.push_str(first);
        if !others.is_empty() {
            append(out, format_args!(".{others}"));
        }
        append(out, format_args!("E{adjusted:+}"));
        return;
    }
    let point = digits.len() as i64 + i64::from(exponent);
    match usize::try_from(point)
        .ok()
        .filter(|point| *point > 0)
        .and_then(|point| digits.split_at_checked(point))
    {
        Some((whole, "")) => out.push_str(whole),
        Some((whole, fraction)) => append(out, format_args!("{whole}.{fraction}")),
        None => {
            out.push_str("0.");
            (point..0).for_each(|_| out.push('0'));
            out.push_str(digits);
        }
    }
}

/// Appends RFC 3339 text, cut at the timestamp's precision; an unknown offset is -00:00.
fn timestamp(value: &Timestamp, out: &mut String) {
    let Civil { year, month, day, hour, minute, second } = value.civil;
    out.push('"');
    padded(year.unsigned_abs().into(), 4, out); // 1 or later
    if value.precision >= Precision::Month {
        out.push('-');
        padded(month.into(), 2, out);
    }
    if value.precision >= Precision::Day {
        out.push('-');
        padded(day.into(), 2, out);
    }
    if value.precision >= Precision::Minute {
        out.push('T');
        padded(hour.into(), 2, out);
        out.push(':');
        padded(minute.into(), 2, out);
    }
    if value.precision >= Precision::Second {
        out.push(':');
        padded(second.into(), 2, out);
    }
    if value.fraction_digits > 0 {
        out.push('.');
        padded(value.fraction, value.fraction_digits, out);
    }
    if value.precision >= Precision::Minute {
        offset(value.offset, out);
    }
    out.push('"');
}

fn offset(minutes: Option<i32>, out: &mut String) {
    match minutes {
        None => out.push_str("-00:00"),
        Some(0) => out.push('Z'),
        Some(minutes) => {
            let sign = if minutes < 0 { '-' } else { '+' };
            append(out, format_args!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float_text(value: f64) -> String {
        let mut out = String::new();
        float(value, &mut out);
        out
    }

    fn decimal_of(negative: bool, coefficient: u64, exponent: i32) -> String {
        let mut out = String::new();
        decimal(&Decimal { negative, coefficient: Magnitude::Small(coefficient), exponent }, &mut out);
        out
    }

    #[test]
    fn floats_are_written_as_by_python() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.5, "1.5"),
            (1e16, "1e+16"),
            (123456789012345680.0, "1.2345678901234568e+17"),
            (9007199254740993.0, "9007199254740992.0"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (5e-324, "5e-324"),
            (-1.7976931348623157e308, "-1.7976931348623157e+308"),
            (1e100, "1e+100"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }

    #[test]
    fn decimals_are_written_as_by_python() {
        assert_eq!(decimal_of(false, 100, -2), "1.00");
        assert_eq!(decimal_of(true, 0, 0), "-0");
        assert_eq!(decimal_of(false, 0, -7), "0E-7");
        assert_eq!(decimal_of(false, 10, -6), "0.000010");
        assert_eq!(decimal_of(false, 1, -7), "1E-7");
        assert_eq!(decimal_of(false, 12, 3), "1.2E+4");
        assert_eq!(decimal_of(false, 5, -1), "0.5");
        assert_eq!(decimal_of(false, 1, -20_000), "\"1E-20000\"");
    }

    #[test]
    fn characters_that_jsonb_refuses_are_escaped() {
        let mut out = String::new();
        string("a\0\u{FDD0}\u{1}\"\u{7F}\u{2028}", &mut out);
        assert_eq!(out, "\"a\u{FDD0}0000\u{FDD0}fdd0\\u0001\\\"\u{7F}\u{2028}\"");
    }
}
