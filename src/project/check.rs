//! What is wrong across files: names that nothing answers to, circles, columns that no table has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ingest::SourceSpec;
use rules::{ChannelSpec, Condition};
use store::{Problem, Step};
use warehouse::clean::CleanSpec;
use warehouse::metric::MetricSpec;
use warehouse::{TableName, Zone};

use super::columns::{Catalogue, PlanCache, Schemas};
use super::files::{Kind, Place};
use super::finding::{Finding, unknown};
use super::graph::{Graph, Items, raw_tables};
use super::item::{Definition, Item, mention};

/// Checks definitions that could all be read.
pub(crate) struct Checker<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) plans: &'a PlanCache,
}

/// Everything that definitions may name.
struct Known<'a> {
    items: &'a Items,
    /// Tables that some definition fills.
    tables: BTreeSet<TableName>,
    metrics: BTreeMap<String, MetricSpec>,
    channels: BTreeMap<String, ChannelSpec>,
    schemas: Schemas,
    catalogue: &'a Catalogue,
}

impl Checker<'_> {
    /// Definition → its findings; those without any are left out.
    pub(crate) fn check(&self, items: &Items) -> BTreeMap<Place, Vec<Finding>> {
        let mut found: BTreeMap<Place, Vec<Finding>> = BTreeMap::new();
        // Nothing can be planned through a circle, so it is told alone.
        if let Some(circle) = Graph::of(items).circle() {
            for (place, finding) in circle_findings(items, &circle) {
                found.entry(place).or_default().push(finding);
            }
            return found;
        }
        let known = Known::of(items, self.catalogue, self.plans);
        for (place, item) in items {
            let findings = known.findings(place, item);
            if !findings.is_empty() {
                found.insert(place.clone(), findings);
            }
        }
        for (place, finding) in same_raw_table(items) {
            found.entry(place).or_default().push(finding);
        }
        found
    }
}

impl<'a> Known<'a> {
    fn of(items: &'a Items, catalogue: &'a Catalogue, plans: &PlanCache) -> Self {
        let mut tables: BTreeSet<TableName> = raw_tables(items).into_keys().collect();
        let mut metrics = BTreeMap::new();
        let mut channels = BTreeMap::new();
        for (place, item) in items {
            match &item.definition {
                Definition::Config(config) => channels = config.channels.clone(),
                Definition::Metric(metric) => drop(metrics.insert(place.name.clone(), metric.clone())),
                Definition::Clean(_) => {
                    tables.insert(TableName { zone: Zone::Clean, name: place.name.clone() });
                    tables.insert(TableName { zone: Zone::Clean, name: format!("{}_rejected", place.name) });
                }
                Definition::Model(_) => {
                    tables.insert(TableName { zone: Zone::Mart, name: place.name.clone() });
                }
                _ => {}
            }
        }
        let schemas = Schemas::of(items, catalogue, plans);
        Self { items, tables, metrics, channels, schemas, catalogue }
    }

    fn findings(&self, place: &Place, item: &Item) -> Vec<Finding> {
        let problems = match &item.definition {
            Definition::Config(config) => config.check(),
            Definition::Calendar(_) => Vec::new(),
            Definition::Source(source) => self.source(source),
            Definition::Clean(clean) => self.clean(place, clean),
            Definition::Model(_) => return self.model(place, item),
            Definition::Metric(metric) => self.metric(place, metric),
            Definition::Dashboard(page) => dashboards::check(page, &self.metrics),
            Definition::Rule(rule) => {
                let mut problems = rules::check(rule, &self.metrics, &self.channels);
                problems.extend(self.rule_tables(item));
                problems
            }
        };
        let mut findings: Vec<Finding> = problems.into_iter().map(|p| item.finding(p)).collect();
        if let Definition::Source(source) = &item.definition {
            findings.extend(self.clean_of_other_stream(place, item, source));
            findings.extend(source.advice().into_iter().map(|p| item.finding(p).warning()));
        }
        findings
    }

