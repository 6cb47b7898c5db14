//! Bills of payment services, exports of spreadsheets, and numbers and times as people type them.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use chrono_tz::Asia::Shanghai;

use super::super::fixture::lines;
use super::super::*;
use super::{each, spec};

fn table(columns: &[(&str, &[&str])]) -> RecordBatch {
    let columns = columns.iter().map(|(name, values)| {
        let values: StringArray = values.iter().map(|v| (*v != "~").then_some(*v)).collect();
        (*name, Arc::new(values) as ArrayRef)
    });
    RecordBatch::try_from_iter(columns).expect("a batch")
}

#[test]
fn a_bill_with_backquotes_and_totals_comes_out_as_rows() {
    let spec: CleanSpec = serde_saphyr::from_str(
        "from: raw.wx\nskip: [{column: 交易时间, pattern: ^总}, {column: 总金额, empty: true}]\ncolumns:\n  at: {from: 交易时间, type: timestamp}\n  no: {from: 商户订单号, strip: \"`\"}\n  amount: {from: 总金额, type: decimal, amount: {}}\n",
    )
    .expect("a cleaning");
    assert_eq!(check(&spec, None), []);
    let bill = table(&[
        ("交易时间", &["`2026-11-01 10:00:00", "`2026-11-02 10:00:00", "总交易单数", "`3"]),
        ("商户订单号", &["`420000000000000000000000001", "`420000000000000000000000002", "~", "~"]),
        ("总金额", &["`1.50", "`2.50", "总交易额", "~"]),
    ]);
    let cleaned = apply(&spec, &bill, Shanghai).expect("it cleans");
    assert_eq!(cleaned.rejected.len(), 0, "{:?}", cleaned.rejected);
    assert_eq!(
        lines(&cleaned.kept),
        [
            "2026-11-01T02:00:00Z|420000000000000000000000001|1.50",
            "2026-11-02T02:00:00Z|420000000000000000000000002|2.50"
        ]
    );
}

#[test]
fn rows_that_are_no_data_are_left_out_by_value_pattern_or_emptiness() {
    let spec: CleanSpec = serde_saphyr::from_str(
        "from: raw.t\nskip: [{column: a, values: [合计, 小计]}, {column: a, pattern: ^-+$}, {column: a, empty: true}]\ncolumns: {a: {}}",
    )
    .expect("a cleaning");
    let rows = table(&[("a", &["x", " 合计 ", "小计", "-----", "~", "  ", "合计表"])]);
    let cleaned = apply(&spec, &rows, Shanghai).expect("it cleans");
    assert_eq!(lines(&cleaned.kept), ["x", "合计表"]);
    assert!(cleaned.rejected.is_empty());
}

#[test]
fn numbers_as_people_write_them() {
    let amount = "{type: {decimal: {precision: 18, scale: 4}}, amount: {}}";
    let comma = "! not a number with a decimal point (`decimal: \",\"` reads it)";
    let currency = "! amount of another currency (`amount: {currencies: […]}` reads a column of it)";
    let dash = "! a dash (`null_values` or `zero_values` says what it means)";
    for (text, expected) in [
        ("1,234.56", "1234.5600"),
        ("1.234,56", comma),
        ("1234,5", comma),
        ("(1,234.50)", "-1234.5000"),
        ("（300）", "-300.0000"),
        ("$1,234.00", currency),
        ("USD 100", currency),
        ("€5", currency),
        ("HK$5", currency),
        ("1 234.50", "1234.5000"),
        ("1'234.50", "1234.5000"),
        ("△300", "-300.0000"),
        ("12万3千", "123000.0000"),
        ("1.5亿", "150000000.0000"),
        ("-", dash),
        ("—", dash),
        ("0.5%", "0.0050"),
        ("１２３", "123.0000"),
        ("1，234．50", "1234.5000"),
        ("5元8角", "5.8000"),
        ("约100", "! not a number"),
        (">=100", "! not a number"),
        ("12,34,567", "! not a number"),
    ] {
        assert_eq!(each(amount, &[text]), [expected], "{text}");
    }
    let german = "{type: float, decimal: \",\"}";
    assert_eq!(
        each(german, &["1.234,56", "1 234,5", "0,5", "-7", "1,234.56"])[..4],
        ["1234.56", "1234.5", "0.5", "-7.0"]
    );
    assert!(each(german, &["1,234.56"])[0].starts_with('!'));
    let dollars = "{type: decimal, amount: {currencies: [HK$, $, USD]}}";
    assert_eq!(
        each(dollars, &["HK$5", "$1,234.00", "USD 100", "100 USD", "5"]),
        ["5.00", "1234.00", "100.00", "100.00", "5.00"]
    );
    assert!(each(dollars, &["€5"])[0].contains("another currency"));
    assert_eq!(
        each("{type: int, zero_values: [—, \"-\"], null_values: [/]}", &["—", "-", "/", "5"]),
        ["0", "0", "", "5"]
    );
}

