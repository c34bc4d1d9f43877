//! Ion's primitive encodings, shared by its binary form and Ion Hash ("Ion Binary Encoding", "Basic Field Formats").

use crate::calendar::utc;
use crate::value::{Decimal, Magnitude, Precision, Timestamp};

const UNKNOWN_OFFSET: u8 = 0xC0;

/// Appends a VarUInt: seven bits a byte, the last byte marked.
#[inline]
pub fn var_uint(value: usize, out: &mut Vec<u8>) {
    let groups = (usize::BITS - value.leading_zeros()).div_ceil(7).max(1);
    for group in (0..groups).rev() {
        let mark = if group == 0 { 0x80 } else { 0 };
        out.push(mark | low_bits(value >> (7 * group), 7));
    }
}

/// Appends a VarInt: a VarUInt with the sign in the first byte's second bit.
pub fn var_int(value: i32, out: &mut Vec<u8>) {
    let start = out.len();
    let mut magnitude = value.unsigned_abs() as usize;
    let sign = if value < 0 { 0x40 } else { 0 };
    let mut mark = 0x80;
    while magnitude > 0x3F {
        out.insert(start, mark | low_bits(magnitude, 7));
        magnitude >>= 7;
        mark = 0;
    }
    out.insert(start, mark | sign | low_bits(magnitude, 6));
}

/// Appends an Int: big-endian magnitude, its highest bit the sign. Zero has no bytes, negative zero has one.
pub fn signed_magnitude(negative: bool, magnitude: &Magnitude, out: &mut Vec<u8>) {
    let start = out.len();
    magnitude.write_bytes(out);
    if out.get(start).is_some_and(|first| first & 0x80 != 0) || (negative && out.len() == start) {
        out.insert(start, 0);
    }
    if negative && let Some(first) = out.get_mut(start) {
        *first |= 0x80;
    }
}

/// Appends a decimal's representation; empty for zero with exponent zero.
pub fn decimal(value: &Decimal, out: &mut Vec<u8>) {
    if !value.negative && value.exponent == 0 && value.coefficient.is_zero() {
        return;
    }
    var_int(value.exponent, out);
    signed_magnitude(value.negative, &value.coefficient, out);
}

/// Appends a timestamp's representation: offset, then its members in UTC.
pub fn timestamp(value: &Timestamp, out: &mut Vec<u8>) {
    match value.offset {
        None => out.push(UNKNOWN_OFFSET),
        Some(minutes) => var_int(minutes, out),
    }
    let utc = utc(value);
    var_uint(usize::try_from(utc.year).unwrap_or_default(), out);
    let members = [
        (Precision::Month, utc.month),
        (Precision::Day, utc.day),
        (Precision::Minute, utc.hour),
        (Precision::Minute, utc.minute),
        (Precision::Second, utc.second),
    ];
    for (precision, member) in members {
        if value.precision >= precision {
            var_uint(member as usize, out);
        }
    }
    if value.fraction_digits > 0 {
        var_int(-(value.fraction_digits as i32), out);
        signed_magnitude(false, &Magnitude::Small(value.fraction), out);
    }
}

fn low_bits(value: usize, bits: u32) -> u8 {
    (value & ((1 << bits) - 1)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = vec![0xEE];
        write(&mut out);
        out.split_off(1)
    }

    #[test]
    fn variable_length_numbers_are_encoded() {
        assert_eq!(written(|out| var_uint(0, out)), [0x80]);
        assert_eq!(written(|out| var_uint(127, out)), [0xFF]);
        assert_eq!(written(|out| var_uint(128, out)), [0x01, 0x80]);
        assert_eq!(written(|out| var_uint(2017, out)), [0x0F, 0xE1]);
        assert_eq!(written(|out| var_uint(16_383, out)), [0x7F, 0xFF]);
        assert_eq!(written(|out| var_uint(16_384, out)), [0x01, 0x00, 0x80]);
        assert_eq!(written(|out| var_int(-3, out)), [0xC3]);
        assert_eq!(written(|out| var_int(-300, out)), [0x42, 0xAC]);
        assert_eq!(written(|out| var_int(63, out)), [0xBF]);
        assert_eq!(written(|out| var_int(64, out)), [0x00, 0xC0]);
    }

    #[test]
    fn sign_has_its_own_bit() {
        assert_eq!(written(|out| signed_magnitude(false, &Magnitude::Small(0), out)), [0; 0]);
        assert_eq!(written(|out| signed_magnitude(true, &Magnitude::Small(0), out)), [0x80]);
        assert_eq!(written(|out| signed_magnitude(true, &Magnitude::Small(128), out)), [0x80, 0x80]);
        assert_eq!(written(|out| signed_magnitude(true, &Magnitude::Small(1), out)), [0x81]);
    }
}
