//! Text and binary Ion of the same value are equal, and anything that may not be Ion is handed over.

use strandline_native::decode::values;
use strandline_native::value::HandOver;

fn binary(body: &[u8]) -> Vec<u8> {
    [&[0xE0, 0x01, 0x00, 0xEA], body].concat()
}

fn json(data: &[u8]) -> Result<Vec<String>, HandOver> {
    Ok(values(data)?.into_iter().map(|(_, json, _)| json).collect())
}

#[test]
fn text_survives_a_round_trip_through_binary() {
    for text in [
        "null",
        "null.struct",
        "true",
        "0",
        "-1",
        "18446744073709551616",
        "1.5e0",
        "0e0",
        "-0.0",
        "1.00",
        "1d-7",
        "2017T",
        "2017-08T",
        "2017-08-21T",
        "2017-08-21T10:30-00:00",
        "2000-01-01T00:30:00.5+01:00",
        "'a b'",
        "$0",
        "\"text\"",
        "'''a''' '''b'''",
        "{{aGVsbG8=}}",
        "{{\"clob\\xFF\"}}",
        "[1,[2],]",
        "(a 1 -2)",
        "{a:1,\"b\":{c:x}}",
        "one::'two'::{a:three::1}",
        "// c\n5 /* d */",
    ] {
        let from_text = values(text.as_bytes()).unwrap();
        let (hash, json, ion) = &from_text[0];
        let from_binary = values(ion).unwrap();
        assert_eq!((&from_binary[0].0, &from_binary[0].1, &from_binary[0].2), (hash, json, ion), "{text}");
    }
}

#[test]
fn symbol_tables_are_set_appended_and_reset() {
    let text = br#"$ion_symbol_table::{symbols:["a"]} $10
        $ion_symbol_table::{imports:$ion_symbol_table,symbols:["b"]} [$10,$11] $ion_1_0 $4"#;
    assert_eq!(json(text).unwrap(), [r#""a""#, r#"["a","b"]"#, r#""name""#]);
    assert_eq!(json(b"$ion_1_0 $10"), Err(HandOver("a symbol id beyond the symbol table")));
    assert_eq!(
        json(br#"$ion_symbol_table::{imports:[{name:"x",version:1,max_id:1}]} 1"#),
        Err(HandOver("a shared symbol table"))
    );
}

#[test]
fn invalid_text_is_handed_over() {
    for text in [
        "{",
        "[1",
        "(1",
        "\"",
        "'",
        "'''",
        "{{",
        "{{a}}",
        "/*",
        "[1 2]",
        "{a}",
        "{a:1 b:2}",
        "{1a:1}",
        "{null:1}",
        "01",
        "1_",
        "--1",
        "1.2.3",
        "1e",
        "1d",
        "0x",
        "2017-02-30T",
        "2017-13T",
        "2017-01-01T24:00Z",
        "2017-01-01T10Z",
        "2017-01-01T10:30",
        "0000T",
        "null.foo",
        "true::1",
        "\"\\q\"",
        "\"\\ud800\"",
        "\"\u{1}\"",
        "$ion_1_1",
        "1d9999999",
        "9999-12-31T23:59-01:00",
        "5::a",
        "a::",
        "{,}",
        "+1",
        ".5",
        "1/**/",
    ] {
        assert!(values(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn invalid_binary_is_handed_over() {
    for body in [
        &[0x11_u8, 0x12][..],
        &[0x31, 0x00],
        &[0x41, 0x00],
        &[0x8E],
        &[0x82, 0x41],
        &[0x81, 0xFF],
        &[0xD1, 0x84],
        &[0xD2, 0xFF, 0x20],
        &[0xE3, 0x81, 0x84],
        &[0xF0],
        &[0x71, 0x0A],
        &[0x8E, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F],
        &[0x52, 0x3F, 0x7F],
        &[0x62, 0xC0, 0x80],
        &[0xEF],
        &[0x00],
        &[0xB2, 0x21],
    ] {
        assert!(values(&binary(body)).is_err(), "{body:x?}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(values(nested(100).as_bytes()).is_ok());
    assert_eq!(values(nested(101).as_bytes()).err(), Some(HandOver("nested deeply")));
    assert!(values("(".repeat(1_000_000).as_bytes()).is_err());
    assert!(values(&binary(&[0xBE, 0x7F].repeat(100_000))).is_err());
    assert!(values("a::".repeat(1_000_000).as_bytes()).is_err());
}
