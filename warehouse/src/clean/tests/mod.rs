//! Cleaning batches (pure). Tables, through the warehouse: `tables`; what people write: `written`.

mod ledger;
mod tables;
mod written;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use chrono_tz::Asia::Shanghai;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::fixture::lines;
use super::*;

fn spec(columns: &str) -> CleanSpec {
    serde_saphyr::from_str(&format!("from: raw.t\ncolumns:\n{columns}")).expect("a cleaning")
}

fn texts(values: &[&str]) -> RecordBatch {
    let column: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
    RecordBatch::try_from_iter([("c", column)]).expect("a batch")
}

/// Cleans each text alone: the value, or the reason why there is none.
fn each(column: &str, values: &[&str]) -> Vec<String> {
    let spec = spec(&format!("  c: {column}"));
    values
        .iter()
        .map(|value| {
            let cleaned = apply(&spec, &texts(&[value]), Shanghai).expect("it cleans");
            match cleaned.rejected.first() {
                Some(reject) => format!("! {}", reject.reason),
                None => lines(&cleaned.kept).concat(),
            }
        })
        .collect()
}

#[test]
fn texts_become_typed_values_or_reasons() {
    let number = "! not a number";
    let date = "! not a date in any of the formats (`formats: […]` names more)";
    let time = "! not a time in any of the formats (`formats: […]` names more)";
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("{}", &[(" 张三　", "张三"), ("", ""), ("ＡＢ", "ＡＢ")]),
        (
            "{type: int}",
            &[
                ("42", "42"),
                ("　－７ ", "-7"),
                ("12.0", "12"),
                ("1e3", "1000"),
                ("１２", "12"),
                ("", ""),
                ("1.5", "! not a whole number"),
                ("12a", number),
                ("1,000", "! not a plain number (`amount: {}` reads it)"),
                (
                    "1.10101E+17",
                    "! a long number shortened to an exponent, its last digits are lost (export it as text)",
                ),
                ("9223372036854775808", "! number is too large for the column"),
            ],
        ),
        ("{type: float}", &[("1.25", "1.25"), ("-3e-2", "-0.03"), ("NaN", number), ("inf", number)]),
        (
            "{type: {decimal: {precision: 6, scale: 2}}, amount: {}}",
            &[
                ("￥1,234.50", "1234.50"),
                ("0.123万", "1230.00"),
                ("(12.345)", "-12.35"),
                ("1万", "! number is too large for the column"),
                ("1,23", "! not a number with a decimal point (`decimal: \",\"` reads it)"),
                ("５００元", "500.00"),
            ],
        ),
        (
            "{type: decimal, unit: {yuan: 万}}",
            &[("3.2", "32000.00"), ("3.2亿", "320000000.00"), ("5元", "5.00")],
        ),
        ("{type: float, unit: {hours: minutes}}", &[("90", "1.5"), ("0", "0.0")]),
        ("{type: float, unit: {ratio: percent}}", &[("15", "0.15"), ("15%", "0.15"), ("3‰", "0.003")]),
        (
            "{type: bool}",
            &[
                ("是", "true"),
                ("否", "false"),
                ("TRUE", "true"),
                ("0", "false"),
                ("1", "true"),
                ("", ""),
                ("maybe", "! neither yes nor no"),
            ],
        ),
        (
            "{type: date}",
            &[
                ("2026-01-02", "2026-01-02"),
                ("2026/1/2", "2026-01-02"),
                ("2026年1月2日", "2026-01-02"),
                ("20260102", "2026-01-02"),
                ("2026-01-02 23:30:00", "2026-01-02"),
                ("2026-01-02T23:30:00Z", "2026-01-03"),
                ("2026-02-30", date),
                ("02/01/2026", date),
                ("0000-00-00", date),
            ],
        ),
        (
            "{type: date, formats: ['%d/%m/%Y', '%Y年%m月%d日', excel]}",
            &[
                ("02/01/2026", "2026-01-02"),
                ("2026年01月02日", "2026-01-02"),
                ("46024", "2026-01-02"),
                ("46024.75", "2026-01-02"),
                ("2026-01-02", date),
                ("0.5", date),
            ],
        ),
        (
            "{type: timestamp}",
            &[
                ("2026-01-02 08:00:00", "2026-01-02T00:00:00Z"),
                ("2026-01-02T08:00", "2026-01-02T00:00:00Z"),
                ("2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"),
                ("2026-01-02 08:00:00.25+08:00", "2026-01-02T00:00:00.250Z"),
                ("2026年1月2日 8时5分", "2026-01-02T00:05:00Z"),
                ("2026-01-02 24:00:00", "2026-01-02T16:00:00Z"),
                ("2026-01-02 25:00", time),
                ("2026-01-02 08:00 x", time),
            ],
        ),
        (
            "{type: timestamp, zone: Europe/Berlin, formats: ['%Y-%m-%d %H:%M:%S', '%Y/%m/%d %I:%M %p', unix_ms]}",
            &[
                ("2026-07-01 12:00:00", "2026-07-01T10:00:00Z"),
                ("2026-01-01 12:00:00.000", "2026-01-01T11:00:00Z"),
                ("2026/01/01 01:30 PM", "2026-01-01T12:30:00Z"),
                ("1767225600000", "2026-01-01T00:00:00Z"),
            ],
        ),
        (
            "{type: int, map: {values: {甲: '1', 乙: '2'}}}",
            &[("甲", "1"), ("2", "2"), ("丙", "! code is not in the map")],
        ),
        (
            "{type: int, required: true, null_values: ['-']}",
            &[("-", "! required value is missing"), ("", "! required value is missing")],
        ),
        ("{type: int, default: '7', null_values: ['-']}", &[("-", "7"), ("3", "3")]),
    ];
    for (column, values) in cases {
        let (given, expected): (Vec<&str>, Vec<&str>) = values.iter().copied().unzip();
        assert_eq!(each(column, &given), expected, "{column}");
    }
}

