//! Parquet as other programs write it.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, i256};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::json;

use super::reading::{Read, read};
use super::support::{House, shared_data, spec};

pub(super) fn written(batch: &RecordBatch, properties: Option<WriterProperties>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), properties).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    bytes
}

pub(super) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap()
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Read {
    let read = read("a.parquet", written(&batch(columns), None), json!({"parquet": {}}));
    assert_eq!(read.error, None);
    read
}

fn map() -> ArrayRef {
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("a");
    map.values().append_value(1);
    map.append(true).unwrap();
    map.append(false).unwrap();
    Arc::new(map.finish())
}

#[test]
fn what_a_table_has_not_lands_as_text_with_a_word() {
    let wide = Decimal256Array::from(vec![
        Some(i256::from_string("12345678901234567890123456789012345678901234567").unwrap()),
        None,
    ])
    .with_precision_and_scale(50, 2)
    .unwrap();
    let fits =
        Decimal256Array::from(vec![Some(i256::from(12_345)), None]).with_precision_and_scale(38, 2).unwrap();
    let inside = map();
    let parts =
        StructArray::from(vec![(Arc::new(Field::new("m", inside.data_type().clone(), true)), inside)]);
    let read = parquet(vec![
        ("m", map()),
        ("wide", Arc::new(wide)),
        ("fits", Arc::new(fits)),
        ("parts", Arc::new(parts)),
        ("id", Arc::new(Int32Array::from(vec![1, 2]))),
    ]);
    assert_eq!(
        read.rows,
        [
            [
                "{\"a\":1}",
                "123456789012345678901234567890123456789012345.67",
                "123.45",
                "{\"m\":{\"a\":1}}",
                "1"
            ],
            ["∅", "∅", "∅", "{\"m\":null}", "2"]
        ]
    );
    assert_eq!(read.warnings.len(), 3, "{:?}", read.warnings);
    assert!(
        read.warnings[1].contains("`wide`") && read.warnings[1].contains("38 digits"),
        "{:?}",
        read.warnings
    );
}

#[test]
fn times_that_lose_something_are_told() {
    let nanos = TimestampNanosecondArray::from(vec![Some(1_000), Some(1_001), None]);
    let far = TimestampMillisecondArray::from(vec![Some(1), Some(i64::MAX / 10), None]);
    let read = parquet(vec![("nanos", Arc::new(nanos)), ("far", Arc::new(far))]);
    assert_eq!(read.rows[1][1], "∅");
    let (cut, gone) = (read.changed("nanos").unwrap(), read.changed("far").unwrap());
    assert_eq!((cut.count, cut.first.as_str(), cut.how.as_str()), (1, "row 2", "cut to the microsecond"));
    assert_eq!((gone.count, gone.first.as_str()), (1, "row 2"));
}

#[test]
fn texts_are_the_same_whether_in_a_dictionary_or_not() {
    let texts = ["甲", "a much longer text than a view holds in itself", ""];
    let plain = StringArray::from((0..20_000).map(|i| texts[i % 3]).collect::<Vec<_>>());
    let coded: DictionaryArray<Int32Type> = (0..20_000).map(|i| texts[i % 3]).collect();
    let bytes = BinaryArray::from_iter_values((0..20_000).map(|i| texts[i % 3].as_bytes()));
    let read =
        parquet(vec![("plain", Arc::new(plain)), ("coded", Arc::new(coded)), ("bytes", Arc::new(bytes))]);
    assert_eq!(read.rows.len(), 20_000);
    assert!(read.rows.iter().enumerate().all(|(i, r)| r[0] == texts[i % 3] && r[1] == texts[i % 3]));
    let none = read_empty();
    assert_eq!((none.columns, none.rows.len(), none.error), (vec!["id".to_owned()], 0, None));
}

fn read_empty() -> Read {
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int32, true)]));
    read("a.parquet", written(&RecordBatch::new_empty(schema), None), json!({"parquet": {}}))
}

