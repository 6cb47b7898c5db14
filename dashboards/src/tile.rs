//! The questions of a tile, and the tile made of their answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use access::Principal;
use futures::try_join;
use store::limits;
use warehouse::metric::{
    Compare, Filter, Grain, Measure, MetricAnswer, MetricQuery, MetricRow, Order, Period, Term,
};
use warehouse::{Range, Title};

use crate::answer::{
    Bar, BarContent, Cell, ColumnKind, ColumnTitle, Evidence, KpiContent, LineContent, Point, Series,
    SparkPoint, TableContent, TileData, TileFailure,
};
use crate::period;
use crate::reader::{Hit, Reader, State};
use crate::spec::{BarTile, Chosen, KpiTile, LineTile, TableTile, Tile};

/// Curves of a split line; the rest is one more.
const CURVES: usize = 5;
/// Rows asked of the further metrics of a table: its rows, and others that share a value with them.
const TABLE_ROWS: usize = 20_000;

/// Everything a tile needs to know about the page it stands on.
pub(crate) struct Asking<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) who: &'a Principal,
    pub(crate) state: &'a State,
    pub(crate) range: Range,
    /// The calendar period that the range was asked as.
    pub(crate) period: Option<Period>,
    pub(crate) compare: Option<Compare>,
    /// Bucket length the reader chose for every curve of the page.
    pub(crate) grain: Option<Grain>,
    /// Filters the reader chose for the page.
    pub(crate) filters: &'a Chosen,
}

/// Answers one tile.
pub(crate) async fn answer(tile: &Tile, asking: &Asking<'_>) -> Result<TileData, TileFailure> {
    let mut data = TileData {
        ok: true,
        evidence: Evidence { ignored_filters: asking.ignored(tile), ..Evidence::default() },
        kpi: None,
        line: None,
        bar: None,
        table: None,
    };
    let evidence = &mut data.evidence;
    match tile {
        Tile::Kpi(kpi) => data.kpi = Some(asking.kpi(kpi, evidence).await?),
        Tile::Line(line) => data.line = Some(asking.line(line, evidence).await?),
        Tile::Bar(bar) => data.bar = Some(asking.bar(bar, evidence).await?),
        Tile::Table(table) => data.table = Some(asking.table(table, evidence).await?),
        Tile::Broken(broken) => {
            return Err(TileFailure {
                ok: false,
                code: "definition",
                detail: broken.detail.clone(),
                hint: broken.hint.clone(),
                query_id: None,
            });
        }
    }
    Ok(data)
}

