//! Strandline's native kernel: the bytes of a journal export's object to verified rows ready for COPY.
//!
//! The plain Python in `journal/` states the formats and is the oracle; this does the same for what exports in Ion
//! hold, many times faster. What it does not know for certain it *hands over*: JSON, gzip, malformed or rare Ion, a
//! block of another shape. The plain Python then reads that object and names its faults, so a difference between the
//! two can only be where both give an answer, and that is what tests/native fuzzes.

pub mod block;
pub mod calendar;
pub mod copy;
pub mod decode;
pub mod encoding;
pub mod fields;
pub mod hash;
pub mod json;
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
pub mod symbols;
pub mod text_number;
pub mod text_token;
pub mod value;
pub mod writer;
