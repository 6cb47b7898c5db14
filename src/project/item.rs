//! One definition as it stands in its file: what it says, what it uses, and where everything stands.

use std::collections::BTreeSet;
use std::sync::Arc;

use dashboards::{BrokenTile, DashboardSpec, Tile};
use ingest::SourceSpec;
use rules::{Condition, RuleSpec};
use store::Problem;
use warehouse::clean::CleanSpec;
use warehouse::metric::{Measure, MetricSpec};
use warehouse::model::{ModelFile, ModelHeader, ModelSpec};
use warehouse::{TableName, Zone};

use super::calendar::CalendarFile;
use super::files::{Kind, Place};
use super::finding::{Finding, Flaw, Part, Severity};
use super::positions::Positions;
use super::yaml;
use crate::config::Config;

/// A file that could be read.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) file: String,
    pub(crate) text: Arc<str>,
    pub(crate) definition: Definition,
    pub(crate) uses: Uses,
    positions: Positions,
    /// Lines above the SQL of a model.
    header_lines: usize,
    /// A dashboard of which only the good tiles are served, because no good version of it is known.
    pub(crate) partial: bool,
}

/// What a file says.
#[derive(Debug)]
pub(crate) enum Definition {
    Config(Box<Config>),
    Calendar(CalendarFile),
    Source(SourceSpec),
    Clean(CleanSpec),
    Model(ModelSpec),
    Metric(MetricSpec),
    Dashboard(DashboardSpec),
    Rule(Box<RuleSpec>),
}

/// What a definition cannot do without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    /// Tables it reads.
    pub(crate) tables: BTreeSet<TableName>,
    /// Definitions whose numbers it shows or judges.
    pub(crate) places: BTreeSet<Place>,
    /// Definitions that it names although no data comes from them.
    pub(crate) named: BTreeSet<Place>,
}

impl Item {
    /// Reads a file. The flaws say why it cannot be read.
    pub(crate) fn read(place: &Place, file: &str, text: Arc<str>) -> Result<Self, Vec<Finding>> {
        let in_file = |flaws: Vec<Flaw>| flaws.into_iter().map(|f| f.in_file(file)).collect::<Vec<_>>();
        let one = |flaw| in_file(vec![flaw]);
        let mut header_lines = 0;
        let mut positions = None;
        let definition = match place.kind {
            Kind::Config => Definition::Config(yaml::read(&text, 0).map_err(one)?),
            Kind::Calendar => Definition::Calendar(yaml::read(&text, 0).map_err(one)?),
            Kind::Source => Definition::Source(yaml::read(&text, 0).map_err(one)?),
            Kind::Clean => Definition::Clean(yaml::read(&text, 0).map_err(one)?),
            Kind::Metric => Definition::Metric(yaml::read(&text, 0).map_err(one)?),
            Kind::Dashboard => Definition::Dashboard(yaml::read(&text, 0).map_err(one)?),
            Kind::Rule => Definition::Rule(yaml::read(&text, 0).map_err(one)?),
            Kind::Model => {
                let (spec, header) = model(&place.name, &text).map_err(in_file)?;
                header_lines = spec.header_lines;
                positions = Some(header);
                Definition::Model(spec)
            }
        };
        let uses = Uses::of(&definition);
        let positions = positions.unwrap_or_else(|| Positions::of(&text, 0));
        Ok(Self { file: file.to_owned(), text, definition, uses, positions, header_lines, partial: false })
    }

