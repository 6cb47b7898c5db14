use serde_json::json;

use super::{Read, read};

fn auto(text: &str) -> Read {
    read(text.as_bytes(), json!({}))
}

#[test]
fn an_open_quote_costs_its_line_and_no_other() {
    let found = auto("id,name,price\n1,笔,1.00\n2,\"15寸屏,2.00\n3,纸,3.00\n4,\"17寸屏,4.00\n5,墨,5.00\n");
    assert_eq!(found.table(), "1|笔|1.00\n3|纸|3.00\n5|墨|5.00");
    assert_eq!(found.lines, [2, 4, 6]);
    let texts: Vec<_> = found.aside.iter().map(|(line, _, text)| (*line, text.as_str())).collect();
    assert_eq!(texts, [(3, "2,\"15寸屏,2.00"), (5, "4,\"17寸屏,4.00")]);
    assert!(found.says("quote: none"), "{:?}", found.said);
    let all = read("id,name,price\n2,\"15寸屏,2.00\n3,纸,3.00\n".as_bytes(), json!({"quote": "none"}));
    assert_eq!((all.table().as_str(), all.said.len()), ("2|\"15寸屏|2.00\n3|纸|3.00", 0));
}

#[test]
fn two_stray_quotes_that_fit_by_accident_do_not_swallow_the_rows_between() {
    let found =
        auto("id,name,price\n1,笔,1.00\n2,\"15 inch,2.00\n3,纸,3.00\n4,screen 17\",4.00\n5,墨,5.00\n");
    assert_eq!(found.table(), "1|笔|1.00\n3|纸|3.00\n4|screen 17\"|4.00\n5|墨|5.00");
    assert_eq!((found.aside.len(), found.aside[0].0), (1, 3));
    // A text of several lines, some with commas, is one value.
    let text = "id,address,ok\n7,\"12 Main St, Springfield\nApt 4, Bldg 2\",yes\n8,\"a\n\n1,2\nb\",no\n";
    let found = auto(text);
    assert_eq!((found.rows.len(), found.aside.len()), (2, 0), "{found:?}");
    assert_eq!(found.lines, [2, 4]);
}

#[test]
fn text_behind_a_closing_quote_and_moved_fields_are_set_aside() {
    let found = auto("id,a,b,url\n1,x,y,u1\n2,\"shoe,\"good, long\",u2\n3,x,z,u3\n");
    assert_eq!(found.table(), "1|x|y|u1\n3|x|z|u3");
    assert_eq!(found.aside[0].1, "characters after the closing quote of `a`");
    let found = auto("id,name,qty,note\n1,ann,3,x\n2,,bob,7,\n3,cy,4,\n");
    assert_eq!(found.table(), "1|ann|3|x\n3|cy|4|");
    assert_eq!(found.aside, [(3, "5 fields where the header has 4".into(), "2,,bob,7,".into())]);
}

#[test]
fn a_delimiter_behind_nearly_every_row_is_no_column() {
    for (text, format, said) in [
        ("id;v;\n1;a;\n2;b;\n", json!({}), 0),
        ("id;v\n1;a;\n2;b;\n", json!({}), 1),
        ("id;v\n1;a;\n2;b;\n", json!({"header": true}), 0),
    ] {
        let found = read(text.as_bytes(), format);
        assert_eq!((found.names.join(","), found.table()), ("id,v".into(), "1|a\n2|b".into()), "{text}");
        assert!(found.said.len() == said && found.aside.is_empty(), "{found:?}");
    }
    let found = auto("id;v;\n1;a;\n2;b;c\n");
    assert_eq!((found.names.len(), found.rows.len()), (3, 2));
}

