use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, NullArray,
    RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray, UInt32Array,
};
use datafusion::arrow::datatypes::{DataType, Schema};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use super::*;
use crate::{Error, Since};

#[tokio::test]
async fn rows_and_cursor_arrive_together_and_a_replay_changes_nothing() {
    let house = House::local().await;
    let table = name("raw.orders");
    let first =
        house.land("raw.orders", vec![orders(&[(1, 10), (2, 20)])], Landing::Append, 1).await.unwrap();
    assert_eq!((first.version, first.rows, first.already), (0, 2, false));
    assert_eq!(house.warehouse.mark(&table, "source/orders").await.unwrap(), Some(mark(1)));
    for _ in 0..3 {
        let again =
            house.land("raw.orders", vec![orders(&[(1, 10), (2, 20)])], Landing::Append, 1).await.unwrap();
        assert_eq!((again.version, again.rows, again.already), (0, 2, true));
    }
    house.land("raw.orders", vec![orders(&[(3, 30)])], Landing::Append, 2).await.unwrap();
    let older = house.land("raw.orders", vec![orders(&[(9, 90)])], Landing::Append, 1).await.unwrap();
    assert!(older.already);
    assert_eq!(house.lines("select id from raw.orders order by id").await, ["1", "2", "3"]);
    assert_eq!(house.warehouse.mark(&table, "nobody").await.unwrap(), None);
    assert_eq!(house.warehouse.mark(&name("raw.nothing"), "source/orders").await.unwrap(), None);
}

#[tokio::test]
async fn the_log_alone_knows_where_a_stream_stands() {
    let house = House::local().await;
    let table = name("raw.orders");
    for seq in 1..=3 {
        house.land("raw.orders", vec![orders(&[(seq, seq)])], Landing::Append, seq).await.unwrap();
    }
    let other = LoadMark { stream: "source/other".into(), ..mark(40) };
    house
        .warehouse
        .land(&table, stream(vec![orders(&[(4, 4)])]), Landing::Append, other.clone())
        .await
        .unwrap();
    let warehouse = house.reopened().await;
    assert_eq!(warehouse.mark(&table, "source/orders").await.unwrap(), Some(mark(3)));
    assert_eq!(warehouse.mark(&table, "source/other").await.unwrap(), Some(other));
    let replay =
        warehouse.land(&table, stream(vec![orders(&[(3, 3)])]), Landing::Append, mark(3)).await.unwrap();
    assert_eq!((replay.already, replay.rows), (true, 1));
    assert_eq!(lines_of(&warehouse, "select count(*) from raw.orders").await.unwrap(), ["4"]);
}

#[tokio::test]
async fn staged_files_without_a_commit_are_invisible() {
    let house = House::local().await;
    let table = name("mart.orders");
    house.land("mart.orders", vec![orders(&[(1, 1)])], Landing::Append, 1).await.unwrap();
    // As after kill -9 between writing files and committing.
    let staged = house.warehouse.stage(&table, stream(vec![orders(&[(2, 2), (3, 3)])])).await.unwrap();
    assert_eq!(staged.rows, 2);
    let context = house.warehouse.context();
    context.register_table("this", staged.provider()).unwrap();
    let seen = context.sql("select id from this order by id").await.unwrap().collect().await.unwrap();
    assert_eq!(table_lines(&seen), ["2", "3"]);
    std::mem::forget(staged);
    let warehouse = house.reopened().await;
    assert_eq!(lines_of(&warehouse, "select id from mart.orders").await.unwrap(), ["1"]);
    warehouse.land(&table, stream(vec![orders(&[(2, 2), (3, 3)])]), Landing::Append, mark(2)).await.unwrap();
    assert_eq!(
        lines_of(&warehouse, "select id from mart.orders order by id").await.unwrap(),
        ["1", "2", "3"]
    );
}