    fn source(&self, source: &SourceSpec) -> Vec<Problem> {
        let mut problems = source.check();
        let cleans = || self.names(Kind::Clean);
        for (name, stream) in &source.streams {
            let Some(clean) = &stream.clean else { continue };
            if !self.items.contains_key(&Place::new(Kind::Clean, clean.as_str())) {
                let message = format!("there is no cleaning `{clean}`");
                let mut problem = unknown(message, clean, cleans());
                if problem.hint.is_none() {
                    problem = problem.hint(format!("write cleans/{clean}.yaml, or remove `clean`"));
                }
                problems.push(problem.at_key("streams").at_key(name).at_key("clean"));
            }
        }
        problems
    }

    /// A stream may name a cleaning that reads another table: then its own rows are never cleaned.
    fn clean_of_other_stream(&self, place: &Place, item: &Item, source: &SourceSpec) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, stream) in &source.streams {
            let Some(clean) = &stream.clean else { continue };
            let other = self.items.get(&Place::new(Kind::Clean, clean.as_str()));
            let Some(Definition::Clean(spec)) = other.map(|i| &i.definition) else { continue };
            let own = SourceSpec::table(&place.name, name);
            if spec.from != own {
                let message = format!("the cleaning `{clean}` reads {}, not this stream's {own}", spec.from);
                let problem = Problem::new(message)
                    .hint(format!("write `from: {own}` in cleans/{clean}.yaml, or name another cleaning"))
                    .at_key("streams")
                    .at_key(name)
                    .at_key("clean");
                findings.push(item.finding(problem));
            }
        }
        findings
    }

    fn clean(&self, place: &Place, clean: &CleanSpec) -> Vec<Problem> {
        let raw = self.catalogue.schema(&clean.from);
        let mut problems = warehouse::clean::check(clean, raw.as_deref());
        if clean.from.zone == Zone::Raw
            && let Some(problem) = self.missing_table(&clean.from)
        {
            problems.push(problem.at_key("from"));
        }
        if place.name.ends_with("_rejected") {
            problems.push(
                Problem::new("names that end in `_rejected` are kept for quarantined rows")
                    .hint("rename the file"),
            );
        }
        problems
    }

    fn model(&self, place: &Place, item: &Item) -> Vec<Finding> {
        let missing = item.uses.tables.iter().filter_map(|table| {
            let (line, column) = item.mention(table);
            Some(item.finding(self.missing_table(table)?.at(line, column)))
        });
        let mut findings: Vec<Finding> = missing.collect();
        findings.extend(self.schemas.problems(place).iter().map(|p| item.finding(p.clone())));
        findings
    }

    fn metric(&self, place: &Place, metric: &MetricSpec) -> Vec<Problem> {
        let schema =
            metric.table.as_ref().and_then(|t| self.schemas.get(t).or_else(|| self.catalogue.schema(t)));
        let mut problems = warehouse::metric::check(&place.name, metric, &self.metrics, schema.as_deref());
        let missing = metric.table.as_ref().and_then(|table| self.missing_table(table));
        problems.extend(missing.map(|problem| problem.at_key("table")));
        problems
    }

    fn rule_tables(&self, item: &Item) -> Vec<Problem> {
        let Definition::Rule(rule) = &item.definition else { return Vec::new() };
        let missing = item.uses.tables.iter().filter_map(|table| {
            let problem = self.missing_table(table)?.at_key("when");
            Some(match &rule.when {
                Condition::Rows(rows) => {
                    let (line, column) = mention(&rows.sql, table).unwrap_or((1, 1));
                    problem.at_key("rows").at_key("sql").at(line, column)
                }
                _ => problem.at_key("stale").at_key("table"),
            })
        });
        missing.collect()
    }

    /// A problem when no definition fills the table and it does not exist either.
    fn missing_table(&self, table: &TableName) -> Option<Problem> {
        let known = self.tables.contains(table) || self.catalogue.schema(table).is_some();
        // What Guanlan records about itself is known only to a running server.
        if known || (table.zone == Zone::System && !self.catalogue.knows_system()) {
            return None;
        }
        let names: Vec<String> =
            self.tables.iter().chain(self.catalogue.names()).map(TableName::to_string).collect();
        let wanted = table.to_string();
        let problem = Problem::new(format!("there is no table `{wanted}`"));
        if let Some(near) = store::nearest(&wanted, names.iter().map(String::as_str)) {
            return Some(problem.hint(format!("did you mean `{near}`?")));
        }
        // The same name in another zone is the usual slip.
        let elsewhere = names.iter().find(|n| n.split_once('.').is_some_and(|(_, n)| n == table.name));
        if let Some(other) = elsewhere {
            return Some(problem.hint(format!("did you mean `{other}`?")));
        }
        Some(problem.hint(match table.zone {
            Zone::Raw => {
                "a raw table is raw.<source>_<stream>: add the stream to a file in sources/".to_owned()
            }
            Zone::Clean => format!("write cleans/{}.yaml", table.name),
            Zone::Mart => format!("write models/{}.sql", table.name),
            Zone::System => "see the zone `system` in the catalogue".to_owned(),
        }))
    }

    fn names(&self, kind: Kind) -> impl Iterator<Item = &str> {
        self.items.keys().filter(move |p| p.kind == kind).map(|p| p.name.as_str())
    }
}