#[test]
fn title_lines_above_the_header_are_left_out_and_said() {
    let text = "某某公司2026年11月销售明细表\n制表人：张,,,\n日期,门店,金额,备注\n2026-11-01,一店,100,\n2026-11-02,二店,200,\n合计,,300,\n";
    let found = auto(text);
    assert_eq!(found.names, ["日期", "门店", "金额", "备注"]);
    assert_eq!((found.rows.len(), found.lines[0], found.aside.len()), (3, 4, 0), "{found:?}");
    assert!(
        found.says("2 lines above the header were left out, beginning with \"某某公司"),
        "{:?}",
        found.said
    );
    assert!(found.says("`skip: 2`"), "{:?}", found.said);
    let found = read(text.as_bytes(), json!({"skip": 2}));
    assert_eq!((found.rows.len(), found.said.len()), (3, 0), "{found:?}");
    let found =
        auto("PREAMBLE,,,,\n,,,,\nDATE,TIME,QTY,ID,NOTE\n28/01/2018,00:00,2,M1,\n29/01/2018,00:15,0,R2,\n");
    assert_eq!((found.names[0].as_str(), found.rows.len()), ("DATE", 2), "{found:?}");
}

#[test]
fn a_file_without_header_keeps_its_first_row() {
    for text in ["1,10.5\n2,20\n3,30\n", "1,10.5\n", "2026-11-01,a\n2026-11-02,b\n", "x,3\ny,4\nx,5\n"] {
        let found = auto(text);
        assert_eq!(found.rows.len(), text.lines().count(), "{text} {found:?}");
        assert_eq!(found.names[0], "column_1");
        assert!(found.says("header: false"), "{:?}", found.said);
        assert!(read(text.as_bytes(), json!({"header": false})).said.is_empty());
    }
    assert_eq!(read(b"1,10.5\n2,20\n", json!({"header": true})).names, ["1", "10.5"]);
    // Years and days as headings are a header.
    for text in ["区域,2024,2025,2026\n华东,1,2,3\n", "姓名,1,2,3\n王,8,8,7\n"] {
        let found = auto(text);
        assert_eq!((found.rows.len(), found.said.len()), (1, 0), "{text} {found:?}");
    }
}

#[test]
fn a_header_of_other_width_is_no_reason_to_lose_the_rows() {
    // As R's write.table has it.
    let found = auto("\"mpg\" \"cyl\"\n\"Mazda RX4\" 21 6\n\"Datsun 710\" 22.8 4\n");
    assert_eq!(found.names, ["row_names", "mpg", "cyl"], "{found:?}");
    assert_eq!(found.table(), "Mazda RX4|21|6\nDatsun 710|22.8|4");
    assert!(found.says("row_names"));
    for (header, reason) in [
        ("DATE,TIMEQTY,NOTE", "3 names where the rows have 4 fields"),
        ("DATE,,TIME,QTY,NOTE", "5 names where the rows have 4 fields"),
        ("\"DATE,TIME,\"QTY\",NOTE", "a quote in it is not closed"),
        ("DATE TIME QTY NOTE", "1 name where the rows have 4 fields"),
    ] {
        let found =
            auto(&format!("{header}\n2026-11-01,08:00,3,x\n2026-11-02,09:00,4,y\n2026-11-03,09:10,4,\n"));
        assert_eq!((found.rows.len(), found.names[3].as_str()), (3, "column_4"), "{header} {found:?}");
        assert_eq!((found.aside[0].0, found.aside[0].2.as_str()), (1, header));
        assert!(found.aside[0].1.contains(reason), "{:?}", found.aside);
    }
}

#[test]
fn short_rows_are_set_aside_or_padded() {
    let text = "id,name,phone,note\n0,n0,138,x\n1,n1,138,x\n2,n2,139,x\n3,n3,139\n4,n4\n";
    let found = auto(text);
    assert_eq!((found.rows.len(), found.aside.len()), (3, 2));
    assert!(found.says("`null_padding: true`"), "{:?}", found.said);
    let found = read(text.as_bytes(), json!({"null_padding": true}));
    assert_eq!(found.rows[4], ["4", "n4", "∅", "∅"]);
    assert!(found.aside.is_empty() && found.said.is_empty(), "{found:?}");
}