#[tokio::test]
async fn a_stream_that_breaks_leaves_nothing() {
    let house = House::local().await;
    let broken =
        futures::stream::iter(vec![Ok(orders(&[(1, 1)])), Err(Error::invalid("the source went away"))])
            .boxed();
    let error =
        house.warehouse.land(&name("raw.orders"), broken, Landing::Append, mark(1)).await.unwrap_err();
    assert!(error.to_string().contains("went away"));
    assert_eq!(house.warehouse.snapshot(&name("raw.orders")).await.unwrap().map(|s| s.version), None);
    let left: Vec<_> = house.store.list(None).try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn discarding_deletes_the_files() {
    let house = House::local().await;
    let staged = house.warehouse.stage(&name("mart.x"), stream(vec![orders(&[(1, 1)])])).await.unwrap();
    house.warehouse.discard(staged).await;
    let left: Vec<_> = house.store.list(None).try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn replace_and_replace_file_touch_what_they_say() {
    let house = House::local().await;
    let file = |f: &str, ids: &[i64]| {
        let names: StringArray = ids.iter().map(|_| Some(f)).collect();
        batch(vec![("id", Arc::new(Int64Array::from(ids.to_vec())) as ArrayRef), ("_file", Arc::new(names))])
    };
    house
        .land("raw.drops", vec![file("a.csv", &[1, 2]), file("b.csv", &[3])], Landing::Append, 1)
        .await
        .unwrap();
    house.land("raw.drops", vec![file("c.csv", &[4])], Landing::Append, 2).await.unwrap();
    let before = house.warehouse.snapshot(&name("raw.drops")).await.unwrap().unwrap();
    house
        .land("raw.drops", vec![file("a.csv", &[7])], Landing::ReplaceFile { file: "a.csv".into() }, 3)
        .await
        .unwrap();
    let after = house.warehouse.snapshot(&name("raw.drops")).await.unwrap().unwrap();
    assert_eq!(
        house.lines("select _file, id from raw.drops order by 1, 2").await,
        ["a.csv,7", "b.csv,3", "c.csv,4"]
    );
    assert!(
        after.files.iter().any(|f| f.name == before.files[1].name),
        "the file of c.csv was not written again"
    );
    house.land("raw.drops", vec![file("d.csv", &[9])], Landing::Replace, 4).await.unwrap();
    assert_eq!(house.lines("select id from raw.drops").await, ["9"]);
}

#[tokio::test]
async fn new_columns_join_missing_ones_are_null_and_a_changed_type_is_refused() {
    let house = House::local().await;
    let table = name("raw.people");
    let column = |a: Int64Array| Arc::new(a) as ArrayRef;
    let old = batch(vec![("id", column(vec![1].into())), ("age", column(vec![30].into()))]);
    let new = batch(vec![
        ("id", column(vec![2].into())),
        ("city", Arc::new(StringArray::from(vec!["沪"])) as ArrayRef),
    ]);
    house.land("raw.people", vec![old], Landing::Append, 1).await.unwrap();
    house.land("raw.people", vec![new], Landing::Append, 2).await.unwrap();
    let expected = ["1,30,", "2,,沪"];
    assert_eq!(house.lines("select id, age, city from raw.people order by id").await, expected);
    assert_eq!(house.lines("select id from raw.people where city is null").await, ["1"]);
    assert_eq!(house.lines("select id from raw.people where age is null").await, ["2"]);
    let wrong = batch(vec![("id", Arc::new(StringArray::from(vec!["x"])) as ArrayRef)]);
    let files = |house: &House| house.store.list(None).try_collect::<Vec<_>>();
    let before = files(&house).await.unwrap().len();
    let error = house.land("raw.people", vec![wrong], Landing::Append, 3).await.unwrap_err();
    assert!(matches!(&error, Error::SchemaChanged { column, .. } if column == "id"), "{error}");
    assert_eq!(files(&house).await.unwrap().len(), before, "the refused rows leave no file");
    // A narrower whole number and a column without values fit.
    let narrow = batch(vec![
        ("id", Arc::new(Int32Array::from(vec![3])) as ArrayRef),
        ("age", Arc::new(NullArray::new(1)) as ArrayRef),
    ]);
    house.land("raw.people", vec![narrow], Landing::Append, 3).await.unwrap();
    let warehouse = house.reopened().await;
    let all = lines_of(&warehouse, "select id, age, city from raw.people order by id").await.unwrap();
    assert_eq!(all, ["1,30,", "2,,沪", "3,,"]);
    assert_eq!(warehouse.snapshot(&table).await.unwrap().unwrap().schema.fields().len(), 3);
}

#[tokio::test]
async fn a_replaced_model_may_change_its_columns() {
    let house = House::local().await;
    house.land("mart.m", vec![orders(&[(1, 1)])], Landing::Replace, 1).await.unwrap();
    let new = batch(vec![("id", Arc::new(StringArray::from(vec!["x"])) as ArrayRef)]);
    house.land("mart.m", vec![new], Landing::Replace, 2).await.unwrap();
    assert_eq!(house.lines("select * from mart.m").await, ["x"]);
    let schema = house.warehouse.snapshot(&name("mart.m")).await.unwrap().unwrap().schema.clone();
    assert_eq!(schema.field(0).data_type(), &DataType::Utf8);
    assert_eq!(schema.fields().len(), 1);
    assert_eq!(lines_of(&house.reopened().await, "select * from mart.m").await.unwrap(), ["x"]);
}

#[tokio::test]
async fn a_replaced_raw_table_takes_new_types_and_keeps_missing_columns_empty() {
    let house = House::local().await;
    house.land("raw.r", vec![orders(&[(1, 1)])], Landing::Append, 1).await.unwrap();
    let new = batch(vec![
        ("amount", Arc::new(StringArray::from(vec!["many"])) as ArrayRef),
        ("ID", Arc::new(Int64Array::from(vec![7])) as ArrayRef),
        ("city", Arc::new(StringArray::from(vec!["沪"])) as ArrayRef),
    ]);
    house.land("raw.r", vec![new], Landing::Replace, 2).await.unwrap();
    let sql = "select \"ID\", amount, note, city from raw.r";
    assert_eq!(house.lines(sql).await, ["7,many,,沪"]);
    assert_eq!(lines_of(&house.reopened().await, sql).await.unwrap(), ["7,many,,沪"]);
}

#[tokio::test]
async fn a_raw_decimal_takes_wider_ones_as_long_as_they_fit() {
    let house = House::memory().await;
    let decimals = |value: i128, precision| {
        let array = Decimal128Array::from(vec![value]).with_precision_and_scale(precision, 2).unwrap();
        vec![batch(vec![("n", Arc::new(array) as ArrayRef)])]
    };
    house.land("raw.d", decimals(100, 5), Landing::Append, 1).await.unwrap();
    house.land("raw.d", decimals(99_999, 38), Landing::Append, 2).await.unwrap();
    let error = house.land("raw.d", decimals(100_000, 38), Landing::Append, 3).await.unwrap_err();
    assert!(matches!(&error, Error::SchemaChanged { column, .. } if column == "n"), "{error}");
    assert_eq!(house.lines("select n from raw.d order by n").await, ["1.00", "999.99"]);
    house.land("raw.d", decimals(100_000, 38), Landing::Replace, 3).await.unwrap();
    assert_eq!(house.lines("select n from raw.d").await, ["1000.00"]);
}

#[tokio::test]
async fn every_delivered_type_finds_its_home() {
    let house = House::local().await;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("text", Arc::new(StringViewArray::from(vec![Some("观澜"), None]))),
        ("whole", Arc::new(UInt32Array::from(vec![Some(7), None]))),
        ("real", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
        (
            "money",
            Arc::new(
                Decimal128Array::from(vec![Some(123_450), None]).with_precision_and_scale(18, 2).unwrap(),
            ),
        ),
        ("day", Arc::new(Date32Array::from(vec![Some(20_000), None]))),
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(1_700_000_000_123_456), None])
                    .with_timezone("+08:00"),
            ),
        ),
        ("wall", Arc::new(TimestampMicrosecondArray::from(vec![Some(1_700_000_000_123_456), None]))),
        ("yes", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("nothing", Arc::new(NullArray::new(2))),
    ];
    house.land("raw.types", vec![batch(columns.clone())], Landing::Append, 1).await.unwrap();
    let warehouse = house.reopened().await;
    let all = lines_of(&warehouse, "select * from raw.types").await.unwrap();
    assert_eq!(
        all[0],
        "观澜,7,1.5,1234.50,2024-10-04,2023-11-14T22:13:20.123456Z,2023-11-14T22:13:20.123456,true,"
    );
    assert_eq!(
        lines_of(&warehouse, "select count(*) from raw.types where text is null and at is null")
            .await
            .unwrap(),
        ["1"]
    );
    for filter in [
        "whole = 7",
        "money > 1234.49",
        "day = date '2024-10-04'",
        "at > timestamp '2023-11-14T22:13:20Z'",
        "real < 2",
    ] {
        let sql = format!("select count(*) from raw.types where {filter}");
        assert_eq!(lines_of(&warehouse, &sql).await.unwrap(), ["1"], "{filter}");
    }
}