    /// A dashboard that cannot be read as it stands, with the tiles that cannot be read as broken ones and what is
    /// wrong with each; `first` is what is wrong first. None when the fault lies elsewhere.
    pub(crate) fn read_good_tiles(
        place: &Place,
        file: &str,
        text: &Arc<str>,
        first: &Finding,
    ) -> Option<(Self, Vec<Finding>)> {
        if place.kind != Kind::Dashboard {
            return None;
        }
        let mut page: serde_json::Value = yaml::read(text, 0).ok()?;
        let rows = page.get_mut("rows")?.as_array_mut()?;
        let written: Vec<Vec<serde_json::Value>> =
            std::mem::take(rows).into_iter().map(|row| row.as_array().cloned()).collect::<Option<_>>()?;
        let mut spec: DashboardSpec = serde_json::from_value(page).ok()?;
        let positions = Positions::of(text, 0);
        let mut findings: Vec<Finding> = Vec::new();
        for (row, tiles) in written.iter().enumerate() {
            let read =
                |(column, tile): (usize, &serde_json::Value)| match serde_json::from_value(tile.clone()) {
                    Ok(tile) => tile,
                    Err(error) => {
                        let problem =
                            Problem::new(error.to_string()).at_key("rows").at_index(row).at_index(column);
                        // The reader of the file tells the first mistake best; it stands inside the first bad tile.
                        let finding = match findings.is_empty() {
                            true => first.clone(),
                            false => flaw(problem, &positions).in_file(file),
                        };
                        let tile = Tile::Broken(BrokenTile::of(tile, told(&finding), finding.hint.clone()));
                        findings.push(finding);
                        tile
                    }
                };
            let tiles = tiles.iter().enumerate().map(read).collect();
            spec.rows.push(tiles);
        }
        if findings.is_empty() {
            return None;
        }
        let definition = Definition::Dashboard(spec);
        let uses = Uses::of(&definition);
        let item = Self {
            file: file.to_owned(),
            text: text.clone(),
            definition,
            uses,
            positions,
            header_lines: 0,
            partial: true,
        };
        Some((item, findings))
    }

    /// The dashboard with the tiles that `findings` are about as broken ones. None when something else is wrong
    /// with it too, or it is no dashboard. `cause` finds what is behind a finding.
    pub(crate) fn without_bad_tiles(
        &self,
        findings: &[Finding],
        cause: impl Fn(&Finding) -> Option<Finding>,
    ) -> Option<Self> {
        let Definition::Dashboard(spec) = &self.definition else { return None };
        let mut spec = spec.clone();
        let mut unknown: Vec<usize> = Vec::new();
        for finding in findings.iter().filter(|finding| finding.is_error()) {
            let (row, column) = match finding.part? {
                Part::Tile { row, column } => (row, column),
                Part::Filter(index) => {
                    unknown.push(index);
                    continue;
                }
            };
            let tile = spec.rows.get_mut(row)?.get_mut(column)?;
            if matches!(tile, Tile::Broken(_)) {
                continue;
            }
            let behind = cause(finding);
            let told_of = behind.as_ref().unwrap_or(finding);
            let Tile::Broken(mut broken) = tile.broken(told(told_of), told_of.hint.clone()) else {
                return None;
            };
            // An id that is taken would hide the tile that has it by right.
            broken.id = broken.id.filter(|_| !finding.message.contains("is taken already"));
            *tile = Tile::Broken(broken);
        }
        let mut index = 0..;
        spec.filters.retain(|_| index.next().is_some_and(|at| !unknown.contains(&at)));
        Some(Self {
            file: self.file.clone(),
            text: self.text.clone(),
            uses: self.uses.clone(),
            definition: Definition::Dashboard(spec),
            positions: self.positions.clone(),
            header_lines: 0,
            partial: true,
        })
    }

    /// Gives a problem its line and column.
    pub(crate) fn finding(&self, problem: Problem) -> Finding {
        let problem = match &self.definition {
            Definition::Model(model) => in_sql(problem, &model.sql, model.header_lines),
            _ => problem,
        };
        let part = Part::of(&problem.path);
        Finding { part, ..flaw(problem, &self.positions).in_file(&self.file) }
    }

    /// The place in the file where a model first names a table.
    pub(crate) fn mention(&self, table: &TableName) -> (usize, usize) {
        let above = self.header_lines;
        let sql: Vec<&str> = self.text.lines().skip(above).collect();
        let (line, column) = mention(&sql.join("\n"), table).unwrap_or((1, 1));
        (line + above, column)
    }
}

/// Line and column where SQL first names a table; references carry no position of their own.
pub(crate) fn mention(sql: &str, table: &TableName) -> Option<(usize, usize)> {
    let quoted = format!("{}.\"{}\"", table.zone, table.name);
    let names = [table.to_string(), quoted, table.name.clone()];
    let word = |c: char| c.is_alphanumeric() || c == '_';
    names.iter().find_map(|name| {
        sql.lines().enumerate().find_map(|(index, line)| {
            let lower = line.to_ascii_lowercase();
            let (at, _) = lower.match_indices(name.as_str()).find(|(at, _)| {
                let before = lower[..*at].chars().next_back().is_some_and(word);
                let after = lower[at + name.len()..].chars().next().is_some_and(word);
                !before && !after
            })?;
            Some((index + 1, line[..at].chars().count() + 1))
        })
    })
}

/// A finding as the tile in its place shows it.
fn told(finding: &Finding) -> String {
    format!("{}:{}:{}: {}", finding.file, finding.line, finding.column, finding.message)
}