#[test]
fn escapes_nulls_other_quotes_and_comments() {
    let found = read(b"1,\"say \\\"hi\\\", ok\",2.5\n2,\\N,3\n3,\"plain\",4\n", json!({"header": false}));
    assert_eq!(found.table(), "1|say \"hi\", ok|2.5\n2|∅|3\n3|plain|4");
    assert!(found.says("`escape: \"\\\\\"`"), "{:?}", found.said);
    let found = read(b"id,v\n1,\"NULL\"\n2,NULL\n3,\\N\n", json!({"null": ["NULL"]}));
    assert_eq!(found.table(), "1|NULL\n2|∅\n3|\\N");
    let found = auto("id,v,w\n1,'a, b',3\n2,'c',4\n3,'it''s',5\n");
    assert_eq!(found.table(), "1|a, b|3\n2|c|4\n3|it's|5");
    assert!(found.says("`quote: \"'\"`"), "{:?}", found.said);
    let found = read(b"# made today\nid,v\n1,a\n# x, \"more\n#\"y\n2,b\n", json!({"comment": "#"}));
    assert_eq!((found.table().as_str(), found.aside.len()), ("1|a\n2|b", 0));
}

#[test]
fn the_delimiter_is_found_over_the_whole_sample() {
    let cases = [
        ("a\tb\n1,5\tx, y\n2,5\tz\n", "1,5|x, y\n2,5|z"),
        ("id;v\n1;1,5\n2;2,5\n", "1|1,5\n2|2,5"),
        ("id name n\n1 \"a b\" 2\n2 c 4\n", "1|a b|2\n2|c|4"),
        ("id, v, w\n1, \"x, y\", 2\n2, z, 3\n", "1|x, y|2\n2|z|3"),
        ("sep=|\nid|v\n1|a,b\n2|c,d\n", "1|a,b\n2|c,d"),
        (
            "id,at\n1,2026-11-01 08:00:00\n2,2026-11-02 09:00:00\n",
            "1|2026-11-01 08:00:00\n2|2026-11-02 09:00:00",
        ),
        ("name\nAnn Lee\nBob Ray\n", "Ann Lee\nBob Ray"),
        ("at\n10:20\n11:30\n", "10:20\n11:30"),
        ("id|t\r1|x\r2|y\r", "1|x\n2|y"),
        ("id\u{1}t\n1\u{1}x\n2\u{1}y\n", "1|x\n2|y"),
        ("id\tt\n1\tx\\\ty\n2\tz\n", "1|x\ty\n2|z"),
    ];
    for (text, expected) in cases {
        let found = auto(text);
        assert_eq!(found.table(), expected, "{text} {found:?}");
        assert!(found.aside.is_empty(), "{found:?}");
    }
    for text in ["id   name   n\n1    ann    3\n2    bob    4\n", "id#t\n1#x\n2#y\n"] {
        let found = auto(text);
        assert!(found.names.len() == 1 && found.says("read as one column"), "{found:?}");
    }
}

#[test]
fn empty_rows_repeated_headers_and_second_tables() {
    let found = auto("id,v\n1,a\n,\n\n2,b\n ,\n");
    assert_eq!((found.table().as_str(), found.aside.len()), ("1|a\n2|b", 0));
    let found = auto("id,v\n1,a\nid,v\n2,b\n");
    assert_eq!((found.rows.len(), found.aside[0].1.as_str()), (2, "the header again"));
    assert!(found.says("the header again"));
    let found = auto("id,v\n1,a\n2,b\n\nno,name,city\n7,x,y\n8,z,w\n");
    assert_eq!((found.rows.len(), found.aside.len()), (2, 3));
    assert!(found.says("a second table"), "{:?}", found.said);
    let rows = "1,3\n2,4\n".repeat(20);
    let found = auto(&format!("id,qty\n{rows}name,city\n7,8\n"));
    assert!(found.says("a second table") && found.aside[0].2 == "name,city", "{found:?}");
    // Words that more words follow may be rows: nothing is set aside, and yet it is said.
    let found = auto(&format!("id,qty\n{rows}name,city\nx,y\n"));
    assert!(found.says("a second table") && found.rows.len() == 42 && found.aside.is_empty(), "{found:?}");
}