#[tokio::test]
async fn one_batch_without_rows_makes_an_empty_table() {
    let house = House::local().await;
    let empty = RecordBatch::new_empty(orders(&[]).schema());
    let landed = house.land("mart.empty", vec![empty], Landing::Replace, 1).await.unwrap();
    assert_eq!((landed.version, landed.rows), (0, 0));
    assert_eq!(house.lines("select count(*), max(id) from mart.empty").await, ["0,"]);
    let nothing = house.land("mart.none", vec![], Landing::Append, 1).await.unwrap();
    assert_eq!(nothing.version, -1);
    // Nothing new still moves the position.
    house.land("mart.empty", vec![], Landing::Append, 2).await.unwrap();
    assert_eq!(house.warehouse.mark(&name("mart.empty"), "source/orders").await.unwrap(), Some(mark(2)));
}

#[tokio::test]
async fn what_was_appended_since_a_version_is_exactly_that() {
    let house = House::local().await;
    let table = name("raw.orders");
    assert!(matches!(house.warehouse.snapshot_since(&table, 0).await.unwrap(), Since::Missing));
    for seq in 1..=3 {
        house.land("raw.orders", vec![orders(&[(seq, seq)])], Landing::Append, seq).await.unwrap();
    }
    let Since::Appended { version: 2, rows: 2, provider } =
        house.warehouse.snapshot_since(&table, 0).await.unwrap()
    else {
        panic!("rows were appended")
    };
    let seen = house.warehouse.context().read_table(provider).unwrap().select_columns(&["id"]).unwrap();
    assert_eq!(
        table_lines(&seen.sort_by(vec![datafusion::prelude::col("id")]).unwrap().collect().await.unwrap()),
        ["2", "3"]
    );
    assert!(matches!(
        house.warehouse.snapshot_since(&table, 2).await.unwrap(),
        Since::Unchanged { version: 2 }
    ));
    house
        .land("raw.orders", vec![orders(&[(1, 100)])], Landing::Upsert { keys: vec!["id".into()] }, 4)
        .await
        .unwrap();
    assert!(matches!(
        house.warehouse.snapshot_since(&table, 2).await.unwrap(),
        Since::Rewritten { version: 3 }
    ));
    assert!(matches!(house.warehouse.snapshot_since(&table, 99).await.unwrap(), Since::Rewritten { .. }));
}