#[test]
fn typed_sources_are_read_without_a_detour_over_text() {
    let micros = 1_767_312_000_000_000; // 2026-01-02T00:00:00Z
    let sources: Vec<(ArrayRef, &str, &str)> = vec![
        (Arc::new(Int64Array::from(vec![5])), "{type: float}", "5.0"),
        (Arc::new(Int64Array::from(vec![90])), "{type: float, unit: {hours: minutes}}", "1.5"),
        (Arc::new(Int64Array::from(vec![1])), "{type: bool}", "true"),
        (Arc::new(Int64Array::from(vec![2])), "{type: bool}", "!"),
        (Arc::new(Int64Array::from(vec![20_260_102])), "{type: date}", "2026-01-02"),
        (Arc::new(Int64Array::from(vec![46_024])), "{type: date, formats: [excel]}", "2026-01-02"),
        (Arc::new(Int64Array::from(vec![3])), "{type: text, map: {values: {'3': done}}}", "done"),
        (Arc::new(Float64Array::from(vec![1.005])), "{type: decimal}", "1.01"),
        (
            Arc::new(Float64Array::from(vec![46_024.5])),
            "{type: timestamp, formats: [excel]}",
            "2026-01-02T04:00:00Z",
        ),
        (Arc::new(Float64Array::from(vec![2.5])), "{type: int}", "!"),
        (Arc::new(Float64Array::from(vec![f64::NAN])), "{type: float}", "!"),
        (Arc::new(BooleanArray::from(vec![true])), "{type: int}", "1"),
        (
            Arc::new(Decimal128Array::from(vec![123_456]).with_precision_and_scale(10, 3).expect("a size")),
            "{type: decimal}",
            "123.46",
        ),
        (Arc::new(Date32Array::from(vec![20_455])), "{type: timestamp}", "2026-01-01T16:00:00Z"),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![micros + 72_000_000_000]).with_timezone("UTC")),
            "{type: date}",
            "2026-01-03",
        ),
        (
            Arc::new(TimestampMicrosecondArray::from(vec![micros])),
            "{type: timestamp}",
            "2026-01-01T16:00:00Z",
        ),
        (Arc::new(Date32Array::from(vec![20_455])), "{type: int}", "!"),
        (Arc::new(Date32Array::from(vec![20_455])), "{}", "2026-01-02"),
    ];
    for (array, column, expected) in sources {
        let kind = array.data_type().clone();
        let batch = RecordBatch::try_from_iter([("c", array)]).expect("a batch");
        let cleaned = apply(&spec(&format!("  c: {column}")), &batch, Shanghai).expect("it cleans");
        let got = if cleaned.rejected.is_empty() { lines(&cleaned.kept).concat() } else { "!".to_owned() };
        assert_eq!(got, expected, "{kind} as {column}");
    }
}

