//! PostgreSQL's binary COPY (documentation, "COPY", "Binary Format") and the binary forms of the types in it.

use crate::value::{HandOver, Read};

const BYTEA: i32 = 17;
const TEXT: i32 = 25;
const NULL: i32 = -1;

/// Appends tuples to a buffer.
pub struct Copy<'o>(pub &'o mut Vec<u8>);

impl Copy<'_> {
    /// Begins a tuple with this number of fields.
    pub fn tuple(&mut self, fields: i16) {
        self.0.extend(fields.to_be_bytes());
    }

    /// Appends a null.
    pub fn null(&mut self) {
        self.int(NULL);
    }

    /// Appends a bytea, a text, or any other type with this binary form.
    pub fn bytes(&mut self, data: &[u8]) {
        self.int(data.len() as i32); // their object is smaller than 2 GB (see decode)
        self.0.extend_from_slice(data);
    }

    /// Appends `bytes`, or a null.
    pub fn optional(&mut self, data: Option<&[u8]>) {
        match data {
            Some(data) => self.bytes(data),
            None => self.null(),
        }
    }

    /// Appends a bigint, or a timestamptz in microseconds from 2000.
    pub fn bigint(&mut self, value: i64) {
        self.int(8);
        self.0.extend(value.to_be_bytes());
    }

    /// Appends a boolean.
    pub fn boolean(&mut self, value: bool) {
        self.bytes(&[u8::from(value)]);
    }

    /// Appends a jsonb from its text.
    pub fn jsonb(&mut self, json: &str) {
        self.int(json.len() as i32 + 1);
        self.0.push(1); // the version of jsonb's binary form
        self.0.extend_from_slice(json.as_bytes());
    }

    /// Appends a bytea[].
    pub fn bytes_array<'b>(&mut self, values: impl ExactSizeIterator<Item = Option<&'b [u8]>> + Clone) {
        self.array(BYTEA, values);
    }

    /// Appends a text[].
    pub fn text_array<'b>(&mut self, values: impl ExactSizeIterator<Item = Option<&'b str>> + Clone) {
        self.array(TEXT, values.map(|text| text.map(str::as_bytes)));
    }

    fn array<'b>(&mut self, element: i32, values: impl ExactSizeIterator<Item = Option<&'b [u8]>> + Clone) {
        let count = values.len() as i32;
        if count == 0 {
            self.int(12);
            [0, 0, element].into_iter().for_each(|header| self.int(header));
            return;
        }
        let has_null = values.clone().any(|value| value.is_none());
        let size: usize = values.clone().map(|value| 4 + value.map_or(0, <[u8]>::len)).sum();
        self.int(20 + size as i32);
        [1, i32::from(has_null), element, count, 1].into_iter().for_each(|header| self.int(header));
        values.for_each(|value| self.optional(value));
    }

    fn int(&mut self, value: i32) {
        self.0.extend(value.to_be_bytes());
    }
}

const SIGNATURE: &[u8] = b"PGCOPY\n\xFF\r\n\0\0\0\0\0"; // without the length of the header's extension, which follows
const END: i16 = -1;
const ODD: HandOver = HandOver("not what a binary COPY holds");

/// Reads the tuples of a binary COPY, each of the same number of fields.
pub struct Tuples<'a> {
    rest: &'a [u8],
    fields: usize,
    ended: bool,
}

/// A tuple's fields.
pub struct Row<'a>(Vec<Option<&'a [u8]>>);

impl<'a> Tuples<'a> {
    /// Makes a reader of these bytes, header and trailer included.
    pub fn new(data: &'a [u8], fields: usize) -> Read<Self> {
        let mut rest = data.strip_prefix(SIGNATURE).ok_or(ODD)?;
        let extension = int(&mut rest)?;
        take(&mut rest, extension)?;
        Ok(Self { rest, fields, ended: false })
    }