#[tokio::test]
async fn changes_are_told_and_a_dropped_table_is_gone() {
    let house = House::local().await;
    let mut changes = house.warehouse.changes();
    house.land("raw.orders", vec![orders(&[(1, 1)])], Landing::Append, 1).await.unwrap();
    let told = changes.recv().await.unwrap();
    assert_eq!((told.table.to_string().as_str(), told.version), ("raw.orders", 0));
    house.warehouse.drop_table(&name("raw.orders")).await.unwrap();
    assert!(house.warehouse.snapshot(&name("raw.orders")).await.unwrap().is_none());
    assert_eq!(house.warehouse.mark(&name("raw.orders"), "source/orders").await.unwrap(), None);
    house.land("raw.orders", vec![orders(&[(5, 5)])], Landing::Append, 1).await.unwrap();
    assert_eq!(house.lines("select id from raw.orders").await, ["5"]);
}

#[tokio::test]
async fn deltalake_reads_what_we_wrote() {
    let house = House::local().await;
    for seq in 1..=3 {
        house
            .land("raw.orders", vec![orders(&[(seq, seq), (seq + 10, 0)])], Landing::Append, seq)
            .await
            .unwrap();
    }
    house
        .land("raw.orders", vec![orders(&[(11, 5)])], Landing::Upsert { keys: vec!["id".into()] }, 4)
        .await
        .unwrap();
    let delta = crate::log::delta_table(&house.store, &name("raw.orders")).await.unwrap();
    assert_eq!(delta.version(), Some(3));
    let context = datafusion::prelude::SessionContext::new();
    context.register_table("t", delta.table_provider().await.unwrap()).unwrap();
    let seen = context.sql("select count(*), sum(amount) from t").await.unwrap().collect().await.unwrap();
    assert_eq!(table_lines(&seen), ["6,11"]);
}

#[tokio::test]
async fn a_table_of_someone_else_is_read_and_followed_but_not_written() {
    let house = House::local().await;
    let table = name("raw.orders");
    house.land("raw.orders", vec![orders(&[(1, 1)])], Landing::Append, 1).await.unwrap();
    // The same commits without our property are another program's table.
    let path = table.folder().join("_delta_log").join("00000000000000000000.json");
    let text = house.store.get(&path).await.unwrap().bytes().await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap().replace("guanlan.table", "somebody.table");
    house.store.put(&path, text.into()).await.unwrap();
    let warehouse = house.reopened().await;
    assert_eq!(lines_of(&warehouse, "select id from raw.orders").await.unwrap(), ["1"]);
    let error =
        warehouse.land(&table, stream(vec![orders(&[(2, 2)])]), Landing::Append, mark(2)).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_second_process_sees_commits_after_a_second() {
    let house = House::local().await;
    house.land("raw.orders", vec![orders(&[(1, 1)])], Landing::Append, 1).await.unwrap();
    let reader = house.reopened().await;
    let mut changes = reader.changes();
    assert_eq!(lines_of(&reader, "select count(*) from raw.orders").await.unwrap(), ["1"]);
    house
        .warehouse
        .land(&name("raw.orders"), stream(vec![orders(&[(2, 2)])]), Landing::Append, mark(2))
        .await
        .unwrap();
    house.clock.advance(Duration::from_secs(2));
    assert_eq!(lines_of(&reader, "select count(*) from raw.orders").await.unwrap(), ["2"]);
    assert_eq!(changes.try_recv().unwrap().version, 1);
    let schema: Arc<Schema> = reader.snapshot(&name("raw.orders")).await.unwrap().unwrap().schema.clone();
    assert_eq!(schema.fields().len(), 3);
}
