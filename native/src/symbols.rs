//! Ion's local symbol tables: the system's symbols, and those that a stream's own tables set or append.

use crate::value::{Field, HandOver, IonType, NameId, Names, Read, Value};

/// The symbols that every Ion 1.0 stream has; their symbol ids, which are their ids in [`Names`] too, are 1 to 9.
pub const SYSTEM: [&str; 9] = [
    "$ion",
    "$ion_1_0",
    "$ion_symbol_table",
    "name",
    "version",
    "imports",
    "symbols",
    "max_id",
    "$ion_shared_symbol_table",
];

const MOST_EXPANSION: usize = 32;
const MOST_NAME_BYTES: usize = 1 << 27;

const SYMBOL_TABLE: NameId = 3;
const IMPORTS: NameId = 6;
const SYMBOLS: NameId = 7;
const SHARED_TABLE: NameId = 9;

/// Maps symbol ids to names.
pub struct SymbolTable {
    /// The name of each symbol id, and its length.
    names: Vec<(NameId, usize)>,
    /// The bytes of names that symbol ids in the rest of the stream may expand to.
    allowance: usize,
}

impl SymbolTable {
    /// Makes the table at the start of a stream of this many bytes.
    ///
    /// One long name and many ids of one byte could expand to any amount of text, so expansion is bounded.
    pub fn new(stream_length: usize) -> Self {
        Self { names: system(), allowance: stream_length.saturating_mul(MOST_EXPANSION).min(MOST_NAME_BYTES) }
    }

    /// Resets to the system's symbols, as at a version marker.
    pub fn reset(&mut self) {
        self.names = system();
    }

    /// Returns the name of a symbol id.
    pub fn name(&mut self, id: usize) -> Read<NameId> {
        let (name, length) = *self.names.get(id).ok_or(HandOver("a symbol id beyond the symbol table"))?;
        self.allowance = self.allowance.checked_sub(length).ok_or(HandOver("names that come very often"))?;
        Ok(name)
    }

    /// Consumes a top-level value that is a local symbol table; returns any other value.
    pub fn take<'a>(&mut self, value: Value<'a>, names: &mut Names<'a>) -> Read<Option<Value<'a>>> {
        let Value::Annotated(annotated) = &value else { return Ok(Some(value)) };
        match (annotated.0.first(), &annotated.1) {
            (Some(&SYMBOL_TABLE), Value::Struct(fields)) => self.define(fields, names).map(|()| None),
            (Some(&(SYMBOL_TABLE | SHARED_TABLE)), _) => Err(HandOver("a symbol table of another form")),
            _ => Ok(Some(value)),
        }
    }

    fn define<'a>(&mut self, fields: &[Field<'a>], names: &mut Names<'a>) -> Read<()> {
        if crate::value::repeats(fields) {
            return Err(HandOver("a symbol table with a repeated field"));
        }
        let field = |name| fields.iter().find(|(id, _)| *id == name).map(|(_, value)| value);
        match field(IMPORTS) {
            Some(Value::Symbol(SYMBOL_TABLE)) => {} // append
            None | Some(Value::Null(IonType::Null)) => self.reset(),
            Some(Value::List(imports)) if imports.is_empty() => self.reset(),
            Some(_) => return Err(HandOver("a shared symbol table")),
        }
        let symbols = match field(SYMBOLS) {
            None => return Ok(()),
            Some(Value::List(symbols)) => symbols,
            Some(_) => return Err(HandOver("a symbol table of another form")),
        };
        for symbol in symbols {
            let Value::String(text) = symbol else { return Err(HandOver("a symbol without text")) };
            self.names.push((names.id(text.clone()), text.len()));
        }
        Ok(())
    }
}

fn system() -> Vec<(NameId, usize)> {
    let lengths = SYSTEM.iter().map(|name| name.len());
    std::iter::once(0).chain(lengths).enumerate().collect()
}
