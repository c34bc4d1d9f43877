//! PostgreSQL's binary COPY (documentation, "COPY", "Binary Format") and the binary forms of the types in it.

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
