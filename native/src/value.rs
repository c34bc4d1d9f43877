//! Ion values with every type that a hash depends on; they borrow from the bytes that were read.

use foldhash::quality::RandomState;
use num_bigint::BigUint;
use std::borrow::Cow;
use std::collections::HashMap;

/// The reason to hand an object over to the plain Python, which names its faults or reads rare forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandOver(pub &'static str);

/// The result of reading.
pub type Read<T> = Result<T, HandOver>;

/// Values nested deeper than this are handed over, so that no input can exhaust a thread's stack.
pub const MOST_DEPTH: u32 = 100;

/// Integers and coefficients of more bytes are handed over: printing their digits takes quadratic time.
pub const MOST_MAGNITUDE_BYTES: usize = 1_250;

/// Ion's types, in the order of their codes in binary Ion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum IonType {
    Null,
    Bool,
    Int,
    Float,
    Decimal,
    Timestamp,
    Symbol,
    String,
    Clob,
    Blob,
    List,
    Sexp,
    Struct,
}

impl IonType {
    /// Returns the type descriptor of its null in binary Ion and Ion Hash.
    pub fn null_descriptor(self) -> u8 {
        match self {
            Self::Null => 0x0F,
            Self::Bool => 0x1F,
            Self::Int => 0x2F,
            Self::Float => 0x4F,
            Self::Decimal => 0x5F,
            Self::Timestamp => 0x6F,
            Self::Symbol => 0x7F,
            Self::String => 0x8F,
            Self::Clob => 0x9F,
            Self::Blob => 0xAF,
            Self::List => 0xBF,
            Self::Sexp => 0xCF,
            Self::Struct => 0xDF,
        }
    }
}

/// A field name, symbol or annotation: its index in [`Names`].
pub type NameId = usize;

/// An Ion value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Value<'a> {
    Null(IonType),
    Bool(bool),
    Int { negative: bool, magnitude: Magnitude },
    Float(f64),
    Decimal(Box<Decimal>),
    Timestamp(Box<Timestamp>),
    Symbol(NameId),
    String(Cow<'a, str>),
    Clob(Cow<'a, [u8]>),
    Blob(Cow<'a, [u8]>),
    List(Vec<Value<'a>>),
    Sexp(Vec<Value<'a>>),
    Struct(Vec<Field<'a>>),
    Annotated(Box<(Vec<NameId>, Value<'a>)>),
}

/// A struct's field.
pub type Field<'a> = (NameId, Value<'a>);

/// The absolute value of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Magnitude {
    /// Up to 64 bits.
    Small(u64),
    /// More than 64 bits.
    Big(Box<BigUint>),
}

/// An Ion decimal: `coefficient` times ten to the `exponent`; negative zero is a value of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Decimal {
    pub negative: bool,
    pub coefficient: Magnitude,
    pub exponent: i32,
}

/// The precision of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Precision {
    Year,
    Month,
    Day,
    Minute,
    Second,
}

/// An Ion timestamp in local time, as in text; members beyond its precision have their least value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Timestamp {
    pub precision: Precision,
    pub civil: Civil,
    /// Minutes east of UTC; none if unknown.
    pub offset: Option<i32>,
    /// The digits of the second's fraction, and their number below.
    pub fraction: u64,
    pub fraction_digits: u32,
}

/// A day and a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Civil {
    pub year: i32,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
}

impl Magnitude {
    /// Reads big-endian bytes.
    pub fn from_bytes(bytes: &[u8]) -> Read<Self> {
        let significant = bytes.without_leading_zeros();
        if significant.len() <= 8 {
            return Ok(Self::Small(significant.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))));
        }
        if significant.len() > MOST_MAGNITUDE_BYTES {
            return Err(HandOver("a number of very many digits"));
        }
        Ok(Self::Big(Box::new(BigUint::from_bytes_be(significant))))
    }

    /// Reads digits of the radix (at most 16).
    pub fn from_digits(digits: &[u8], radix: u32) -> Read<Self> {
        let mut small: u64 = 0;
        for digit in digits {
            let next = char::from(*digit)
                .to_digit(radix)
                .and_then(|digit| small.checked_mul(u64::from(radix))?.checked_add(u64::from(digit)));
            let Some(next) = next else { return Self::from_many_digits(digits, radix) };
            small = next;
        }
        Ok(Self::Small(small))
    }

    fn from_many_digits(digits: &[u8], radix: u32) -> Read<Self> {
        if digits.len() > 2 * MOST_MAGNITUDE_BYTES {
            return Err(HandOver("a number of very many digits"));
        }
        let big = BigUint::parse_bytes(digits, radix).ok_or(HandOver("not a number"))?;
        Ok(u64::try_from(&big).map_or_else(|_| Self::Big(Box::new(big)), Self::Small))
    }

    /// Returns true for zero.
    pub fn is_zero(&self) -> bool {
        matches!(self, Self::Small(0))
    }

    /// Appends the big-endian bytes without leading zeros; none for zero.
    pub fn write_bytes(&self, out: &mut Vec<u8>) {
        match self {
            Self::Small(value) => out.extend(value.to_be_bytes().without_leading_zeros()),
            Self::Big(value) => out.extend(value.to_bytes_be()),
        }
    }

    /// Returns the decimal digits.
    pub fn digits(&self) -> String {
        match self {
            Self::Small(value) => value.to_string(),
            Self::Big(value) => value.to_string(),
        }
    }
}