#[test]
fn a_reject_says_where_it_comes_from_and_everything_that_is_wrong() {
    let column = |values: Vec<&str>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let batch = RecordBatch::try_from_iter([
        ("编号", column(vec!["1", "x"])),
        ("amount", column(vec!["5", "五"])),
        ("note", column(vec!["a", "b"])),
        ("_file", column(vec!["f.csv", "f.csv"])),
        ("_row", Arc::new(Int64Array::from(vec![2, 3])) as ArrayRef),
    ])
    .expect("a batch");
    let spec = spec("  id: {from: 编号, type: int}\n  amount: {type: float}");
    let cleaned = apply(&spec, &batch, Shanghai).expect("it cleans");
    assert_eq!(lines(&cleaned.kept), ["1|5.0"]);
    let [reject] = cleaned.rejected.as_slice() else { panic!("one reject") };
    assert_eq!((reject.row, reject.file.as_deref()), (Some(3), Some("f.csv")));
    assert_eq!(
        (reject.column.as_str(), reject.reason, reject.value.as_deref()),
        ("id", Reason::NotANumber, Some("x"))
    );
    assert_eq!(reject.also.as_deref(), Some("amount: not a number"));
    let record: serde_json::Value = serde_json::from_str(&reject.record).expect("JSON");
    assert_eq!(record["note"], "b");
    let wrong = apply(&self::spec("  id: {from: 编码}"), &batch, Shanghai).expect_err("no such column");
    assert!(wrong.to_string().contains("did you mean `编号`"), "{wrong}");
}

#[test]
fn kept_and_rejected_are_always_the_rows_read() {
    let spec = spec(
        "  a: {type: int, required: true}\n  b: {type: timestamp, formats: ['%Y-%m-%d', excel]}\n  \
         c: {type: decimal, amount: {}}\n  d: {map: {values: {x: y}}}\n  e: {type: bool}",
    );
    let pieces = [
        "",
        " ",
        "1",
        "12",
        "-",
        "万",
        "￥",
        "x",
        "y",
        "是",
        "2026-01-02",
        "45000",
        "，",
        "(",
        ")",
        ".5",
        "１",
        "e9",
        "\u{feff}",
    ];
    let mut random = StdRng::seed_from_u64(11);
    for _ in 0..300 {
        let count = random.random_range(0..40);
        let mut column = || -> ArrayRef {
            Arc::new(StringArray::from_iter((0..count).map(|_| {
                let parts = random.random_range(0..4);
                (parts > 0).then(|| {
                    (0..parts).map(|_| pieces[random.random_range(0..pieces.len())]).collect::<String>()
                })
            })))
        };
        let batch = RecordBatch::try_from_iter(["a", "b", "c", "d", "e"].map(|name| (name, column())))
            .expect("a batch");
        let cleaned = apply(&spec, &batch, Shanghai).expect("it cleans");
        assert_eq!(cleaned.kept.num_rows() + cleaned.rejected.len(), count);
        // What was kept once is kept again: cleaning its own output changes nothing.
        let again = apply(&spec, &cleaned.kept, Shanghai).expect("it cleans");
        assert_eq!(again.kept, cleaned.kept);
    }
}