#[test]
fn periods_times_and_protected_texts() {
    let month = "{type: date, formats: [\"%Y-%m\", \"%Y年%m月\", \"%Y%m\"]}";
    assert_eq!(
        each(month, &["2026-11", "2026年9月", "202612", "2026-13"])[..3],
        ["2026-11-01", "2026-09-01", "2026-12-01"]
    );
    assert!(each(month, &["2026-13"])[0].starts_with('!'));
    assert_eq!(
        each("{type: date, formats: [\"%Y\", \"%b %Y\"]}", &["2026", "Nov 2026"]),
        ["2026-01-01", "2026-11-01"]
    );
    let time = "{type: timestamp, zone: UTC}";
    assert_eq!(
        each(time, &["2026/11/27 上午8:05:00", "2026年11月27日下午3点05分"]),
        ["2026-11-27T08:05:00Z", "2026-11-27T15:05:00Z"]
    );
    assert_eq!(each("{}", &["=\"000123\""]), ["000123"]);
    assert_eq!(each("{type: int}", &["=\"000123\"", "`7"]), ["123", "7"]);
}

#[test]
fn a_format_that_can_never_read_anything_is_refused_before_it_runs() {
    for format in ["%m-%d", "%d", "%H:%M", "%Y-%W", "%Y-%d", "%Q"] {
        let found = check(&spec(&format!("  d: {{type: date, formats: [\"{format}\"]}}")), None);
        let text: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 1, "{format}: {text:?}");
        assert!(text[0].starts_with("columns.d.formats[0]: "), "{text:?}");
    }
    for format in [
        "%Y-%m-%d",
        "%d/%m/%Y",
        "%m/%d/%y",
        "%Y%m%d",
        "%Y%m%d%H%M%S",
        "%Y-%m",
        "%Y",
        "%d.%m.%Y %H:%M",
        "%b %d, %Y",
        "%d-%b-%y",
        "%A, %d %B %Y",
        "%Y-%m-%d %I:%M:%S %p",
        "%Y-%m-%dT%H:%M:%S%z",
        "%Y-%m-%d %H:%M:%S%.f",
        "%s",
        "%G-W%V-%u",
        "%Y-%j",
        "%a %b %e %H:%M:%S %Y",
        "excel",
        "unix",
        "unix_ms",
        "iso",
    ] {
        let found = check(&spec(&format!("  d: {{type: timestamp, formats: [\"{format}\"]}}")), None);
        assert_eq!(found, [], "{format}");
    }
}

#[test]
fn mistakes_in_what_is_cut_and_skipped_are_found() {
    let schema = table(&[("c", &["x"])]).schema();
    for (yaml, expected) in [
        ("columns: {c: {extract: \"(\"}}", "columns.c.extract: `(` is not a regular expression"),
        ("columns: {c: {replace: [{with: x}]}}", "columns.c.replace[0]: a replacement needs"),
        ("columns: {c: {split: {by: \"\", part: 1}}}", "columns.c.split: a split needs"),
        ("columns: {c: {type: float, decimal: \";\"}}", "columns.c.decimal: the decimal sign"),
        ("columns: {c: {zero_values: [x]}}", "columns.c.zero_values: `zero_values` does nothing"),
        (
            "columns: {c: {type: int, zero_values: [x], null_values: [x]}}",
            "columns.c.zero_values: `x` means no value",
        ),
        ("skip: [{column: c}]\ncolumns: {c: {}}", "skip[0]: nothing says"),
        (
            "skip: [{column: d, values: [x]}]\ncolumns: {c: {}}",
            "skip[0].column: the raw table has no column `d`",
        ),
        ("skip: [{column: c, pattern: \"[\"}]\ncolumns: {c: {}}", "skip[0].pattern: `[` is not"),
    ] {
        let spec: CleanSpec = serde_saphyr::from_str(&format!("from: raw.t\n{yaml}")).expect("a cleaning");
        let found: Vec<String> = check(&spec, Some(&schema)).iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|problem| problem.starts_with(expected)), "{yaml}: {found:?}");
    }
}