impl Asking<'_> {
    async fn kpi(&self, tile: &KpiTile, evidence: &mut Evidence) -> Result<KpiContent, TileFailure> {
        let curve = self.curve(&tile.metric, &tile.filters, None);
        let measure = self.state.metric(&tile.metric).map(|m| &m.measure);
        let (value, previous, spark) = if self.compare.is_none() && measure.is_some_and(adds_up) {
            // The buckets add up to the value: the curve answers both.
            let spark = self.hit(curve, evidence).await?;
            (measure.and_then(|m| total(m, &spark.rows)), None, spark)
        } else {
            let whole = MetricQuery { grain: None, ..curve.clone() };
            let (whole, spark) = try_join!(self.ask(whole), self.ask(curve))?;
            evidence.note(&whole, self.state);
            evidence.note(&spark, self.state);
            let row = whole.answer.rows.first();
            (row.and_then(|r| r.value), row.and_then(|r| r.previous), spark.answer)
        };
        let spark = spark
            .rows
            .iter()
            .filter_map(|row| Some(SparkPoint { t: row.time?, v: row.value, p: row.partial }))
            .collect();
        let target = self.state.metric(&tile.metric).and_then(|m| m.target);
        Ok(KpiContent { value, previous, target, spark })
    }

    async fn line(&self, tile: &LineTile, evidence: &mut Evidence) -> Result<LineContent, TileFailure> {
        let curve = self.curve(&tile.metric, &tile.filters, tile.grain);
        let grain = curve.grain.unwrap_or(Grain::Day);
        let measure = self.state.metric(&tile.metric).map(|m| &m.measure);
        let Some(dimension) = &tile.by else {
            let answer = self.hit(curve, evidence).await?;
            let rows: Vec<&MetricRow> = answer.rows.iter().collect();
            return Ok(LineContent { grain, series: vec![series(None, &rows, measure)] });
        };
        // The curves shown are the bars that a bar tile shows: the largest by their value over the range. Comparing
        // each with its past would double them: nobody could read that.
        let lead = MetricQuery {
            by: vec![dimension.clone()],
            order: Order::ValueDesc,
            limit: Some(CURVES),
            compare: None,
            ..self.whole(&tile.metric, &tile.filters)
        };
        let lead = self.hit(lead, evidence).await?;
        let shown: Vec<Option<String>> = lead.rows.iter().map(first_key).collect();
        let only = |exclude| {
            let mut query = MetricQuery { compare: None, ..curve.clone() };
            query.filters.push(Filter { dimension: dimension.clone(), values: shown.clone(), exclude });
            query
        };
        let split = MetricQuery { by: vec![dimension.clone()], ..only(false) };
        let answer = self.hit(split, evidence).await?;
        let mut curves: Vec<Series> = lead
            .rows
            .iter()
            .map(|top| {
                let key = first_key(top);
                let rows: Vec<&MetricRow> = answer.rows.iter().filter(|row| first_key(row) == key).collect();
                let title = title_of(&lead, dimension, key.as_deref());
                Series { title, total: top.value, ..series(key, &rows, None) }
            })
            .collect();
        if curves.len() >= CURVES {
            let answer = self.hit(only(true), evidence).await?;
            let rows: Vec<&MetricRow> = answer.rows.iter().collect();
            let rest = Series { other: true, ..series(None, &rows, measure) };
            if rest.points.iter().any(|p| p.v.is_some_and(|v| v != 0.0)) {
                curves.push(rest);
            }
        }
        Ok(LineContent { grain, series: curves })
    }

    async fn bar(&self, tile: &BarTile, evidence: &mut Evidence) -> Result<BarContent, TileFailure> {
        let query = MetricQuery {
            by: vec![tile.by.clone()],
            order: Order::ValueDesc,
            limit: Tile::Bar(tile.clone()).limit(),
            ..self.whole(&tile.metric, &tile.filters)
        };
        let answer = self.hit(query, evidence).await?;
        let bars = answer
            .rows
            .iter()
            .map(|row| {
                let key = first_key(row);
                let title = title_of(&answer, &tile.by, key.as_deref());
                Bar { key, title, value: row.value, previous: row.previous }
            })
            .collect();
        Ok(BarContent { bars })
    }

    async fn table(&self, tile: &TableTile, evidence: &mut Evidence) -> Result<TableContent, TileFailure> {
        let Some((first, further)) = tile.metrics.split_first() else {
            return Ok(TableContent { columns: Vec::new(), rows: Vec::new() });
        };
        let lead = MetricQuery {
            by: tile.by.clone(),
            order: Order::ValueDesc,
            limit: Tile::Table(tile.clone()).limit(),
            compare: None,
            ..self.whole(first, &tile.filters)
        };
        let lead = self.hit(lead, evidence).await?;
        let mut values: Vec<HashMap<&[Option<String>], Option<f64>>> = Vec::new();
        let mut answers: Vec<Arc<MetricAnswer>> = Vec::new();
        for metric in further {
            let mut query = MetricQuery {
                by: tile.by.clone(),
                limit: Some(TABLE_ROWS),
                compare: None,
                ..self.whole(metric, &tile.filters)
            };
            let keys = keys_of(&lead, &tile.by);
            // They only spare work: more of them than a question may have are left out.
            let values: usize = query.filters.iter().chain(&keys).map(|filter| filter.values.len()).sum();
            if values <= limits().filter_values && query.filters.len() + keys.len() <= limits().filters {
                query.filters.extend(keys);
            }
            answers.push(self.hit(query, evidence).await?);
        }
        for answer in &answers {
            values.push(answer.rows.iter().map(|r| (r.by.as_slice(), r.value)).collect());
        }
        let rows = lead.rows.iter().map(|row| table_row(row, &values)).collect();
        Ok(TableContent { columns: self.columns(tile, &lead), rows })
    }

    fn columns(&self, tile: &TableTile, lead: &MetricAnswer) -> Vec<ColumnTitle> {
        let metrics = self.state.metrics();
        let titles = tile.metrics.first().and_then(|m| metrics.get(m)).map(|m| m.dimensions(metrics));
        let dimensions = tile.by.iter().map(|name| ColumnTitle {
            name: name.clone(),
            title: titles.as_ref().and_then(|t| t.get(name)).cloned().unwrap_or_else(|| name.as_str().into()),
            unit: None,
            kind: ColumnKind::Dimension,
            titles: lead.titles.get(name).cloned().unwrap_or_default(),
        });
        let numbers = tile.metrics.iter().map(|name| ColumnTitle {
            name: name.clone(),
            title: metrics.get(name).map_or_else(|| name.as_str().into(), |m| m.title.clone()),
            unit: metrics.get(name).map(|m| m.unit),
            kind: ColumnKind::Metric,
            titles: BTreeMap::new(),
        });
        dimensions.chain(numbers).collect()
    }

    /// One value over the range.
    fn whole(&self, metric: &str, fixed: &Chosen) -> MetricQuery {
        MetricQuery {
            filters: self.filters_of(metric, fixed),
            compare: self.compare,
            period: self.period,
            ..MetricQuery::new(metric, self.range)
        }
    }

    /// The value in each bucket of the range. A small curve and a large one of the same metric are the
    /// same question, so that a page asks it once.
    fn curve(&self, metric: &str, fixed: &Chosen, grain: Option<Grain>) -> MetricQuery {
        let grain = period::grain(self.grain.or(grain), &self.range, self.state.finest(metric));
        MetricQuery { grain: Some(grain), ..self.whole(metric, fixed) }
    }

    /// The tile's own filters and those of the page that the metric can follow, in a fixed order.
    fn filters_of(&self, metric: &str, fixed: &Chosen) -> Vec<Filter> {
        let known = self.state.metric(metric).map(|m| m.dimensions(self.state.metrics()));
        let followed = self.filters.iter().filter(|(dimension, values)| {
            !values.is_empty() && known.as_ref().is_some_and(|k| k.contains(dimension))
        });
        fixed.iter().chain(followed).map(|(dimension, values)| filter(dimension, values)).collect()
    }

    /// Page filters that some metric of the tile cannot follow.
    fn ignored(&self, tile: &Tile) -> BTreeSet<String> {
        let metrics = self.state.metrics();
        let mut ignored = BTreeSet::new();
        for metric in tile.metrics().into_iter().filter_map(|name| metrics.get(name)) {
            let known = metric.dimensions(metrics);
            let lost = self.filters.iter().filter(|(d, values)| !values.is_empty() && !known.contains(d));
            ignored.extend(lost.map(|(d, _)| d.clone()));
        }
        ignored
    }

    async fn ask(&self, query: MetricQuery) -> Result<Hit, TileFailure> {
        self.reader.ask(self.who, self.state, query).await
    }

    async fn hit(
        &self,
        query: MetricQuery,
        evidence: &mut Evidence,
    ) -> Result<Arc<MetricAnswer>, TileFailure> {
        let hit = self.ask(query).await?;
        evidence.note(&hit, self.state);
        Ok(hit.answer)
    }
}

