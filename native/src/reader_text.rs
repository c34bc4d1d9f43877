//! Reads Ion 1.0 text (amazon-ion.github.io/ion-docs, "Ion Text Encoding"); `text_token` scans its tokens.

use crate::symbols::SymbolTable;
use crate::text_number;
use crate::text_token::Scanner;
use crate::value::{Field, HandOver, IonType, MOST_DEPTH, NameId, Names, Read, Value, repeats};
use std::borrow::Cow;

const VERSION_MARKER: &str = "$ion_1_0";

/// Reads the top-level values of a text.
pub struct TextReader<'a> {
    scanner: Scanner<'a>,
    symbols: SymbolTable,
    /// True if a struct read so far had a repeated field.
    pub repeated: bool,
}

/// A symbol as written; it may be a keyword or an annotation.
enum Word<'a> {
    Bare(&'a str),
    Quoted(Cow<'a, str>),
}

impl<'a> TextReader<'a> {
    /// Makes a reader of this text.
    pub fn new(text: &'a str) -> Self {
        Self { scanner: Scanner::new(text), symbols: SymbolTable::new(text.len()), repeated: false }
    }

    /// Reads the next value that is not a symbol table; none at the end.
    pub fn next(&mut self, names: &mut Names<'a>) -> Read<Option<Value<'a>>> {
        loop {
            self.scanner.space()?;
            if self.scanner.peek().is_none() {
                return Ok(None);
            }
            if self.version_marker()? {
                continue;
            }
            let value = self.value(names, MOST_DEPTH)?;
            if let Some(value) = self.symbols.take(value, names)? {
                return Ok(Some(value));
            }
        }
    }

    fn version_marker(&mut self) -> Read<bool> {
        let before = self.scanner.clone();
        if self.scanner.peek() == Some(b'$') {
            let word = self.scanner.identifier();
            self.scanner.space()?;
            if word == VERSION_MARKER && !self.scanner.follows("::") {
                self.symbols.reset();
                return Ok(true);
            }
            if word.strip_prefix("$ion_").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
                return Err(HandOver("a version marker of another form"));
            }
        }
        self.scanner = before;
        Ok(false)
    }

    fn value(&mut self, names: &mut Names<'a>, depth: u32) -> Read<Value<'a>> {
        let first = self.scanner.peek().ok_or(HandOver("ends early"))?;
        match first {
            b'{' if self.scanner.skip_if("{{") => self.scanner.lob(),
            b'{' => self.fields(names, depth),
            b'[' => self.list(names, depth).map(Value::List),
            b'(' => self.sexp(names, depth).map(Value::Sexp),
            b'"' => self.scanner.quoted(b'"').map(Value::String),
            b'\'' if self.scanner.follows("'''") => self.scanner.long_string().map(Value::String),
            b'0'..=b'9' | b'-' | b'+' => text_number::value(self.scanner.number()?),
            b'\'' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' => self.symbol(names, depth),
            _ => Err(HandOver("not Ion text")),
        }
    }

    /// Reads a symbol or keyword, or annotations and their value.
    fn symbol(&mut self, names: &mut Names<'a>, depth: u32) -> Read<Value<'a>> {
        let mut annotations = Vec::new();
        while let Some(b'\'' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$') = self.scanner.peek()
            && !self.scanner.follows("'''")
        {
            let word = self.word()?;
            let after_word = self.scanner.clone();
            self.scanner.space()?;
            if !self.scanner.skip_if("::") {
                self.scanner = after_word;
                let value = self.keyword_or_symbol(word, names)?;
                return Ok(annotated(annotations, value));
            }
            annotations.push(self.name(word, names)?);
            self.scanner.space()?;
        }
        let value = self.value(names, depth)?;
        Ok(annotated(annotations, value))
    }

    fn word(&mut self) -> Read<Word<'a>> {
        if self.scanner.peek() == Some(b'\'') {
            return self.scanner.quoted(b'\'').map(Word::Quoted);
        }
        Ok(Word::Bare(self.scanner.identifier()))
    }

    fn keyword_or_symbol(&mut self, word: Word<'a>, names: &mut Names<'a>) -> Read<Value<'a>> {
        let value = match word {
            Word::Quoted(text) => return Ok(Value::Symbol(names.id(text))),
            Word::Bare("null") => self.null(),
            Word::Bare("true") => Ok(Value::Bool(true)),
            Word::Bare("false") => Ok(Value::Bool(false)),
            Word::Bare("nan") => Ok(Value::Float(f64::NAN)),
            word => self.name(word, names).map(Value::Symbol),
        };
        self.scanner.end_of_word()?;
        value
    }

    fn null(&mut self) -> Read<Value<'a>> {
        if !self.scanner.skip_byte(b'.') {
            return Ok(Value::Null(IonType::Null));
        }
        Ok(Value::Null(match self.scanner.identifier() {
            "null" => IonType::Null,
            "bool" => IonType::Bool,
            "int" => IonType::Int,
            "float" => IonType::Float,
            "decimal" => IonType::Decimal,
            "timestamp" => IonType::Timestamp,
            "symbol" => IonType::Symbol,
            "string" => IonType::String,
            "clob" => IonType::Clob,
            "blob" => IonType::Blob,
            "list" => IonType::List,
            "sexp" => IonType::Sexp,
            "struct" => IonType::Struct,
            _ => return Err(HandOver("not a type of null")),
        }))
    }

    fn name(&mut self, word: Word<'a>, names: &mut Names<'a>) -> Read<NameId> {
        let text = match word {
            Word::Quoted(text) => text,
            Word::Bare("" | "null" | "true" | "false" | "nan") => return Err(HandOver("not a name")),
            Word::Bare(word) if word.starts_with(|first: char| first.is_ascii_digit()) => {
                return Err(HandOver("not a name"));
            }
            Word::Bare(word) => match word.strip_prefix('$') {
                Some(digits) if !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                    let id = digits.parse().map_err(|_| HandOver("a number of too many bits"))?;
                    return self.symbols.name(id);
                }
                _ => Cow::Borrowed(word),
            },
        };
        Ok(names.id(text))
    }

    fn list(&mut self, names: &mut Names<'a>, depth: u32) -> Read<Vec<Value<'a>>> {
        let depth = self.enter(depth)?;
        let mut members = Vec::new();
        while !self.scanner.skip_byte(b']') {
            members.push(self.value(names, depth)?);
            self.separator(b']')?;
        }
        Ok(members)
    }

    fn sexp(&mut self, names: &mut Names<'a>, depth: u32) -> Read<Vec<Value<'a>>> {
        let depth = self.enter(depth)?;
        let mut members = Vec::new();
        while !self.scanner.skip_byte(b')') {
            members.push(self.value(names, depth)?);
            self.scanner.space()?;
        }
        Ok(members)
    }

    fn fields(&mut self, names: &mut Names<'a>, depth: u32) -> Read<Value<'a>> {
        let depth = self.enter(depth)?;
        let mut fields: Vec<Field<'a>> = Vec::new();
        while !self.scanner.skip_byte(b'}') {
            let name = self.field_name(names)?;
            self.scanner.space()?;
            if !self.scanner.skip_byte(b':') {
                return Err(HandOver("a field without a colon"));
            }
            self.scanner.space()?;
            fields.push((name, self.value(names, depth)?));
            self.separator(b'}')?;
        }
        self.repeated |= repeats(&fields);
        Ok(Value::Struct(fields))
    }

    fn field_name(&mut self, names: &mut Names<'a>) -> Read<NameId> {
        match self.scanner.peek() {
            Some(b'"') => Ok(names.id(self.scanner.quoted(b'"')?)),
            Some(b'\'') if self.scanner.follows("'''") => Err(HandOver("a long string as a name")),
            _ => {
                let word = self.word()?;
                self.name(word, names)
            }
        }
    }

    /// Skips the opening bracket and the space behind it.
    fn enter(&mut self, depth: u32) -> Read<u32> {
        self.scanner.advance(1);
        self.scanner.space()?;
        depth.checked_sub(1).ok_or(HandOver("nested deeply"))
    }

    /// Skips a comma, which is required unless the end follows.
    fn separator(&mut self, end: u8) -> Read<()> {
        self.scanner.space()?;
        if self.scanner.skip_byte(b',') {
            self.scanner.space()
        } else if self.scanner.peek() == Some(end) {
            Ok(())
        } else {
            Err(HandOver("members without a comma"))
        }
    }
}

fn annotated(annotations: Vec<NameId>, value: Value<'_>) -> Value<'_> {
    if annotations.is_empty() { value } else { Value::Annotated(Box::new((annotations, value))) }
}
