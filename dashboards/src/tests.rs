//! Pages over a real warehouse in a temporary folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use access::{Principal, Role};
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::TimeDelta;
use futures::StreamExt;
use futures::future::join_all;
use serde_json::{Value, json};
use store::{ManualClock, Metadata, Objects, StoreSpec, Timestamp};
use warehouse::metric::MetricSpec;
use warehouse::{Definitions, Landing, LoadMark, Settings, Warehouse};

use crate::{
    DashboardSpec, Dashboards, Error, PageAnswer, PageAsk, PageCompare, PageView, TileAnswer, check,
};

const NOW: &str = "2026-03-31T04:00:00Z"; // noon in Shanghai

/// A warehouse with `mart.orders`, and dashboards over it.
struct Site {
    dir: PathBuf,
    warehouse: Warehouse,
    dashboards: Dashboards,
    landed: std::sync::atomic::AtomicI64,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

impl Site {
    async fn open(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("guanlan-dashboards-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let clock = Arc::new(ManualClock::new(now(), 7));
        let objects = Objects::open(&StoreSpec::Local { path: "data".into() }, &dir).unwrap();
        let db = Metadata::memory().await.unwrap();
        let warehouse = Warehouse::open(objects, db, clock.clone(), Settings::default()).await.unwrap();
        let definitions = Definitions { metrics: metrics(), ..Definitions::default() };
        warehouse.set_definitions(definitions);
        let dashboards = Dashboards::new(warehouse.clone(), clock);
        Self { dir, warehouse, dashboards, landed: 0.into() }
    }

    /// Adds orders: days before now, region (empty: none), amount.
    async fn land(&self, orders: &[(i64, &str, f64)]) {
        let at = |days: i64| (now() - TimeDelta::days(days)).timestamp_micros();
        let times: TimestampMicrosecondArray = orders.iter().map(|o| Some(at(o.0))).collect();
        let regions: StringArray = orders.iter().map(|o| Some(o.1).filter(|r| !r.is_empty())).collect();
        let amounts: Float64Array = orders.iter().map(|o| Some(o.2)).collect();
        let columns: [(&str, ArrayRef); 3] = [
            ("at", Arc::new(times.with_timezone("UTC"))),
            ("region", Arc::new(regions)),
            ("amount", Arc::new(amounts)),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let seq = self.landed.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        let mark =
            LoadMark { stream: "test".into(), seq, cursor: Value::Null, operation: format!("landing-{seq}") };
        let rows = futures::stream::iter([Ok(batch)]).boxed();
        let table = "mart.orders".parse().unwrap();
        self.warehouse.land(&table, rows, Landing::Append, mark).await.unwrap();
    }

    async fn page(&self, spec: &DashboardSpec, ask: &PageAsk) -> PageAnswer {
        self.dashboards.answer(&admin(), spec, ask).await.unwrap()
    }
}

fn admin() -> Principal {
    with_role(Role::Admin)
}

fn with_role(role: Role) -> Principal {
    Principal { user: "u".into(), display: "U".into(), roles: vec![role], locale: None }
}

fn metric(value: Value) -> MetricSpec {
    serde_json::from_value(value).unwrap()
}

fn metrics() -> BTreeMap<String, MetricSpec> {
    let orders = |measure: Value| {
        metric(json!({
            "title": {"zh": "数", "en": "Number"}, "table": "mart.orders", "measure": measure, "time": "at",
            "dimensions": {"region": {"title": {"zh": "地区", "en": "Region"}, "titles": {"north": {"zh": "北", "en": "North"}}}}, "unit": "cny", "direction": "up", "target": 500.0
        }))
    };
    let mut nowhere = orders(json!({"count": {}}));
    nowhere.table = Some("mart.nothing".parse().unwrap());
    let mut flat = orders(json!({"count": {}}));
    flat.dimensions = Default::default();
    BTreeMap::from([
        ("revenue".into(), orders(json!({"sum": {"column": "amount"}}))),
        ("orders".into(), orders(json!({"count": {}}))),
        ("largest".into(), orders(json!({"maximum": {"column": "amount"}}))),
        (
            "share".into(),
            orders(
                json!({"ratio": {"numerator": {"count": {"where": "amount > 0"}}, "denominator": {"count": {}}}}),
            ),
        ),
        ("nowhere".into(), nowhere),
        ("flat".into(), flat),
    ])
}

fn spec(rows: Value) -> DashboardSpec {
    serde_json::from_value(json!({"title": "Page", "range": "7d", "rows": rows})).unwrap()
}

fn json_of(page: &PageAnswer, tile: &str) -> Value {
    serde_json::to_value(&page.tiles[tile]).unwrap()
}

#[tokio::test]
async fn a_kpi_shows_value_previous_target_and_curve() {
    let site = Site::open("kpi").await;
    site.land(&[
        (0, "east", 100.0),
        (1, "east", 50.0),
        (6, "west", 10.0),
        (8, "west", 40.0),
        (30, "east", 999.0),
    ])
    .await;
    let spec = spec(json!([[{"kpi": {"metric": "revenue"}}]]));
    let ask = PageAsk { compare: Some(PageCompare::Previous), ..PageAsk::default() };
    let page = site.page(&spec, &ask).await;
    let tile = json_of(&page, "r1c1");
    assert_eq!(tile["ok"], true, "{tile}");
    assert_eq!(tile["kpi"]["value"], 160.0);
    assert_eq!(tile["kpi"]["previous"], 40.0);
    assert_eq!(tile["kpi"]["target"], 500.0);
    let spark = tile["kpi"]["spark"].as_array().unwrap();
    let sum: f64 = spark.iter().filter_map(|p| p["v"].as_f64()).sum();
    assert_eq!(sum, 160.0, "the curve covers the range");
    assert!(spark.len() >= 7, "{spark:?}");
    assert_eq!(tile["tables"][0]["name"], "mart.orders");
    assert!(tile["as_of"].is_string());
    let previous = page.previous.expect("compared with the week before");
    assert_eq!(previous.to, page.range.from);
    let without = site.page(&spec, &PageAsk::default()).await;
    assert_eq!(json_of(&without, "r1c1")["kpi"]["value"], 160.0, "from the curve alone");
    assert_eq!(json_of(&without, "r1c1")["kpi"]["previous"], Value::Null);
}

#[tokio::test]
async fn a_year_so_far_is_compared_to_the_same_days_of_the_year_before() {
    let site = Site::open("year").await;
    // The last one only says that the data reaches back over the year before.
    site.land(&[(0, "east", 100.0), (100, "east", 7.0), (365, "east", 40.0), (460, "east", 1.0)]).await;
    let mut spec =
        spec(json!([[{"kpi": {"metric": "revenue"}}, {"kpi": {"metric": "revenue", "range": "now/M"}}]]));
    spec.range = "now/y".into();
    let ask = PageAsk { compare: Some(PageCompare::Previous), ..PageAsk::default() };
    let page = site.page(&spec, &ask).await;
    let previous = page.previous.expect("compared");
    // By its dates alone it could be the quarter so far.
    assert_eq!(previous.from, "2024-12-31T16:00:00Z".parse::<Timestamp>().unwrap());
    assert_eq!(json_of(&page, "r1c1")["kpi"]["previous"], 40.0);
    assert_eq!(json_of(&page, "r1c2")["kpi"]["previous"], 0.0, "a tile's own range is a month");
}

#[tokio::test]
async fn a_split_line_shows_the_five_largest_and_the_rest() {
    let site = Site::open("line").await;
    let mut orders: Vec<(i64, String, f64)> =
        (1..=8).map(|n| (1, format!("r{n}"), f64::from(n) * 10.0)).collect();
    orders.push((2, String::new(), 500.0));
    let orders: Vec<(i64, &str, f64)> = orders.iter().map(|(d, r, a)| (*d, r.as_str(), *a)).collect();
    site.land(&orders).await;
    let spec = spec(
        json!([[{"line": {"metric": "revenue", "by": "region", "grain": "day"}}, {"line": {"metric": "revenue"}}]]),
    );
    let page = site.page(&spec, &PageAsk::default()).await;
    let series = json_of(&page, "r1c1")["line"]["series"].clone();
    let all: f64 = series.as_array().unwrap().iter().filter_map(|s| s["total"].as_f64()).sum();
    assert_eq!(all, 860.0, "the curves add up to everything: {series}");
    let keys: Vec<Option<&str>> = series.as_array().unwrap().iter().map(|s| s["key"].as_str()).collect();
    assert_eq!(keys, [None, Some("r8"), Some("r7"), Some("r6"), Some("r5"), None], "{series}");
    assert_eq!(
        (series[0]["total"].clone(), series[0]["other"].clone()),
        (json!(500.0), Value::Null),
        "no region"
    );
    assert_eq!((series[5]["total"].clone(), series[5]["other"].clone()), (json!(100.0), json!(true)));
    let one = json_of(&page, "r1c2");
    assert_eq!(one["line"]["series"][0]["total"], 860.0);
    assert_eq!(one["line"]["grain"], "day");
}

#[tokio::test]
async fn bars_and_tables_are_ordered_by_value() {
    let site = Site::open("bars").await;
    site.land(&[(1, "east", 5.0), (1, "west", 50.0), (2, "west", 1.0), (2, "north", 20.0)]).await;
    let spec = spec(json!([
        [{"bar": {"metric": "revenue", "by": "region", "limit": 2}}],
        [{"table": {"metrics": ["revenue", "orders", "largest"], "by": ["region"], "limit": 2}}]
    ]));
    let page = site.page(&spec, &PageAsk::default()).await;
    let bars = json_of(&page, "r1c1")["bar"]["bars"].clone();
    assert_eq!(
        bars,
        json!([
            {"key": "west", "value": 51.0, "previous": null},
            {"key": "north", "title": {"zh": "北", "en": "North"}, "value": 20.0, "previous": null}
        ])
    );
    let table = json_of(&page, "r2c1")["table"].clone();
    assert_eq!(table["rows"], json!([["west", 51.0, 2.0, 50.0], ["north", 20.0, 1.0, 20.0]]));
    assert_eq!(table["columns"][0]["kind"], "dimension");
    assert_eq!(table["columns"][0]["titles"], json!({"north": {"zh": "北", "en": "North"}}));
    assert_eq!(table["columns"][1]["unit"], "cny");
}

#[tokio::test]
async fn a_hundred_viewers_cost_one_query_until_the_table_changes() {
    let site = Site::open("cache").await;
    site.land(&[(1, "east", 5.0)]).await;
    let spec = spec(json!([[{"line": {"metric": "revenue"}}]]));
    let ask = PageAsk::default();
    let pages = join_all((0..100).map(|_| site.page(&spec, &ask))).await;
    let computed = pages.iter().filter(|p| json_of(p, "r1c1")["cached"] == false).count();
    assert_eq!(computed, 1);
    site.land(&[(1, "east", 7.0)]).await;
    let fresh = json_of(&site.page(&spec, &ask).await, "r1c1");
    assert_eq!(
        (fresh["cached"].clone(), fresh["line"]["series"][0]["total"].clone()),
        (json!(false), json!(12.0))
    );
    assert_eq!(json_of(&site.page(&spec, &ask).await, "r1c1")["cached"], true);
    let mut changed = metrics();
    changed.insert("revenue".into(), changed["orders"].clone());
    site.warehouse.set_definitions(Definitions { metrics: changed, ..Definitions::default() });
    let redefined = json_of(&site.page(&spec, &ask).await, "r1c1");
    assert_eq!(redefined["line"]["series"][0]["total"], 2.0, "an edited metric is not answered from before");
}

#[tokio::test]
async fn a_failing_tile_leaves_the_others_be() {
    let site = Site::open("failing").await;
    site.land(&[(1, "east", 5.0)]).await;
    let spec = spec(
        json!([[{"kpi": {"metric": "nowhere"}}, {"kpi": {"metric": "revenue"}}, {"kpi": {"metric": "gone"}}]]),
    );
    let page = site.page(&spec, &PageAsk::default()).await;
    let failed = json_of(&page, "r1c1");
    assert_eq!((failed["ok"].clone(), failed["code"].clone()), (json!(false), json!("no_table")), "{failed}");
    assert!(failed["hint"].is_string());
    assert_eq!(json_of(&page, "r1c2")["kpi"]["value"], 5.0);
    assert_eq!(json_of(&page, "r1c3")["ok"], false);
}

#[tokio::test]
async fn filters_of_the_page_reach_the_tiles_that_can_follow() {
    let site = Site::open("filters").await;
    site.land(&[(1, "east", 5.0), (1, "west", 7.0)]).await;
    let spec = spec(json!([[{"kpi": {"metric": "revenue"}}, {"kpi": {"metric": "flat"}}]]));
    let filters = BTreeMap::from([("region".to_owned(), vec![Some("west".to_owned())])]);
    let page = site.page(&spec, &PageAsk { filters, ..PageAsk::default() }).await;
    assert_eq!(json_of(&page, "r1c1")["kpi"]["value"], 7.0);
    let flat = json_of(&page, "r1c2");
    assert_eq!(flat["kpi"]["value"], 2.0);
    assert_eq!(flat["ignored_filters"], json!(["region"]), "the page says that this number is not filtered");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_a_reason() {
    let site = Site::open("refused").await;
    let mut page = spec(json!([[{"kpi": {"metric": "revenue"}}]]));
    let ask = |ask: Value| serde_json::from_value::<PageAsk>(ask).unwrap();
    for wrong in [
        json!({"range": "7x"}),
        json!({"from": "2026-01-02T00:00:00Z"}),
        json!({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}),
        json!({"tiles": ["r9c9"]}),
    ] {
        let answer = site.dashboards.answer(&admin(), &page, &ask(wrong.clone())).await;
        assert!(matches!(answer, Err(Error::Ask { .. })), "{wrong}");
    }
    page.roles = vec![Role::Executive];
    let refused = site.dashboards.answer(&with_role(Role::Analyst), &page, &PageAsk::default()).await;
    assert!(matches!(refused, Err(Error::NotPermitted { .. })));
    assert!(page.open_to(&with_role(Role::Executive)) && page.open_to(&admin()));
}

#[tokio::test]
async fn a_page_can_be_answered_from_any_thread() {
    fn must_be_send<T: Send>(value: T) -> T {
        value
    }
    let site = Site::open("send").await;
    let spec = spec(json!([[{"kpi": {"metric": "revenue"}}]]));
    let page = must_be_send(site.dashboards.answer(&admin(), &spec, &PageAsk::default())).await.unwrap();
    assert!(matches!(page.tiles["r1c1"], TileAnswer::Failure(_)), "nothing was landed yet");
}

#[test]
fn a_view_lays_out_ids_widths_and_titles() {
    let spec: DashboardSpec = serde_json::from_value(json!({
        "title": "Page", "filters": ["region"],
        "rows": [[{"kpi": {"metric": "revenue"}}, {"line": {"metric": "orders", "width": 8, "id": "trend"}}, {"kpi": {"metric": "gone"}}]]
    }))
    .unwrap();
    let view = serde_json::to_value(PageView::new(
        "p",
        &spec,
        &Definitions { metrics: metrics(), ..Definitions::default() },
    ))
    .unwrap();
    let tiles = &view["rows"][0];
    assert_eq!((tiles[0]["id"].clone(), tiles[0]["width"].clone()), (json!("r1c1"), json!(2)));
    assert_eq!((tiles[1]["id"].clone(), tiles[1]["width"].clone()), (json!("trend"), json!(8)));
    assert_eq!(tiles[0]["title"]["en"], "Number");
    assert_eq!(tiles[2]["title"]["en"], "gone", "a missing metric is shown under its name");
    assert_eq!(view["filters"][0]["title"]["zh"], "地区");
    assert_eq!(view["range"], "30d");
    let said: Vec<String> = check(&spec, &metrics()).iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("rows[0][2].kpi.metric: there is no metric `gone`"), "{said:?}");
}

#[tokio::test]
async fn the_curves_of_a_share_are_those_of_its_bars() {
    let site = Site::open("curves").await;
    // r0: a share of 20 % on thirty days. r1 to r6: 90 %, on two days only. By sums of days r0 would come first.
    let mut orders: Vec<(i64, String, f64)> = Vec::new();
    for day in 1..=30 {
        orders.extend((0..5).map(|n| (day, "r0".to_owned(), if n == 0 { 1.0 } else { 0.0 })));
    }
    for region in 1..=6 {
        for day in 1..=2 {
            orders.extend((0..10).map(|n| (day, format!("r{region}"), if n < 9 { 1.0 } else { 0.0 })));
        }
    }
    let orders: Vec<(i64, &str, f64)> = orders.iter().map(|(d, r, a)| (*d, r.as_str(), *a)).collect();
    site.land(&orders).await;
    let mut spec = spec(json!([[
        {"line": {"metric": "share", "by": "region", "grain": "day"}}, {"bar": {"metric": "share", "by": "region", "limit": 5}}
    ]]));
    spec.range = "30d".into();
    let page = site.page(&spec, &PageAsk::default()).await;
    let (line, bar) = (json_of(&page, "r1c1"), json_of(&page, "r1c2"));
    let keys = |list: &Value| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|one| one["key"].clone()).collect()
    };
    let curves = keys(&line["line"]["series"]);
    assert_eq!(curves[..5], keys(&bar["bar"]["bars"])[..], "{line}");
    assert!(!curves[..5].contains(&json!("r0")) && line["line"]["series"][5]["other"] == true);
    assert_eq!(line["line"]["series"][0]["total"], 0.9);
}

#[tokio::test]
async fn a_comparison_with_days_before_the_data_is_incomplete() {
    let site = Site::open("incomplete").await;
    site.land(&[(1, "east", 10.0), (9, "east", 3.0)]).await;
    let spec = spec(json!([[
        {"kpi": {"metric": "revenue"}}, {"bar": {"metric": "revenue", "by": "region"}}, {"line": {"metric": "revenue"}}
    ]]));
    let ask = |range: &str| PageAsk {
        range: Some(range.into()),
        compare: Some(PageCompare::Previous),
        ..PageAsk::default()
    };
    let page = site.page(&spec, &ask("7d")).await;
    let kpi = json_of(&page, "r1c1");
    assert_eq!((kpi["kpi"]["value"].clone(), kpi["kpi"]["previous"].clone()), (json!(10.0), Value::Null));
    assert_eq!(kpi["incomplete"], true);
    assert_eq!(json_of(&page, "r1c2")["bar"]["bars"][0]["previous"], Value::Null);
    let points = json_of(&page, "r1c3")["line"]["series"][0]["points"].clone();
    let known: Vec<&Value> = points.as_array().unwrap().iter().filter(|p| !p["prev"].is_null()).collect();
    assert_eq!(known.iter().filter_map(|p| p["prev"].as_f64()).sum::<f64>(), 3.0, "{points}");
    assert!(known.len() < points.as_array().unwrap().len(), "days before the first order are not zero");
    let page = site.page(&spec, &ask("4d")).await;
    let kpi = json_of(&page, "r1c1");
    assert_eq!((kpi["kpi"]["previous"].clone(), kpi["incomplete"].clone()), (json!(0.0), Value::Null));
    // A page wholly before the data.
    let early = site.page(&spec, &ask("2024-01-01..2024-02-01")).await;
    assert_eq!(json_of(&early, "r1c1")["kpi"]["value"], Value::Null);
    let points = json_of(&early, "r1c3")["line"]["series"][0]["points"].clone();
    assert!(points.as_array().unwrap().iter().all(|p| p["v"].is_null()), "{points}");
}

#[tokio::test]
async fn no_value_is_a_value_to_filter_by_and_too_many_are_refused() {
    let site = Site::open("null").await;
    site.land(&[(1, "east", 5.0), (1, "", 7.0)]).await;
    let spec = spec(json!([[
        {"kpi": {"metric": "revenue"}}, {"kpi": {"metric": "revenue", "filters": {"region": [null, "east"]}}}
    ]]));
    let filters = BTreeMap::from([("region".to_owned(), vec![None])]);
    let page = site.page(&spec, &PageAsk { filters, ..PageAsk::default() }).await;
    assert_eq!(json_of(&page, "r1c1")["kpi"]["value"], 7.0);
    assert_eq!(json_of(&page, "r1c2")["kpi"]["value"], 7.0, "both filters count");
    let many = |filters: usize, values: usize| PageAsk {
        filters: (0..filters).map(|n| (format!("d{n}"), vec![Some("v".into()); values])).collect(),
        ..PageAsk::default()
    };
    for ask in [many(2_000, 1), many(1, 2_001)] {
        let answer = site.dashboards.answer(&admin(), &spec, &ask).await;
        assert!(matches!(answer, Err(Error::Ask { .. })), "refused before any tile asks");
    }
}

#[tokio::test]
async fn a_page_of_thousands_of_tiles_is_refused() {
    let site = Site::open("tiles").await;
    let row: Vec<Value> = vec![json!({"kpi": {"metric": "revenue"}}); 3];
    let page = spec(json!(vec![row; 67]));
    let said: Vec<String> = check(&page, &metrics()).iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|said| said.contains("201 tiles; at most 200")), "{said:?}");
    let answer = site.dashboards.answer(&admin(), &page, &PageAsk::default()).await;
    assert!(matches!(answer, Err(Error::Ask { .. })));
}