    fn row(&mut self) -> Read<Option<Row<'a>>> {
        let fields = i16::from_be_bytes(fixed(&mut self.rest)?);
        if fields == END {
            return if self.rest.is_empty() { Ok(None) } else { Err(ODD) };
        }
        if usize::try_from(fields) != Ok(self.fields) {
            return Err(ODD);
        }
        let values = (0..self.fields).map(|_| field(&mut self.rest)).collect::<Read<_>>()?;
        Ok(Some(Row(values)))
    }
}

impl<'a> Iterator for Tuples<'a> {
    type Item = Read<Row<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.row().transpose();
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }
}

impl<'a> Row<'a> {
    /// Returns a field; none if it is null.
    pub fn get(&self, column: usize) -> Read<Option<&'a [u8]>> {
        self.0.get(column).copied().ok_or(ODD)
    }

    /// Returns a field that is not null.
    pub fn bytes(&self, column: usize) -> Read<&'a [u8]> {
        self.get(column)?.ok_or(HandOver("a null"))
    }

    /// Returns a text that is not null.
    pub fn text(&self, column: usize) -> Read<&'a str> {
        str::from_utf8(self.bytes(column)?).map_err(|_| ODD)
    }

    /// Returns a bigint, or a timestamptz in microseconds from 2000.
    pub fn bigint(&self, column: usize) -> Read<i64> {
        self.bytes(column)?.try_into().map(i64::from_be_bytes).map_err(|_| ODD)
    }

    /// Returns a jsonb's text; none if it is null.
    pub fn jsonb(&self, column: usize) -> Read<Option<&'a str>> {
        let Some(data) = self.get(column)? else { return Ok(None) };
        let text = data.strip_prefix(&[1]).ok_or(ODD)?; // the version of jsonb's binary form
        str::from_utf8(text).map(Some).map_err(|_| ODD)
    }
}

/// Returns the members of an array of one dimension; none for a null.
pub fn array(mut data: &[u8]) -> Read<Vec<Option<&[u8]>>> {
    let dimensions = int(&mut data)?;
    let (_has_null, _element) = (int(&mut data)?, int(&mut data)?);
    if dimensions == 0 && data.is_empty() {
        return Ok(Vec::new());
    }
    let (count, _lower_bound) = (int(&mut data)?, int(&mut data)?);
    // Each member has a length of four bytes.
    if dimensions != 1 || count > data.len() / 4 {
        return Err(ODD);
    }
    let members = (0..count).map(|_| field(&mut data)).collect::<Read<_>>()?;
    if data.is_empty() { Ok(members) } else { Err(ODD) }
}

fn field<'a>(rest: &mut &'a [u8]) -> Read<Option<&'a [u8]>> {
    match i32::from_be_bytes(fixed(rest)?) {
        NULL => Ok(None),
        length => take(rest, usize::try_from(length).map_err(|_| ODD)?).map(Some),
    }
}

fn int(rest: &mut &[u8]) -> Read<usize> {
    usize::try_from(i32::from_be_bytes(fixed(rest)?)).map_err(|_| ODD)
}

fn fixed<const N: usize>(rest: &mut &[u8]) -> Read<[u8; N]> {
    let (taken, after) = rest.split_first_chunk().ok_or(ODD)?;
    *rest = after;
    Ok(*taken)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Read<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length).ok_or(ODD)?;
    *rest = after;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut data = SIGNATURE.to_vec();
        data.extend([0; 4]);
        let mut copy = Copy(&mut data);
        copy.tuple(4);
        copy.bigint(-7);
        copy.null();
        copy.jsonb("{}");
        copy.text_array([Some("a"), None].into_iter());
        data.extend(END.to_be_bytes());

        let rows = Tuples::new(&data, 4).unwrap().collect::<Read<Vec<_>>>().unwrap();

        let [row] = &rows[..] else { panic!("one row") };
        assert_eq!((row.bigint(0), row.get(1), row.jsonb(2)), (Ok(-7), Ok(None), Ok(Some("{}"))));
        assert_eq!(array(row.bytes(3).unwrap()), Ok(vec![Some(&b"a"[..]), None]));
        for end in 0..data.len() {
            let read = Tuples::new(&data[..end], 4).and_then(|tuples| tuples.collect::<Read<Vec<_>>>());
            assert!(read.is_err(), "{end}");
        }
    }
}
