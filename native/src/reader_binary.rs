//! Reads binary Ion 1.0 (amazon-ion.github.io/ion-docs, "Ion Binary Encoding").

use crate::calendar::{checked, shifted};
use crate::symbols::SymbolTable;
use crate::value::{
    Civil, Decimal, HandOver, IonType, MOST_DEPTH, Magnitude, Names, Precision, Read, Timestamp, Value,
    repeats,
};
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// The start of a binary stream; may occur again between values.
pub const VERSION_MARKER: [u8; 4] = [0xE0, 0x01, 0x00, 0xEA];

const ENDS_EARLY: HandOver = HandOver("ends early");
const VARIABLE_LENGTH: u8 = 14;
const NULL: u8 = 15;
/// The range of decimal128, the largest that amazon.ion reads in binary.
const EXPONENTS: RangeInclusive<i32> = -6_176..=6_111;
/// Enough for any length in memory; a larger number is not a length.
const MOST_BITS: usize = usize::MAX >> 8;

/// Reads the top-level values of a binary stream.
pub struct BinaryReader<'a> {
    rest: &'a [u8],
    symbols: SymbolTable,
    /// True if a struct read so far had a repeated field.
    pub repeated: bool,
}

impl<'a> BinaryReader<'a> {
    /// Makes a reader of these bytes, which begin with a version marker.
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data, symbols: SymbolTable::new(data.len()), repeated: false }
    }

    /// Reads the next value that is not a symbol table; none at the end.
    pub fn next(&mut self, names: &mut Names<'a>) -> Read<Option<Value<'a>>> {
        while !self.rest.is_empty() {
            if let Some(rest) = self.rest.strip_prefix(&VERSION_MARKER) {
                self.rest = rest;
                self.symbols.reset();
                continue;
            }
            let mut rest = self.rest;
            let value = self.value(&mut rest, MOST_DEPTH)?;
            self.rest = rest;
            if let Some(value) = self.symbols.take(value, names)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn value(&mut self, rest: &mut &'a [u8], depth: u32) -> Read<Value<'a>> {
        let descriptor = byte(rest)?;
        let (code, low) = (descriptor >> 4, descriptor & 0x0F);
        let ion_type = match code {
            0 => IonType::Null,
            1 => return boolean(low),
            2 | 3 => IonType::Int,
            4 => IonType::Float,
            5 => IonType::Decimal,
            6 => IonType::Timestamp,
            7 => IonType::Symbol,
            8 => IonType::String,
            9 => IonType::Clob,
            10 => IonType::Blob,
            11 => IonType::List,
            12 => IonType::Sexp,
            13 => IonType::Struct,
            14 => return self.annotated(low, rest, depth),
            _ => return Err(HandOver("a reserved type")),
        };
        if low == NULL {
            return Ok(Value::Null(ion_type));
        }
        if ion_type == IonType::Null {
            return Err(HandOver("padding"));
        }
        if ion_type == IonType::Struct && low == 1 {
            return Err(HandOver("a struct said to be sorted"));
        }
        let body = body(low, rest)?;
        self.of_type(ion_type, code == 3, body, depth)
    }

    fn of_type(&mut self, ion_type: IonType, negative: bool, body: &'a [u8], depth: u32) -> Read<Value<'a>> {
        Ok(match ion_type {
            IonType::Int => integer(negative, body)?,
            IonType::Float => Value::Float(float(body)?),
            IonType::Decimal => Value::Decimal(Box::new(decimal(body)?)),
            IonType::Timestamp => Value::Timestamp(Box::new(timestamp(body)?)),
            IonType::Symbol => Value::Symbol(self.symbols.name(uint(body)?)?),
            IonType::String => {
                Value::String(Cow::Borrowed(str::from_utf8(body).map_err(|_| HandOver("not UTF-8"))?))
            }
            IonType::Clob => Value::Clob(Cow::Borrowed(body)),
            IonType::Blob => Value::Blob(Cow::Borrowed(body)),
            IonType::List => Value::List(self.members(body, depth)?),
            IonType::Sexp => Value::Sexp(self.members(body, depth)?),
            IonType::Struct => self.fields(body, depth)?,
            IonType::Null | IonType::Bool => return Err(HandOver("not a value")),
        })
    }

    fn members(&mut self, mut body: &'a [u8], depth: u32) -> Read<Vec<Value<'a>>> {
        let depth = deeper(depth)?;
        let mut members = Vec::new();
        while !body.is_empty() {
            members.push(self.value(&mut body, depth)?);
        }
        Ok(members)
    }

    fn fields(&mut self, mut body: &'a [u8], depth: u32) -> Read<Value<'a>> {
        let depth = deeper(depth)?;
        let mut fields = Vec::new();
        while !body.is_empty() {
            let name = self.symbols.name(var_uint(&mut body)?)?;
            fields.push((name, self.value(&mut body, depth)?));
        }
        self.repeated |= repeats(&fields);
        Ok(Value::Struct(fields))
    }

    fn annotated(&mut self, low: u8, rest: &mut &'a [u8], depth: u32) -> Read<Value<'a>> {
        let depth = deeper(depth)?;
        if low == NULL {
            return Err(HandOver("annotations without a value"));
        }
        let mut body = body(low, rest)?;
        let length = var_uint(&mut body)?;
        let mut symbols = take(&mut body, length)?;
        let mut annotations = Vec::new();
        while !symbols.is_empty() {
            annotations.push(self.symbols.name(var_uint(&mut symbols)?)?);
        }
        let value = self.value(&mut body, depth)?;
        if annotations.is_empty() || !body.is_empty() || matches!(value, Value::Annotated(_)) {
            return Err(HandOver("annotations of another form"));
        }
        Ok(Value::Annotated(Box::new((annotations, value))))
    }
}

fn deeper(depth: u32) -> Read<u32> {
    depth.checked_sub(1).ok_or(HandOver("nested deeply"))
}

fn byte(rest: &mut &[u8]) -> Read<u8> {
    let (first, after) = rest.split_first().ok_or(ENDS_EARLY)?;
    *rest = after;
    Ok(*first)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Read<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length).ok_or(ENDS_EARLY)?;
    *rest = after;
    Ok(taken)
}

fn body<'a>(low: u8, rest: &mut &'a [u8]) -> Read<&'a [u8]> {
    let length = if low == VARIABLE_LENGTH { var_uint(rest)? } else { usize::from(low) };
    take(rest, length)
}

fn var_uint(rest: &mut &[u8]) -> Read<usize> {
    let mut value = 0;
    loop {
        let next = byte(rest)?;
        value = value << 7 | usize::from(next & 0x7F);
        if next & 0x80 != 0 {
            return Ok(value);
        }
        if value > MOST_BITS {
            return Err(HandOver("a number of too many bits"));
        }
    }
}

/// Reads sign and magnitude; zero has a sign too.
fn var_int(rest: &mut &[u8]) -> Read<(bool, usize)> {
    let first = byte(rest)?;
    let mut value = usize::from(first & 0x3F);
    let mut ended = first & 0x80 != 0;
    while !ended {
        if value > MOST_BITS {
            return Err(HandOver("a number of too many bits"));
        }
        let next = byte(rest)?;
        value = value << 7 | usize::from(next & 0x7F);
        ended = next & 0x80 != 0;
    }
    Ok((first & 0x40 != 0, value))
}

fn uint(body: &[u8]) -> Read<usize> {
    match Magnitude::from_bytes(body)? {
        Magnitude::Small(value) => usize::try_from(value).map_err(|_| HandOver("a number of too many bits")),
        Magnitude::Big(_) => Err(HandOver("a number of too many bits")),
    }
}

fn boolean<'a>(low: u8) -> Read<Value<'a>> {
    match low {
        0 | 1 => Ok(Value::Bool(low == 1)),
        NULL => Ok(Value::Null(IonType::Bool)),
        _ => Err(HandOver("not a boolean")),
    }
}

fn integer<'a>(negative: bool, body: &[u8]) -> Read<Value<'a>> {
    let magnitude = Magnitude::from_bytes(body)?;
    if negative && magnitude.is_zero() {
        return Err(HandOver("an integer that is negative zero"));
    }
    Ok(Value::Int { negative, magnitude })
}

fn float(body: &[u8]) -> Read<f64> {
    if body.is_empty() {
        return Ok(0.0);
    }
    if let Ok(bytes) = body.try_into() {
        return Ok(f64::from_be_bytes(bytes));
    }
    body.try_into().map(|bytes| f64::from(f32::from_be_bytes(bytes))).map_err(|_| HandOver("not a float"))
}

fn signed(body: &[u8]) -> Read<(bool, Magnitude)> {
    let Some((first, after)) = body.split_first() else { return Ok((false, Magnitude::Small(0))) };
    let negative = first & 0x80 != 0;
    let magnitude = if negative { &[&[first & 0x7F], after].concat() } else { body };
    Ok((negative, Magnitude::from_bytes(magnitude)?))
}

fn decimal(mut body: &[u8]) -> Read<Decimal> {
    if body.is_empty() {
        return Ok(Decimal { negative: false, coefficient: Magnitude::Small(0), exponent: 0 });
    }
    let exponent = exponent(var_int(&mut body)?)?;
    let (negative, coefficient) = signed(body)?;
    Ok(Decimal { negative, coefficient, exponent })
}

fn exponent((negative, magnitude): (bool, usize)) -> Read<i32> {
    let exponent = i32::try_from(magnitude).map(|magnitude| if negative { -magnitude } else { magnitude });
    exponent.ok().filter(|exponent| EXPONENTS.contains(exponent)).ok_or(HandOver("a huge exponent"))
}

fn timestamp(mut body: &[u8]) -> Read<Timestamp> {
    let offset = match var_int(&mut body)? {
        (true, 0) => None,
        (negative, minutes) if minutes < 1_440 => {
            Some(if negative { -(minutes as i32) } else { minutes as i32 })
        }
        _ => return Err(HandOver("a time out of range")),
    };
    let mut member = || -> Read<Option<u32>> {
        if body.is_empty() {
            return Ok(None);
        }
        u32::try_from(var_uint(&mut body)?).map(Some).map_err(|_| HandOver("a time out of range"))
    };
    let year = member()?.ok_or(ENDS_EARLY)?;
    let (month, day, hour, minute, second) = (member()?, member()?, member()?, member()?, member()?);
    let precision = match (month, day, hour, minute, second) {
        (None, ..) => Precision::Year,
        (_, None, ..) => Precision::Month,
        (_, _, None, ..) => Precision::Day,
        (_, _, _, None, _) => return Err(HandOver("an hour without a minute")),
        (.., None) => Precision::Minute,
        _ => Precision::Second,
    };
    if precision < Precision::Minute && offset.is_some() {
        return Err(HandOver("a day with an offset"));
    }
    let (fraction, fraction_digits) = fraction(body)?;
    let utc = Civil {
        year: i32::try_from(year).map_err(|_| HandOver("a time out of range"))?,
        month: month.unwrap_or(1),
        day: day.unwrap_or(1),
        hour: hour.unwrap_or(0),
        minute: minute.unwrap_or(0),
        second: second.unwrap_or(0),
    };
    // Both the UTC and the local time must be in range.
    let in_utc = checked(Timestamp { precision, civil: utc, offset: None, fraction, fraction_digits })?;
    let civil = shifted(&in_utc.civil, i64::from(offset.unwrap_or(0)));
    checked(Timestamp { civil, offset, ..in_utc })
}

fn fraction(mut body: &[u8]) -> Read<(u64, u32)> {
    if body.is_empty() {
        return Ok((0, 0));
    }
    let (negative, digits) = var_int(&mut body)?;
    let coefficient = signed(body)?;
    match (negative, digits, coefficient) {
        (true, 1..=9, (false, Magnitude::Small(value))) if value < 10_u64.pow(digits as u32) => {
            Ok((value, digits as u32))
        }
        _ => Err(HandOver("a fraction of a second of another form")),
    }
}
