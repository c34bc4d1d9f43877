//! The kind of a PartiQL statement.

use regex::Regex;
use std::sync::LazyLock;

const KEYWORDS: [&str; 16] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "FROM", "CREATE", "DROP", "UNDROP", "EXEC", "EXECUTE", "UPSERT",
    "REPLACE", "REMOVE", "SET", "WITH", "OTHER",
];
const OTHER: &str = "OTHER";

/// As in `journal/block.py`; Python's white space has four more characters than Unicode's.
static KEYWORD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?s:[\s\x1C-\x1F]*(?:(?:--[^\n]*\n|/\*.*?\*/)[\s\x1C-\x1F]*)*([A-Za-z]+))").ok()
});

/// The leading keyword in upper case; OTHER for what is none, so that no payload passes.
pub fn kind(statement: &str) -> &'static str {
    let word = match statement.split(|next: char| !next.is_ascii_alphabetic()).next() {
        Some(word) if !word.is_empty() => word, // no space or comment before it: what nearly all are, without a regex
        _ => {
            let word = KEYWORD.as_ref().and_then(|keyword| keyword.captures(statement)?.get(1));
            word.map_or("", |word| word.as_str())
        }
    };
    KEYWORDS.into_iter().find(|keyword| keyword.eq_ignore_ascii_case(word)).unwrap_or(OTHER)
}

/// Whether statements of this kind define tables and indexes.
pub fn defines(kind: &str) -> bool {
    matches!(kind, "CREATE" | "DROP" | "UNDROP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_keyword_passes() {
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