fn flaw(problem: Problem, positions: &Positions) -> Flaw {
    // An empty path with a place is a place in the file itself.
    let at = match (problem.path.is_empty(), problem.at) {
        (true, Some(at)) => at,
        _ => positions.place(&problem),
    };
    Flaw { at, severity: Severity::Error, message: problem.message, hint: problem.hint }
}

/// Reads a model. Its header goes through the same reader as every YAML, for the same hints.
fn model(name: &str, text: &str) -> Result<(ModelSpec, Positions), Vec<Flaw>> {
    let file = ModelFile::split(text).map_err(|p| vec![flaw(p, &Positions::default())])?;
    let positions = file.header.map(|h| Positions::of(h, 1)).unwrap_or_default();
    if let Some(header) = file.header.filter(|h| !h.trim().is_empty()) {
        yaml::read::<ModelHeader>(header, 1).map_err(|f| vec![f])?;
    }
    let spec = ModelSpec::parse(name, text).map_err(|problems| {
        let placed = problems.into_iter().map(|p| in_sql(p, file.sql, file.header_lines));
        placed.map(|p| flaw(p, &positions)).collect::<Vec<_>>()
    })?;
    Ok((spec, positions))
}

/// The parser gives no place when the SQL ends too early: that is at its end. Anything else without a
/// place is about the whole SELECT.
fn in_sql(problem: Problem, sql: &str, above: usize) -> Problem {
    if !problem.path.is_empty() || problem.at.is_some() {
        return problem;
    }
    let written = sql.trim_end();
    let (line, column) = if problem.message.contains("found: EOF") {
        let last = written.lines().next_back().unwrap_or_default();
        (written.lines().count().max(1), last.chars().count() + 1)
    } else {
        let blank = sql.lines().take_while(|line| line.trim().is_empty()).count();
        (blank + 1, 1)
    };
    problem.at(line + above, column)
}

impl Uses {
    fn of(definition: &Definition) -> Self {
        let mut uses = Self::default();
        match definition {
            Definition::Config(_) | Definition::Calendar(_) => {}
            Definition::Source(source) => {
                let cleans = source.streams.values().filter_map(|s| s.clean.as_deref());
                uses.named.extend(cleans.map(|name| Place::new(Kind::Clean, name)));
            }
            Definition::Clean(clean) => {
                uses.tables.insert(clean.from.clone());
            }
            // Parsing has shown already that the SQL can be read.
            Definition::Model(model) => {
                uses.tables.extend(warehouse::references(&model.sql).unwrap_or_default())
            }
            Definition::Metric(metric) => uses.metric(metric),
            Definition::Dashboard(page) => {
                let metrics = page.rows.iter().flatten().flat_map(Tile::metrics);
                uses.places.extend(metrics.map(|name| Place::new(Kind::Metric, name)));
            }
            Definition::Rule(rule) => uses.rule(rule),
        }
        uses
    }

    fn metric(&mut self, metric: &MetricSpec) {
        self.tables.extend(metric.table.clone());
        if let Measure::Derived(derived) = &metric.measure {
            self.places.extend(derived.metrics.values().map(|name| Place::new(Kind::Metric, name)));
        }
    }

    fn rule(&mut self, rule: &RuleSpec) {
        self.places.extend(rule.ask.iter().map(|ask| Place::new(Kind::Metric, ask.metric.as_str())));
        match &rule.when {
            Condition::Stale(stale) => drop(self.tables.insert(stale.table.clone())),
            // SQL that cannot be read is told by the rule's own check.
            Condition::Rows(rows) => self.tables.extend(warehouse::references(&rows.sql).unwrap_or_default()),
            _ => {}
        }
        if !rule.notify.is_empty() {
            self.named.insert(Place::new(Kind::Config, ""));
        }
    }
}

/// The definition that fills a table: of a raw table its source, found by `source_of`.
pub(crate) fn maker(table: &TableName, source_of: impl Fn(&TableName) -> Option<String>) -> Option<Place> {
    match table.zone {
        Zone::Raw => source_of(table).map(|name| Place::new(Kind::Source, name)),
        Zone::Clean => {
            let name = table.name.strip_suffix("_rejected").unwrap_or(&table.name);
            Some(Place::new(Kind::Clean, name))
        }
        Zone::Mart => Some(Place::new(Kind::Model, table.name.clone())),
        Zone::System => None,
    }
}
