//! Strandline's native kernel: decodes the bytes of a journal export's object into verified rows ready for COPY.
//!
//! The plain Python in `journal/` defines the formats and is the reference; this does the same for exports in Ion,
//! many times faster. Whatever it does not know for certain it *hands over*: JSON, malformed or rare Ion, a
//! block of another shape. The plain Python then reads that object and names its faults. So the two can differ only
//! if both give an answer, and tests/native fuzzes exactly that.

pub mod block;
pub mod calendar;
pub mod copy;
pub mod decode;
pub mod encoding;
pub mod fields;
pub mod hash;
pub mod json;
pub mod jsonb;
pub mod members;
pub mod merkle;
#[cfg(feature = "python")]
mod python;
pub mod reader_binary;
pub mod reader_text;
pub mod record;
pub mod revision;
pub mod rows;
pub mod statement;
pub mod stored;
pub mod symbols;
pub mod text_number;
pub mod text_token;
pub mod value;
pub mod writer;
