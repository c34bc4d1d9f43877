//! Writes Ion as the text that PostgreSQL gives for the jsonb of its JSON (`json`), to compare the two without reading
//! either: keys by length, then by bytes; numbers without exponent; a space after comma and colon.

use crate::block::Redaction;
use crate::json;
use crate::revision::Table;
use crate::value::{HandOver, Names, Read, Value};

/// Characters that jsonb refuses, and that `json` escapes: they would change the order of keys.
const REFUSED: [char; 2] = ['\0', '\u{FDD0}'];
const REPEATED: HandOver = HandOver("a key that is repeated");
/// PostgreSQL has fewer digits before and after the point; `json` writes a number beyond that as text.
const MOST_ZEROS: usize = 150_000;

/// Appends the jsonb of a value.
pub fn write(value: &Value<'_>, names: &Names<'_>, out: &mut String) -> Read<()> {
    match value {
        Value::Int { .. } | Value::Float(_) | Value::Decimal(_) => {
            let mut text = String::new();
            json::write(value, names, &mut text);
            number(&text, out)
        }
        Value::List(members) | Value::Sexp(members) => {
            out.push('[');
            for (index, member) in members.iter().enumerate() {
                separate(index, out);
                write(member, names, out)?;
            }
            out.push(']');
            Ok(())
        }
        Value::Struct(fields) => {
            let mut sorted = Vec::with_capacity(fields.len());
            for (name, member) in fields {
                let key = json::name_text(*name, names);
                if key.contains(REFUSED) {
                    return Err(HandOver("a key with a character that jsonb refuses"));
                }
                sorted.push((key, member));
            }
            sorted.sort_unstable_by_key(|(key, _)| order(key));
            if sorted.windows(2).any(|pair| matches!(pair, [(first, _), (second, _)] if first == second)) {
                return Err(REPEATED);
            }
            out.push('{');
            for (index, (key, member)) in sorted.into_iter().enumerate() {
                separate(index, out);
                json::string(key, out);
                out.push_str(": ");
                write(member, names, out)?;
            }
            out.push('}');
            Ok(())
        }
        Value::Annotated(annotated) => write(&annotated.1, names, out),
        _ => {
            json::write(value, names, out);
            Ok(())
        }
    }
}

/// Appends the column `tables` of a block: each table's name by its id.
pub fn tables(tables: &[Table<'_>], out: &mut String) -> Read<()> {
    let mut sorted = tables.to_vec();
    sorted.sort_unstable_by_key(|table| order(table.id));
    out.push('{');
    for (index, table) in sorted.iter().enumerate() {
        separate(index, out);
        json::string(table.id, out);
        out.push_str(": ");
        json::string(table.name, out);
    }
    out.push('}');
    Ok(())
}

/// Appends the column `redactions` of a block.
pub fn redactions(redactions: &[Redaction<'_>], out: &mut String) -> Read<()> {
    out.push('[');
    for (index, redaction) in redactions.iter().enumerate() {
        separate(index, out);
        out.push_str("{\"tableId\": ");
        json::string(redaction.table_id, out);
        out.push_str(", \"version\": ");
        out.push_str(&redaction.version.to_string());
        out.push_str(", \"documentId\": ");
        json::string(redaction.document_id, out);
        out.push_str(", \"sequenceNo\": ");
        out.push_str(&redaction.sequence_no.to_string());
        out.push('}');
    }
    out.push(']');
    Ok(())
}

fn order(key: &str) -> (usize, &[u8]) {
    (key.len(), key.as_bytes())
}

fn separate(index: usize, out: &mut String) {
    if index > 0 {
        out.push_str(", ");
    }
}

/// Appends a number of JSON, or the text that stands for one that jsonb cannot hold.
fn number(text: &str, out: &mut String) -> Read<()> {
    if text.starts_with('"') {
        out.push_str(text);
        return Ok(());
    }
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().map_err(|_| HandOver("a number of another form"))?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if negative && digits.bytes().any(|digit| (b'1'..=b'9').contains(&digit)) {
        out.push('-'); // PostgreSQL's zero has no sign
    }
    if exponent == 0 {
        out.push_str(digits);
        return Ok(());
    }
    let all = [whole, fraction].concat();
    let point = whole.len() as i64 + exponent;
    let after = (fraction.len() as i64 - exponent).max(0);
    if point.unsigned_abs() as usize > MOST_ZEROS || after as usize > MOST_ZEROS {
        return Err(HandOver("a number of very many digits"));
    }
    let digit = |place: i64| usize::try_from(place).ok().and_then(|place| all.as_bytes().get(place)).copied();
    let place = |place: i64| char::from(digit(place).unwrap_or(b'0'));
    let before: String = (0..point).map(place).collect();
    let before = before.trim_start_matches('0');
    out.push_str(if before.is_empty() { "0" } else { before });
    if after > 0 {
        out.push('.');
        out.extend((point..point + after).map(place));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_by_postgresql() {
        for (json, jsonb) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("-1.50", "-1.50"),
            ("1e+16", "10000000000000000"),
            ("1.2345678901234568e+17", "123456789012345680"),
            ("1e-05", "0.00001"),
            ("-1.25E-7", "-0.000000125"),
            ("0E-7", "0.0000000"),
            ("0E+3", "0"),
            ("1.2E+4", "12000"),
            ("1.23E+1", "12.3"),
            ("\"1E-20000\"", "\"1E-20000\""),
        ] {
            let mut out = String::new();
            number(json, &mut out).unwrap();
            assert_eq!(out, jsonb);
        }
    }
}