#[test]
fn a_text_that_is_small_in_the_file_and_huge_in_the_table_goes_in_parts() {
    // 8 MiB once in a dictionary, 200 rows of it.
    let text = "x".repeat(8 << 20);
    let coded: DictionaryArray<Int32Type> = (0..200).map(|_| text.as_str()).collect();
    let bytes = written(&batch(vec![("t", Arc::new(coded))]), None);
    let folder = super::support::Folder::new();
    folder.write("a.parquet", &bytes);
    let (feed, mut pulls) = crate::source::Feed::channel();
    let part = crate::source::FilePart { name: "a.parquet".into(), again: false };
    let mut sink = crate::formats::sink::Sink::new(feed, part, json!({}), 0);
    let path = folder.0.join("a.parquet");
    let reader = std::thread::spawn(move || {
        crate::formats::read(&path, &super::reading::format(json!({"parquet": {}})), &mut sink).unwrap();
        sink.finish().unwrap();
    });
    let mut rows = 0;
    while let Some(pull) = futures::executor::block_on(futures::StreamExt::next(&mut pulls)) {
        let pull = pull.unwrap();
        assert!(pull.rows.get_array_memory_size() < 40 << 20, "{}", pull.rows.get_array_memory_size());
        rows += pull.rows.num_rows();
    }
    reader.join().unwrap();
    assert_eq!(rows, 200);
}

#[test]
fn values_and_pages_beyond_the_limit_are_named() {
    let large = "x".repeat(17 << 20);
    let read = parquet(vec![
        ("id", Arc::new(Int32Array::from(vec![1, 2, 3]))),
        ("t", Arc::new(StringArray::from(vec!["a", &large, "b"]))),
    ]);
    assert_eq!(read.rows, [["1", "a"], ["3", "b"]]);
    assert_eq!(read.rejected[0].0, 2);
    assert!(
        read.rejected[0].1.contains("column `t`") && read.rejected[0].1.contains("16 MiB"),
        "{}",
        read.rejected[0].1
    );
    // A page that unpacks to 300 MiB from a few KiB.
    let zeros = StringArray::from(vec!["0".repeat(300 << 20)]);
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_compression(parquet::basic::Compression::ZSTD(Default::default()))
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .build();
    let bytes = written(&batch(vec![("z", Arc::new(zeros))]), Some(properties));
    assert!(bytes.len() < 1 << 20);
    let error = super::reading::read("a.parquet", bytes, json!({"parquet": {}})).error.unwrap();
    assert!(error.contains("column `z` unpacks to 300 MiB") && error.contains("256 MiB"), "{error}");
    let many: Vec<(String, ArrayRef)> =
        (0..2001).map(|i| (format!("c{i}"), Arc::new(Int32Array::from(vec![1])) as ArrayRef)).collect();
    let bytes = written(&batch(many.iter().map(|(n, a)| (n.as_str(), a.clone())).collect()), None);
    let error = super::reading::read("a.parquet", bytes, json!({"parquet": {}})).error.unwrap();
    assert!(error.contains("2001 columns") && error.contains("2000"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_name_columns_are_columns() {
    let house = House::new().await;
    let one = written(&batch(vec![("id", Arc::new(Int32Array::from(vec![1])))]), None);
    let two = written(&batch(vec![("id", Arc::new(Int32Array::from(vec![2])))]), None);
    house.folder.write("drops/dt=2026-01-01/region=%E5%8D%8E%E4%B8%9C/a.parquet", one);
    house.folder.write("drops/dt=2026-01-02/region=__HIVE_DEFAULT_PARTITION__/a.parquet", two);
    let report = house
        .sync_one(&spec(json!({"kind": {"files": {"path": "drops"}}, "streams": {"o": {"glob": "**/*.parquet", "format": {"parquet": {}}}}})))
        .await;
    assert!(report.error.is_none(), "{report:?}");
    assert_eq!(
        house.sql("select id, dt, region from raw.s_o order by id").await,
        [["1", "2026-01-01", "华东"], ["2", "2026-01-02", "∅"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_delta_table_are_refused_by_name() {
    let house = House::new().await;
    let file = written(&batch(vec![("id", Arc::new(Int32Array::from(vec![1])))]), None);
    house.folder.write("drops/orders/_delta_log/00000000000000000000.json", "{}");
    house.folder.write("drops/orders/a.parquet", &file);
    house.folder.write("drops/plain/b.parquet", &file);
    let parquet = |path: &str, glob: &str| {
        spec(
            json!({"kind": {"files": {"path": path}}, "streams": {"o": {"glob": glob, "format": {"parquet": {}}}}}),
        )
    };
    let report = house.sync_one(&parquet("drops", "**/*.parquet")).await;
    assert_eq!(report.rows, 1, "{report:?}");
    let error = report.error.unwrap().to_string();
    assert!(error.contains("folder `orders` is a Delta table") && error.contains("export"), "{error}");
    let Some(folder) = shared_data("delta/simple_table") else { return };
    let report = house.sync_one(&parquet(&folder.display().to_string(), "**/*.parquet")).await;
    assert_eq!(report.rows, 0);
    assert!(report.error.unwrap().to_string().contains("Delta table"));
}