trait LeadingZeros {
    fn without_leading_zeros(&self) -> &[u8];
}

impl LeadingZeros for [u8] {
    fn without_leading_zeros(&self) -> &[u8] {
        let zeros = self.iter().take_while(|byte| **byte == 0).count();
        self.get(zeros..).unwrap_or_default()
    }
}

/// Interns every name of an object, with its serialization for hashing.
#[derive(Clone)]
pub struct Names<'a> {
    ids: HashMap<Cow<'a, str>, NameId, RandomState>,
    names: Vec<Name<'a>>,
}

/// A name's text (none for symbol zero, whose text is not known) and its serialization for Ion Hash.
#[allow(missing_docs)]
#[derive(Clone)]
pub struct Name<'a> {
    pub text: Option<Cow<'a, str>>,
    pub hashed: Cow<'static, [u8]>,
}

impl<'a> Names<'a> {
    /// Interns symbol zero, then the texts in order: their ids are 1 and up. Make it once and clone it, which is fast:
    /// the names' serializations are leaked.
    pub fn new(texts: &[&'static str]) -> Self {
        let unknown = Name { text: None, hashed: crate::hash::serialized_name(None).into() };
        let mut names = Self { ids: HashMap::default(), names: vec![unknown] };
        for text in texts {
            names.id(Cow::Borrowed(text));
        }
        for name in &mut names.names {
            name.hashed = Cow::Borrowed(name.hashed.to_vec().leak());
        }
        names
    }

    /// Returns the id of a name.
    pub fn id(&mut self, text: Cow<'a, str>) -> NameId {
        if let Some(id) = self.ids.get(text.as_ref()) {
            return *id;
        }
        let id = self.names.len();
        let hashed = crate::hash::serialized_name(Some(&text));
        self.names.push(Name { text: Some(text.clone()), hashed: hashed.into() });
        self.ids.insert(text, id);
        id
    }

    /// Returns the text of a name; none for symbol zero or an unknown id.
    pub fn text(&self, id: NameId) -> Option<&str> {
        self.names.get(id)?.text.as_deref()
    }

    /// Returns the name's serialization for Ion Hash.
    pub fn hashed(&self, id: NameId) -> &[u8] {
        self.names.get(id).map_or(&[], |name| &name.hashed)
    }

    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Always false: symbol zero is always present.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// Returns true if a struct has a repeated field; plain Python values keep only the last.
pub fn repeats(fields: &[Field<'_>]) -> bool {
    if fields.len() <= 24 {
        return fields
            .iter()
            .enumerate()
            .any(|(index, (id, _))| fields.iter().take(index).any(|(other, _)| other == id));
    }
    let mut ids: Vec<NameId> = fields.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    ids.windows(2).any(|pair| pair.first() == pair.last())
}