#[test]
fn definitions_are_checked_with_paths_and_hints() {
    let check_yaml = |yaml: &str| -> Vec<String> {
        let spec: CleanSpec = serde_saphyr::from_str(yaml).expect("a cleaning");
        check(&spec, Some(texts(&["x"]).schema().as_ref())).iter().map(ToString::to_string).collect()
    };
    for (yaml, expected) in [
        (
            "from: raw.t\ncolumns: {id: {from: d}}",
            "columns.id.from: the raw table has no column `d` (did you mean `c`?)",
        ),
        (
            "from: raw.t\nkey: [ie]\ncolumns: {id: {from: c}}",
            "key[0]: `ie` is not one of the output columns (did you mean `id`?)",
        ),
        ("from: clean.t\ncolumns: {c: {}}", "from: `clean.t` is not a raw table"),
        (
            "from: raw.t\ncolumns: {c: {type: int, formats: ['%Y']}}",
            "columns.c.formats: `formats` does nothing for type `int`",
        ),
        (
            "from: raw.t\ncolumns: {c: {type: date, formats: ['yyyy']}}",
            "columns.c.formats[0]: `yyyy` is not a date format",
        ),
        (
            "from: raw.t\ncolumns: {c: {type: timestamp, zone: Asia/Shangai}}",
            "columns.c.zone: unknown time zone `Asia/Shangai` (did you mean `Asia/Shanghai`?)",
        ),
        ("from: raw.t\nlatest: c\ncolumns: {c: {}}", "latest: `latest` orders versions of a key"),
        ("from: raw.t\ncolumns: {c: {type: {decimal: {precision: 50}}}}", "columns.c.type: precision 50"),
        ("from: raw.t\ncolumns: {}", "columns: the cleaning has no columns"),
    ] {
        let found = check_yaml(yaml);
        assert!(found.iter().any(|problem| problem.starts_with(expected)), "{yaml}: {found:?}");
    }
    for wrong in [
        "from: raw.t\ncolumns: {c: {type: integer}}",
        "from: raw.t\ncolumns: {c: {typ: int}}",
        "from: raw.t\ncolumns: {c: {}, c: {}}",
        "columns: {c: {}}",
    ] {
        assert!(serde_saphyr::from_str::<CleanSpec>(wrong).is_err(), "{wrong}");
    }
    let error = serde_saphyr::from_str::<CleanSpec>("from: raw.t\ncolumns: {c: {type: timstamp}}")
        .expect_err("no type");
    assert!(error.to_string().contains("did you mean `timestamp`"), "{error}");
}

/// Run with `--ignored --nocapture` to see the rate.
#[test]
#[ignore = "a measurement"]
fn cleaning_a_million_rows_takes_seconds() {
    let spec = spec(
        "  id: {type: int}\n  status: {map: {values: {R: running, D: done}}}\n  amount: {type: decimal, amount: {}}\n  \
         at: {type: timestamp, formats: ['%Y-%m-%d %H:%M:%S', '%Y/%m/%d %H:%M', excel]}\n  day: {type: date}\n  \
         dept: {required: true}\n  flag: {type: bool}\n  score: {type: float}",
    );
    let count = 8192;
    let column = |text: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..count).map(text)))
    };
    let batch = RecordBatch::try_from_iter([
        ("id", column(&|i| i.to_string())),
        ("status", column(&|i| ["R", "D"][i % 2].to_owned())),
        ("amount", column(&|i| format!("￥{},{:03}.50", i % 900 + 1, i % 1000))),
        ("at", column(&|i| format!("2026/03/{:02} {:02}:{:02}", i % 28 + 1, i % 24, i % 60))),
        ("day", column(&|i| format!("2026年3月{}日", i % 28 + 1))),
        ("dept", column(&|i| format!(" 部门{} ", i % 40))),
        ("flag", column(&|i| ["是", "否"][i % 2].to_owned())),
        ("score", column(&|i| format!("{}.{}", i, i % 10))),
    ])
    .expect("a batch");
    let cleaner = super::apply::Cleaner::compile(&spec, Shanghai).expect("a cleaner");
    let started = std::time::Instant::now();
    for _ in 0..146 {
        assert!(cleaner.apply(&batch).expect("it cleans").rejected.is_empty());
    }
    println!("{} rows in {:?}", 146 * count, started.elapsed());
}
