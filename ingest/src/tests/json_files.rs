//! JSON as programs write it.

use serde_json::json;

use super::reading::{Read, read};

fn document(text: impl AsRef<[u8]>) -> Read {
    read("a.json", text, json!({"json": {}}))
}

fn lines(text: &str) -> Read {
    read("a.ndjson", text, json!({"ndjson": {}}))
}

#[test]
fn digits_land_as_they_were_delivered() {
    let text = r#"[{"id": 123456789012345678901, "amount": 12345678901234567.89, "rate": 1.10, "deep": {"x": 0.10, "l": [1.0, 2.50]}}]"#;
    for read in [document(text), lines(&text[1..text.len() - 1])] {
        assert_eq!(read.columns, ["id", "amount", "rate", "deep_x", "deep_l"]);
        assert_eq!(
            read.rows,
            [["123456789012345678901", "12345678901234567.89", "1.10", "0.10", "[1.0,2.50]"]]
        );
        assert!(read.error.is_none() && read.changed.is_empty());
    }
}

#[test]
fn nan_stops_nothing_and_is_told() {
    let text = r#"[{"id": 1, "v": NaN}, {"id": 2, "v": 1e400}, {"id": 3, "v": -Infinity}]"#;
    let read = document(text);
    assert_eq!(read.rows, [["1", "NaN"], ["2", "1e400"], ["3", "-Infinity"]]);
    let told = read.changed("v").unwrap();
    assert_eq!((told.count, told.first.as_str()), (2, "record 1, line 1: NaN"));
    let read = lines("{\"id\": 1, \"v\": NaN}\n{\"id\": 4,}\n{\"id\": 5}\n");
    assert_eq!(read.rows, [["1", "NaN"], ["5", "∅"]]);
    assert_eq!((read.rejected[0].0, read.rejected[0].2.as_str()), (2, "{\"id\": 4,}"));
}

#[test]
fn a_field_that_stands_twice_is_told() {
    let read = lines("{\"id\": 3, \"v\": 1.5, \"v\": 2.5}\n{\"a_b\": 1, \"a\": {\"b\": 2}}\n");
    assert_eq!(read.rows[0][..2], ["3", "2.5"]);
    let told = read.changed("v").unwrap();
    assert_eq!((told.count, told.first.as_str()), (1, "line 1: 1.5"));
    assert_eq!(read.changed("a_b").unwrap().first, "line 2: 1");
}

#[test]
fn a_damaged_record_is_set_aside_and_the_others_stand() {
    let read = document("[{\"id\":1},\n{\"id\":2,},\n{'id':3},\n7,\n{\"id\":4}]\n");
    assert_eq!(read.rows, [["1"], ["4"]]);
    assert_eq!(read.rejected.iter().map(|r| r.0).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(read.error, None);
}

#[test]
fn documents_that_are_not_whole_are_refused_with_their_line() {
    for (text, words) in [
        ("[{\"id\":1},\n{\"id\":2", "line 2"),
        ("[{\"id\":1}]\n[2]", "line 2: something follows"),
        ("{\"id\":1}\n{\"id\":2}\n", "ndjson"),
        ("[{\"id\":1} {\"id\":2}]", "expected , or ]"),
        ("", "empty"),
        ("7", "no array of records"),
        ("<html></html>", "web page"),
    ] {
        let error = document(text).error.unwrap_or_default();
        assert!(error.contains(words), "{text}: {error}");
    }
    let at = |text: &str| read("a.json", text, json!({"json": {"records": "$.data.items"}}));
    assert_eq!(at(r#"{"n":[1,{"x":"]}"}],"data":{"k":1,"items":[{"a":1}],"z":[]},"e":1}"#).rows, [["1"]]);
    assert!(
        at(r#"{"data":{"item":[1]}}"#)
            .error
            .unwrap()
            .contains("nothing at $.data.items; its fields are item")
    );
    assert!(at(r#"{"data":{"items":[{"a":1}]}"#).error.unwrap().contains("ends in the middle"));
}

#[test]
fn texts_of_any_encoding_and_form_are_read() {
    let text = "[{\"名\": \"王\\u5c0f\\n明\", \"空\": null, \"无\": {}, \"表\": []}]";
    let wide: Vec<u8> =
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let gb = encoding_rs::GB18030.encode(text).0.into_owned();
    for bytes in [text.as_bytes().to_vec(), format!("\u{feff}{text}").into_bytes(), wide, gb] {
        let read = document(bytes);
        assert_eq!(read.rows, [["王小\n明", "∅", "{}", "[]"]], "{:?}", read.error);
    }
}