/// One finding for each definition on the circle, so that each is named with its file.
fn circle_findings(items: &Items, circle: &[Place]) -> Vec<(Place, Finding)> {
    let on_circle: Vec<(&Place, &Arc<Item>)> =
        circle.iter().filter_map(|place| items.get(place).map(|item| (place, item))).collect();
    // The circle is told once, at its first file by name.
    let Some((place, item)) = on_circle.iter().min_by_key(|(_, item)| item.file.as_str()) else {
        return Vec::new();
    };
    let at = circle.iter().position(|p| p == *place).unwrap_or(0);
    let mut files: Vec<&str> = circle
        .iter()
        .cycle()
        .skip(at)
        .take(circle.len() + 1)
        .filter_map(|p| items.get(p))
        .map(|i| i.file.as_str())
        .collect();
    files.dedup();
    let path = if files.len() == 1 { format!("{0} → {0}", files[0]) } else { files.join(" → ") };
    let next = circle[(at + 1) % circle.len()].clone();
    let problem = Problem::new(format!("these definitions need each other in a circle: {path}"))
        .hint("cut it: move what both need into a definition of its own");
    let problem = match next.kind {
        Kind::Model => {
            let (line, column) = item.mention(&TableName { zone: Zone::Mart, name: next.name });
            problem.at(line, column)
        }
        _ => derived_path(item, &next.name).into_iter().fold(problem, |p, step| match step {
            Step::Key(key) => p.at_key(key),
            Step::Index(index) => p.at_index(index),
        }),
    };
    vec![((*place).clone(), item.finding(problem))]
}

fn derived_path(item: &Item, metric: &str) -> Vec<Step> {
    let Definition::Metric(spec) = &item.definition else { return Vec::new() };
    let warehouse::metric::Measure::Derived(derived) = &spec.measure else { return Vec::new() };
    let Some((key, _)) = derived.metrics.iter().find(|(_, name)| *name == metric) else { return Vec::new() };
    ["measure", "derived", "metrics", key].into_iter().map(|k| Step::Key(k.into())).collect()
}

/// Two streams whose names join to the same raw table: `a` + `b_c` and `a_b` + `c`.
fn same_raw_table(items: &Items) -> Vec<(Place, Finding)> {
    let mut taken: BTreeMap<TableName, (&Place, &str)> = BTreeMap::new();
    let mut found = Vec::new();
    for (place, item) in items {
        let Definition::Source(source) = &item.definition else { continue };
        for stream in source.streams.keys() {
            let table = SourceSpec::table(&place.name, stream);
            if let Some((other, file)) = taken.get(&table).filter(|(other, _)| *other != place) {
                let message = format!("this stream lands in {table}, and so does one of {file}");
                let problem = Problem::new(message).at_key("streams").at_key(stream).hint(format!(
                    "rename the stream, or one of the sources {} and {}",
                    other.name, place.name
                ));
                found.push((place.clone(), item.finding(problem)));
                continue;
            }
            taken.insert(table, (place, item.file.as_str()));
        }
    }
    found
}
