//! What runs after what. One pure function: this happened, so these jobs follow. Everything that
//! starts work (a schedule, a landing, a published table) goes through here, so that the order of
//! the line source → raw → clean → model → rule is written down once.

use crate::jobs::{Build, Clean, Next};
use warehouse::{TableName, Zone};

/// Something that happened to data.
#[derive(Debug, Clone)]
pub enum Happened {
    /// Rows were committed to a raw table.
    Landed(TableName),
    /// A clean table was republished from its raw table.
    Cleaned(TableName),
    /// The definitions on disk changed and are now served.
    Reloaded,
}

/// The part of the definitions that decides what follows: which clean table reads which raw one.
pub trait Lineage {
    /// Names of the clean tables built from `raw`.
    fn cleans_of(&self, raw: &TableName) -> Vec<String>;
    /// Names of all clean tables.
    fn cleans(&self) -> Vec<String>;
    /// Whether any model reads `table`.
    fn is_modelled(&self, table: &TableName) -> bool;
}

/// The jobs that follow. Models are one job: it works out itself which of them are stale, so a
/// burst of landings costs one build and a diamond of models is never built half-way.
pub fn next(happened: &Happened, lineage: &dyn Lineage) -> Vec<Next> {
    match happened {
        Happened::Landed(table) => {
            let mut jobs: Vec<Next> =
                lineage.cleans_of(table).into_iter().map(|table| Next::Clean(Clean { table })).collect();
            if lineage.is_modelled(table) {
                jobs.push(Next::Build(Build {}));
            }
            jobs
        }
        Happened::Cleaned(table) => {
            debug_assert_eq!(table.zone, Zone::Clean);
            if lineage.is_modelled(table) { vec![Next::Build(Build {})] } else { Vec::new() }
        }
        Happened::Reloaded => {
            let mut jobs: Vec<Next> =
                lineage.cleans().into_iter().map(|table| Next::Clean(Clean { table })).collect();
            jobs.push(Next::Build(Build {}));
            jobs
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sketch;
    impl Lineage for Sketch {
        fn cleans_of(&self, raw: &TableName) -> Vec<String> {
            if raw.name == "oa_approvals" { vec!["approvals".into()] } else { Vec::new() }
        }
        fn cleans(&self) -> Vec<String> {
            vec!["approvals".into()]
        }
        fn is_modelled(&self, table: &TableName) -> bool {
            table.name == "approvals" || table.name == "direct"
        }
    }

    fn kinds(happened: Happened) -> Vec<String> {
        next(&happened, &Sketch).iter().map(Next::label).collect()
    }

    #[test]
    fn a_landing_cleans_its_table_and_then_builds() {
        assert_eq!(kinds(Happened::Landed("raw.oa_approvals".parse().unwrap())), ["clean approvals"]);
        assert_eq!(kinds(Happened::Cleaned("clean.approvals".parse().unwrap())), ["build"]);
    }

    #[test]
    fn a_raw_table_read_by_a_model_directly_builds_without_cleaning() {
        assert_eq!(kinds(Happened::Landed("raw.direct".parse().unwrap())), ["build"]);
        assert!(kinds(Happened::Landed("raw.unused".parse().unwrap())).is_empty());
    }

    #[test]
    fn a_reload_refreshes_everything_once() {
        assert_eq!(kinds(Happened::Reloaded), ["clean approvals", "build"]);
    }
}
