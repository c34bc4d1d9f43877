//! PartiQL statements: their kinds, and their texts in a transactionInfo.

use crate::decode;
use crate::members::{self, Members};
use crate::value::Read;

const KEYWORDS: [&str; 16] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "FROM", "CREATE", "DROP", "UNDROP", "EXEC", "EXECUTE", "UPSERT",
    "REPLACE", "REMOVE", "SET", "WITH", "OTHER",
];
const OTHER: &str = "OTHER";

/// Returns the leading keyword in upper case; OTHER for any other word, which may be payload.
pub fn kind(statement: &str) -> &'static str {
    let word = first_word(statement).unwrap_or_default();
    KEYWORDS.into_iter().find(|keyword| keyword.eq_ignore_ascii_case(word)).unwrap_or(OTHER)
}

/// Skips white space and comments, each once; none if a comment does not end.
fn first_word(mut rest: &str) -> Option<&str> {
    loop {
        // Python's white space has four more characters than Unicode's.
        rest =
            rest.trim_start_matches(|next: char| next.is_whitespace() || ('\x1C'..='\x1F').contains(&next));
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n')?.1;
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/")?.1;
        } else {
            return rest.split(|next: char| !next.is_ascii_alphabetic()).next();
        }
    }
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
            ("/* a */ 1 */ SELECT", "OTHER"),
            ("/**//**/--\n/* * */ set x", "SET"),
            ("/* SELECT", "OTHER"),
            ("FROMAGE", "OTHER"),
        ] {
            assert_eq!(kind(statement), expected, "{statement}");
        }
    }
}
