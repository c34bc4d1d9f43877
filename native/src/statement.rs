//! PartiQL statements: their kinds, and their texts in a transactionInfo.

use crate::decode;
use crate::members::{self, Members};
use crate::value::Read;
use regex::Regex;
use std::sync::LazyLock;

const KEYWORDS: [&str; 16] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "FROM", "CREATE", "DROP", "UNDROP", "EXEC", "EXECUTE", "UPSERT",
    "REPLACE", "REMOVE", "SET", "WITH", "OTHER",
];
const OTHER: &str = "OTHER";

/// As in `journal/check/statements.py`; Python's white space has four more characters than Unicode's.
static KEYWORD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?s:[\s\x1C-\x1F]*(?:(?:--[^\n]*\n|/\*.*?\*/)[\s\x1C-\x1F]*)*([A-Za-z]+))").ok()
});

/// Returns the leading keyword in upper case; OTHER for any other word, which may be payload.
pub fn kind(statement: &str) -> &'static str {
    let word = match statement.split(|next: char| !next.is_ascii_alphabetic()).next() {
        Some(word) if !word.is_empty() => word, // fast path: no space or comment before it
        _ => {
            let word = KEYWORD.as_ref().and_then(|keyword| keyword.captures(statement)?.get(1));
            word.map_or("", |word| word.as_str())
        }
    };
    KEYWORDS.into_iter().find(|keyword| keyword.eq_ignore_ascii_case(word)).unwrap_or(OTHER)
}

/// Returns true if statements of this kind define tables and indexes.
pub fn defines(kind: &str) -> bool {
    matches!(kind, "CREATE" | "DROP" | "UNDROP")
}

/// Returns the statement texts of a transactionInfo in Ion; none if it has no statements.
pub fn texts(info: &[u8]) -> Read<Vec<String>> {
    let mut names = decode::names();
    let value = decode::only(info, &mut names)?;
    let statements = Members::of(&value)?.list(members::STATEMENTS)?;
    statements
        .iter()
        .map(|statement| Ok(Members::of(statement)?.text(members::STATEMENT)?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement_texts_are_read() {
        let info = br#"{statements: [{statement: "SELECT 1", startTime: null}, {statement: "COMMIT"}], documents: {}}"#;
        assert_eq!(texts(info), Ok(vec!["SELECT 1".to_owned(), "COMMIT".to_owned()]));
        assert_eq!(texts(b"{documents: {}}"), Ok(Vec::new()));
        assert!(texts(b"{statements: [1]}").is_err());
        assert!(texts(b"{statements: [], statements: []}").is_err());
        assert!(texts(b"").is_err());
    }

    #[test]
    fn only_keywords_are_returned() {
        for (statement, expected) in [
            ("SELECT 1", "SELECT"),
            (" \u{1C}\u{A0}insert INTO T ?", "INSERT"),
            ("-- Ada\nupdate T", "UPDATE"),
            ("/* Ada */ /* Bob\n */delete", "DELETE"),
            ("Ada", "OTHER"),
            ("", "OTHER"),
            ("-- SELECT", "OTHER"),
            ("/* a */ 1 */ SELECT", "SELECT"),
            ("FROMAGE", "OTHER"),
        ] {
            assert_eq!(kind(statement), expected, "{statement}");
        }
    }
}