fn filter(dimension: &str, values: &[Option<String>]) -> Filter {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.dedup();
    Filter { dimension: dimension.to_owned(), values, exclude: false }
}

fn first_key(row: &MetricRow) -> Option<String> {
    row.by.first().cloned().flatten()
}

/// The values of each dimension among the leading rows.
fn keys_of(lead: &MetricAnswer, by: &[String]) -> Vec<Filter> {
    by.iter()
        .enumerate()
        .filter_map(|(index, dimension)| {
            let values: Vec<Option<String>> =
                lead.rows.iter().map(|r| r.by.get(index).cloned().flatten()).collect();
            (!values.is_empty()).then(|| filter(dimension, &values))
        })
        .collect()
}

fn table_row(row: &MetricRow, further: &[HashMap<&[Option<String>], Option<f64>>]) -> Vec<Cell> {
    let keys = row.by.iter().cloned().map(Cell::Key);
    let others = further.iter().map(|m| Cell::Value(m.get(row.by.as_slice()).copied().flatten()));
    keys.chain([Cell::Value(row.value)]).chain(others).collect()
}

fn title_of(answer: &MetricAnswer, dimension: &str, key: Option<&str>) -> Option<Title> {
    answer.titles.get(dimension)?.get(key?).cloned()
}

fn series(key: Option<String>, rows: &[&MetricRow], measure: Option<&Measure>) -> Series {
    let points = rows
        .iter()
        .filter_map(|r| Some(Point { t: r.time?, v: r.value, prev: r.previous, partial: r.partial }))
        .collect();
    let total = measure.and_then(|m| total(m, rows.iter().copied()));
    Series { key, title: None, other: false, total, points }
}

/// Whether the values of buckets give the value of the range.
fn adds_up(measure: &Measure) -> bool {
    let plain = |term: &Term| matches!(term, Term::Count(_) | Term::Sum(_));
    match measure {
        Measure::Count(_) | Measure::Sum(_) => true,
        Measure::Ratio(ratio) => plain(&ratio.numerator) && plain(&ratio.denominator),
        _ => false,
    }
}

/// The value over all buckets, where they add up to it.
fn total<'a>(measure: &Measure, rows: impl IntoIterator<Item = &'a MetricRow>) -> Option<f64> {
    if !adds_up(measure) {
        return None;
    }
    let add = |sum: Option<f64>, v: Option<f64>| v.map_or(sum, |v| Some(sum.unwrap_or(0.0) + v));
    if matches!(measure, Measure::Ratio(_)) {
        let (above, below) = rows.into_iter().fold((None, None), |(above, below), row| {
            (add(above, row.numerator), add(below, row.denominator))
        });
        return above.zip(below).filter(|(_, below)| *below != 0.0).map(|(above, below)| above / below);
    }
    rows.into_iter().fold(None, |sum, row| add(sum, row.value))
}