#[test]
fn undecodable_bytes_cost_their_row() {
    let mut bytes = encoding_rs::GBK.encode("编号,摘要\n1,付款一\n2,付款二\n").0.into_owned();
    bytes.extend(b"3,\xb2\xee\xc2\n4,ok\n");
    let found = read(&bytes, json!({}));
    assert_eq!(found.table(), "1|付款一\n2|付款二\n4|ok");
    assert_eq!(found.aside[0].0, 4);
    assert!(found.aside[0].1.contains("C2") && found.aside[0].2.starts_with("3,差"), "{:?}", found.aside);
    // Lines of another encoding would be other characters.
    let mut bytes = encoding_rs::GBK.encode("编号,部门\n1,财务部\n2,销售部\n3,研发部\n").0.into_owned();
    bytes.extend("4,财务二部\n5,ok\n".as_bytes());
    let found = read(&bytes, json!({}));
    assert_eq!((found.rows.len(), found.aside.len()), (4, 1), "{found:?}");
    assert!(found.aside[0].1.contains("the line is UTF-8"), "{found:?}");
    let found = read(b"id,v\n1,caf\xc3\xa9\n2,\xff\n3,\xe5\x90\x8d\xe5\n4,\xe5\x90\x8d\n", json!({}));
    assert_eq!((found.table().as_str(), found.aside.len()), ("1|café\n4|名", 2), "{found:?}");
    // Another encoding altogether is no damage.
    let text: String = (0..400).map(|i| format!("{i},财务部\n")).collect();
    let bytes = [b"id,v\n", &*encoding_rs::GBK.encode(&text).0].concat();
    let error = read(&bytes, json!({"encoding": "utf-8"})).error.unwrap();
    assert!(error.contains("encoding"), "{error}");
}

#[test]
fn an_uncertain_encoding_is_said_with_the_next_likely() {
    let found = read(&encoding_rs::BIG5.encode("編號,部門\n1,財務部\n2,資訊處\n").0, json!({}));
    assert_eq!(found.names, ["編號", "部門"]);
    let found = read(&encoding_rs::GBK.encode("id,v\n1,王\n2,b\n").0, json!({}));
    assert!(found.says("encoding: gb18030") && found.says("next likely"), "{:?}", found.said);
}

#[test]
fn wide_and_long_is_refused_or_set_aside() {
    let wide = format!(
        "{}\n{}\n",
        (0..70_000).map(|i| format!("c{i}")).collect::<Vec<_>>().join(","),
        "1,".repeat(70_000)
    );
    let error = auto(&wide).error.unwrap();
    assert!(
        error.contains("line 1") && error.contains("2000 columns") && error.contains("limits.columns"),
        "{error}"
    );
    let long = format!("id,v\n1,a\n2,{}\n3,{}\n4,d\n", "x".repeat(17 << 20), ",".repeat(20 << 20));
    let found = auto(&long);
    assert_eq!(found.table(), "1|a\n4|d");
    assert_eq!((found.aside.len(), found.lines.as_slice()), (2, [2, 5].as_slice()), "{:?}", found.aside[0].1);
    let open = format!("id,v\n1,\"a\n{}", "2,b\n".repeat(5 << 20));
    let found = auto(&open);
    assert_eq!((found.rows.len(), found.aside.len()), (5 << 20, 1));
}

#[test]
fn a_header_that_comes_again_in_a_small_file_is_no_data() {
    let rows = "2026-11-01,100\n2026-11-02,200\n";
    let found = auto(&format!("day,income\n{rows}day,cost\n2026-11-01,30\n2026-11-02,40\n"));
    assert_eq!(found.names, ["day", "income"]);
    assert_eq!((found.rows.len(), found.aside[0].2.as_str()), (4, "day,cost"), "{found:?}");
    assert!(found.says("a second table"), "{:?}", found.said);
    let text = format!("day,cost\n{rows}day,income\n{rows}");
    let sure = read(text.as_bytes(), json!({"header": true}));
    assert_eq!((sure.rows.len(), sure.aside.len()), (4, 1), "{sure:?}");
    // Exports joined byte by byte, each with its mark.
    let found = auto(&format!("day,income\n{rows}\u{feff}day,income\n{rows}"));
    assert_eq!((found.rows.len(), found.aside.len()), (4, 1), "{found:?}");
    // Words that repeat in a table of words are its values.
    let found = auto("name,city\nbob,city\nann,rome\n");
    assert_eq!(found.rows.len() + usize::from(found.names[0] == "name"), 3, "{found:?}");
}
