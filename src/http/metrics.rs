//! Metrics: the list with its definitions, asking one, and the values of a dimension.

use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use warehouse::metric::{Compare, Filter, Grain, MetricQuery, Order, Period};
use warehouse::{Range, TableName};

use super::{App, Caller, Refusal};

/// `GET /api/metrics`.
pub async fn list(State(app): State<App>) -> Json<Value> {
    let live = app.project();
    let all = &live.project.metrics;
    let definitions = app.warehouse.definitions();
    let rows: Vec<Value> = all
        .iter()
        .map(|(name, spec)| {
            let dimensions: Vec<Value> = spec
                .dimensions(all)
                .iter()
                .map(|(dimension, title)| {
                    let titles = warehouse::metric::titles(name, dimension, &definitions);
                    json!({"name": dimension, "title": title, "titles": titles})
                })
                .collect();
            let tables: Vec<String> = spec.tables(all).iter().map(TableName::to_string).collect();
            json!({
                "name": name, "title": spec.title, "description": spec.description, "unit": spec.unit,
                "direction": spec.direction, "target": spec.target, "owner": spec.owner,
                "table": tables.join(", "), "dimensions": dimensions, "measure": spec.measure,
            })
        })
        .collect();
    Json(rows.into())
}

/// A metric question with its range as people write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    metric: String,
    range: String,
    #[serde(default)]
    grain: Option<Grain>,
    #[serde(default)]
    by: Vec<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    compare: Option<Compare>,
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    order: Order,
}

/// `POST /api/metrics/query`.
pub async fn query(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(ask): Json<Ask>,
) -> Result<Json<Value>, Refusal> {
    let range =
        Range::parse(&ask.range, app.clock.now(), app.warehouse.calendar()).map_err(Refusal::bad_request)?;
    let question = MetricQuery {
        grain: ask.grain,
        by: ask.by,
        filters: ask.filters,
        compare: ask.compare,
        limit: ask.limit,
        order: ask.order,
        period: Period::of(&ask.range),
        ..MetricQuery::new(ask.metric, range)
    };
    Ok(Json(json!(app.warehouse.session(&caller.who).metric(&question).await?)))
}

#[derive(Deserialize)]
pub struct Of {
    metric: String,
}

/// `GET /api/dimensions/{dimension}/values?metric=`: the values seen in the last twelve months, those
/// with the largest value of the metric first, at most 500; null stands for rows without a value. `titles` says
/// what values are called.
pub async fn values(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(dimension): Path<String>,
    Query(of): Query<Of>,
) -> Result<Json<Value>, Refusal> {
    let range =
        Range::parse("12M", app.clock.now(), app.warehouse.calendar()).map_err(Refusal::bad_request)?;
    let question = MetricQuery {
        by: vec![dimension],
        limit: Some(MOST_VALUES),
        order: Order::ValueDesc,
        ..MetricQuery::new(of.metric, range)
    };
    let mut answer = app.warehouse.session(&caller.who).metric(&question).await?;
    let titles = answer.titles.remove(&question.by[0]).unwrap_or_default();
    let values: Vec<Option<String>> =
        answer.rows.into_iter().filter_map(|row| row.by.into_iter().next()).collect();
    Ok(Json(json!({"values": values, "titles": titles})))
}

const MOST_VALUES: usize = 500;
