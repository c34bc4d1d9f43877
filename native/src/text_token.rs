//! Scans the tokens of Ion text: space, names, strings and lobs.

use crate::value::{HandOver, Read, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

const CONTROL: HandOver = HandOver("a control character, or no end, in a string");

/// The bytes of an unquoted name, and of a number or timestamp.
static NAME: [bool; 256] = class(b"_$");
static NUMBER: [bool; 256] = class(b"+-.:_");

/// A position in a text.
#[derive(Clone)]
pub struct Scanner<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning of a text.
    pub fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    /// Returns the current byte.
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    /// Skips this many bytes.
    pub fn advance(&mut self, bytes: usize) {
        self.position += bytes;
    }

    /// Returns true if this text follows.
    pub fn follows(&self, expected: &str) -> bool {
        self.rest().starts_with(expected.as_bytes())
    }

    /// Skips this text if it follows.
    pub fn skip_if(&mut self, expected: &str) -> bool {
        let follows = self.follows(expected);
        if follows {
            self.advance(expected.len());
        }
        follows
    }

    /// Skips this byte if it follows.
    #[inline]
    pub fn skip_byte(&mut self, expected: u8) -> bool {
        let follows = self.peek() == Some(expected);
        if follows {
            self.advance(1);
        }
        follows
    }

    /// Skips white space and comments.
    #[inline]
    pub fn space(&mut self) -> Read<()> {
        match self.peek() {
            Some(byte) if is_space(byte) || byte == b'/' => self.some_space(),
            _ => Ok(()), // almost always, in QLDB's text
        }
    }

    fn some_space(&mut self) -> Read<()> {
        loop {
            self.while_byte(is_space);
            if self.skip_if("//") {
                self.while_byte(|byte| byte != b'\n' && byte != b'\r');
            } else if self.skip_if("/*") {
                let end =
                    memchr::memmem::find(self.rest(), b"*/").ok_or(HandOver("a comment without end"))?;
                self.advance(end + 2);
            } else {
                return Ok(());
            }
        }
    }

    /// Scans an unquoted name; empty if there is none.
    pub fn identifier(&mut self) -> &'a str {
        let start = self.position;
        self.while_byte(|byte| of_class(&NAME, byte));
        self.since(start)
    }

    /// Scans a number or timestamp; checks only its characters and its end.
    pub fn number(&mut self) -> Read<&'a str> {
        let start = self.position;
        self.while_byte(|byte| of_class(&NUMBER, byte));
        self.end_of_word()?;
        Ok(self.since(start))
    }

    /// Checks that the current byte ends a word; amazon.ion does not accept the other terminators after every word.
    pub fn end_of_word(&self) -> Read<()> {
        match self.peek() {
            None | Some(b',' | b']' | b')' | b'}') => Ok(()),
            Some(byte) if is_space(byte) => Ok(()),
            Some(_) => Err(HandOver("a word with something behind it")),
        }
    }

    /// Scans a quoted string or symbol, from its opening quote.
    pub fn quoted(&mut self, quote: u8) -> Read<Cow<'a, str>> {
        self.advance(1);
        let start = self.position;
        let rest = self.rest();
        self.advance(memchr::memchr2(quote, b'\\', rest).unwrap_or(rest.len()));
        let plain = self.since(start);
        if plain.bytes().any(|byte| byte < b' ') {
            return Err(CONTROL);
        }
        if self.skip_byte(quote) {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        loop {
            let start = self.position;
            self.while_byte(|byte| byte >= b' ' && byte != quote && byte != b'\\');
            text.push_str(self.since(start));
            match self.peek() {
                Some(b'\\') => text.extend(self.escape()?),
                Some(byte) if byte == quote => {
                    self.advance(1);
                    return Ok(Cow::Owned(text));
                }
                _ => return Err(CONTROL),
            }
        }
    }

    /// Scans a string of segments in triple quotes, from its opening quotes.
    pub fn long_string(&mut self) -> Read<Cow<'a, str>> {
        let mut text = String::new();
        let mut after = self.clone();
        while self.skip_if("'''") {
            self.long_segment(&mut text)?;
            after = self.clone();
            self.space()?;
            if self.peek() == Some(b'\'') && !self.follows("'''") {
                return Err(HandOver("a quote behind a long string")); // amazon.ion reads it as one more segment
            }
        }
        *self = after;
        Ok(Cow::Owned(text))
    }

    fn long_segment(&mut self, text: &mut String) -> Read<()> {
        loop {
            let start = self.position;
            self.while_byte(|byte| (byte >= b' ' || byte == b'\n') && byte != b'\'' && byte != b'\\');
            text.push_str(self.since(start));
            match self.peek() {
                Some(b'\\') => text.extend(self.escape()?),
                Some(b'\'') if self.skip_if("'''") => return Ok(()),
                Some(b'\'') => {
                    self.advance(1);
                    text.push('\'');
                }
                _ => return Err(CONTROL),
            }
        }
    }

    /// Scans a blob or clob, after its opening braces.
    pub fn lob(&mut self) -> Read<Value<'a>> {
        self.while_byte(is_space);
        let value = match self.peek() {
            Some(b'"') => self.clob(|scanner| scanner.quoted(b'"'))?,
            Some(b'\'') => self.clob(Self::long_string)?,
            _ => self.blob()?,
        };
        self.while_byte(is_space);
        if self.skip_if("}}") { Ok(value) } else { Err(HandOver("a lob without end")) }
    }

    fn clob(&mut self, text: impl FnOnce(&mut Self) -> Read<Cow<'a, str>>) -> Read<Value<'a>> {
        let start = self.position;
        let text = text(self)?;
        let written = self.since(start);
        // Its characters are bytes: ASCII as itself, others by \x.
        if !written.is_ascii() || ["\\u", "\\U", "/*", "//"].iter().any(|refused| written.contains(refused)) {
            return Err(HandOver("a clob of another form"));
        }
        let bytes = text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or_default());
        Ok(Value::Clob(Cow::Owned(bytes.collect())))
    }

    fn blob(&mut self) -> Read<Value<'a>> {
        let start = self.position;
        let rest = self.rest();
        self.advance(memchr::memchr(b'}', rest).unwrap_or(rest.len()));
        let written = self.since(start).as_bytes();
        let decoded = STANDARD.decode(written).or_else(|error| {
            let dense: Vec<u8> = written.iter().copied().filter(|byte| !is_space(*byte)).collect();
            if dense.len() < written.len() { STANDARD.decode(dense) } else { Err(error) }
        });
        decoded.map(|data| Value::Blob(Cow::Owned(data))).map_err(|_| HandOver("not base64"))
    }

    /// Scans an escape: a character, or none for an escaped end of a line.
    fn escape(&mut self) -> Read<Option<char>> {
        self.advance(1);
        let kind = self.peek().ok_or(HandOver("ends early"))?;
        self.advance(1);
        Ok(Some(match kind {
            b'0' => '\0',
            b'a' => '\u{7}',
            b'b' => '\u{8}',
            b't' => '\t',
            b'n' => '\n',
            b'f' => '\u{C}',
            b'r' => '\r',
            b'v' => '\u{B}',
            b'"' | b'\'' | b'?' | b'\\' | b'/' => char::from(kind),
            b'\n' => return Ok(None),
            b'x' => self.hexadecimal(2)?,
            b'u' => self.hexadecimal(4)?,
            b'U' => self.hexadecimal(8)?,
            _ => return Err(HandOver("not an escape")),
        }))
    }

    fn hexadecimal(&mut self, digits: usize) -> Read<char> {
        let start = self.position;
        self.advance(digits);
        let written = self.since(start);
        let valid = written.len() == digits && written.bytes().all(|digit| digit.is_ascii_hexdigit());
        u32::from_str_radix(written, 16)
            .ok()
            .filter(|_| valid)
            .and_then(char::from_u32)
            .ok_or(HandOver("not a character's number")) // or a surrogate's
    }

    fn while_byte(&mut self, holds: impl Fn(u8) -> bool) {
        let rest = self.rest();
        self.position += rest.iter().position(|byte| !holds(*byte)).unwrap_or(rest.len());
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.position).unwrap_or_default()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.position..).unwrap_or_default()
    }
}

/// Makes the class of ASCII letters and digits and these bytes.
#[allow(clippy::indexing_slicing)] // checked at compile time
const fn class(others: &[u8]) -> [bool; 256] {
    let mut class = [false; 256];
    let mut byte = 0;
    while byte < class.len() {
        class[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut other = 0;
    while other < others.len() {
        class[others[other] as usize] = true;
        other += 1;
    }
    class
}

fn of_class(class: &[bool; 256], byte: u8) -> bool {
    class.get(usize::from(byte)).is_some_and(|of| *of)
}

/// Returns true for white space, except vertical tab and form feed: amazon.ion does not end a word there.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
