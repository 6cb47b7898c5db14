//! Which columns every table has, as far as definitions alone can tell.
//!
//! A cleaning says its columns. A model's follow from planning its SQL over the tables it reads. What
//! a source delivers is known only once it was read: then the catalogue of a running warehouse tells.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use arrow::datatypes::{Field, Schema, SchemaRef};
use store::Problem;
use warehouse::clean::CleanSpec;
use warehouse::{TableName, Zone};

use super::files::{Kind, Place};
use super::graph::{Graph, Items};
use super::item::{Definition, Item};
use super::planner;

/// Plans kept between two checks; more than any project has models, so dropping them all is rare.
const KEPT_PLANS: usize = 20_000;

/// So many columns are listed where none is near.
const SHOWN_COLUMNS: usize = 20;

/// Tables that exist, with their columns.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    tables: BTreeMap<TableName, SchemaRef>,
}

impl Catalogue {
    pub fn new(tables: impl IntoIterator<Item = (TableName, SchemaRef)>) -> Self {
        Self { tables: tables.into_iter().collect() }
    }

    pub(crate) fn schema(&self, table: &TableName) -> Option<SchemaRef> {
        self.tables.get(table).cloned()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &TableName> {
        self.tables.keys()
    }

    /// Whether there is a table that Guanlan keeps about itself: then all of them are known.
    pub(crate) fn knows_system(&self) -> bool {
        self.tables.keys().any(|t| t.zone == Zone::System)
    }
}

/// Outcomes of planning by text and schemas read: an edit plans only what it touches.
#[derive(Default)]
pub(crate) struct PlanCache(Mutex<HashMap<u64, Planned>>);

type Planned = Result<SchemaRef, Vec<Problem>>;

impl PlanCache {
    fn plan(&self, key: u64, compute: impl FnOnce() -> Planned) -> Planned {
        let lock = || self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = lock().get(&key) {
            return known.clone();
        }
        let planned = compute();
        let mut plans = lock();
        if plans.len() >= KEPT_PLANS {
            plans.clear();
        }
        plans.insert(key, planned.clone());
        planned
    }
}

/// Columns of the tables that definitions fill, and models that do not fit them.
pub(crate) struct Schemas {
    known: BTreeMap<TableName, SchemaRef>,
    problems: BTreeMap<Place, Vec<Problem>>,
}

impl Schemas {
    /// The definitions must not stand in a circle.
    pub(crate) fn of(items: &Items, catalogue: &Catalogue, plans: &PlanCache) -> Self {
        let mut schemas = Self { known: BTreeMap::new(), problems: BTreeMap::new() };
        for (place, item) in items {
            if let Definition::Clean(clean) = &item.definition {
                let table = TableName { zone: Zone::Clean, name: place.name.clone() };
                schemas.known.insert(table, clean_schema(clean));
            }
        }
        for place in Graph::of(items).models_in_order() {
            if let Some(item) = items.get(&place) {
                schemas.model(&place, item, catalogue, plans);
            }
        }
        schemas
    }

    pub(crate) fn get(&self, table: &TableName) -> Option<SchemaRef> {
        self.known.get(table).cloned()
    }

    pub(crate) fn problems(&self, place: &Place) -> &[Problem] {
        self.problems.get(place).map_or(&[], Vec::as_slice)
    }

    /// Plans a model if the columns of everything it reads are known.
    fn model(&mut self, place: &Place, item: &Item, catalogue: &Catalogue, plans: &PlanCache) {
        let Definition::Model(model) = &item.definition else { return };
        let mut tables = Vec::new();
        for table in &item.uses.tables {
            let Some(schema) = self.get(table).or_else(|| catalogue.schema(table)) else { return };
            tables.push((table.clone(), schema));
        }
        let mut key = DefaultHasher::new();
        item.text.hash(&mut key);
        for (table, schema) in &tables {
            (table, schema).hash(&mut key);
        }
        let planned = plans.plan(key.finish(), || {
            let context = planner::context(tables)
                .map_err(|error| vec![Problem::new(format!("the model cannot be planned: {error}"))])?;
            // Planning over empty tables never waits for anything.
            let checked = futures::executor::block_on(warehouse::model::check(model, &context));
            checked.map_err(|problems| problems.into_iter().map(in_plain_words).collect())
        });
        match planned {
            Ok(schema) => {
                self.known.insert(TableName { zone: Zone::Mart, name: place.name.clone() }, schema);
            }
            Err(problems) => {
                self.problems.insert(place.clone(), problems);
            }
        }
    }
}

/// The planner writes `No field named statu. Did you mean 'clean.orders.status'?` and then every column
/// there is.
fn in_plain_words(problem: Problem) -> Problem {
    let first = problem.message.lines().next().unwrap_or_default();
    let Some(rest) = first.strip_prefix("No field named ") else { return problem };
    let (column, rest) = rest.split_once(". ").unwrap_or((rest.trim_end_matches('.'), ""));
    let bare = |name: &str| name.rsplit('.').next().unwrap_or(name).trim_matches(['\'', '"']).to_owned();
    let meant =
        rest.strip_prefix("Did you mean '").and_then(|r| r.split_once("'?")).map(|(name, _)| bare(name));
    let all = problem.message.split_once("Valid fields are ").map(|(_, all)| {
        let names: Vec<String> =
            all.trim_end_matches('.').split(", ").take(SHOWN_COLUMNS).map(bare).collect();
        names.join(", ")
    });
    let hint = match (meant, all) {
        (Some(meant), _) => Some(format!("did you mean `{meant}`?")),
        (None, Some(all)) => Some(format!("there is {all}")),
        (None, None) => problem.hint.clone(),
    };
    let message = format!("there is no column `{}`", column.trim_matches('"'));
    Problem { message, hint, ..problem }
}

fn clean_schema(clean: &CleanSpec) -> SchemaRef {
    let fields: Vec<Field> =
        clean.columns.iter().map(|(name, column)| Field::new(name, column.kind.arrow(), true)).collect();
    Arc::new(Schema::new(fields))
}

impl Graph {
    /// Models, each after those that it reads.
    fn models_in_order(&self) -> Vec<Place> {
        let mut order = Vec::new();
        let mut done = std::collections::BTreeSet::new();
        for start in self.places().filter(|p| p.kind == Kind::Model) {
            let mut open = vec![(start.clone(), false)];
            while let Some((place, ready)) = open.pop() {
                if ready {
                    order.push(place);
                } else if done.insert(place.clone()) {
                    open.push((place.clone(), true));
                    let before = self.upstream(&place).filter(|p| p.kind == Kind::Model);
                    open.extend(before.map(|p| (p.clone(), false)));
                }
            }
        }
        order
    }
}
