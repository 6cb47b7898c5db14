//! Models in the order in which they have to be built.

use std::collections::{BTreeMap, BTreeSet};

use store::Problem;

use super::spec::ModelSpec;
use crate::{Zone, references};

/// Every model after the models that it reads; otherwise by name, so that the order is always
/// the same.
///
/// # Errors
/// A cycle, named step by step, or SQL that cannot be parsed.
pub fn order(models: &[ModelSpec]) -> Result<Vec<Vec<&ModelSpec>>, Problem> {
    let by_name: BTreeMap<&str, &ModelSpec> = models.iter().map(|m| (m.name.as_str(), m)).collect();
    let mut inputs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, model) in &by_name {
        let read = references(&model.sql).map_err(|problem| {
            let problem = super::check::in_file(problem, model);
            Problem { message: format!("model `{name}`: {}", problem.message), ..problem }
        })?;
        let known = read
            .iter()
            .filter(|table| table.zone == Zone::Mart)
            .filter_map(|table| by_name.get_key_value(table.name.as_str()))
            .map(|(key, _)| *key)
            .collect();
        inputs.insert(name, known);
    }
    let mut done = Vec::new();
    let mut built = BTreeSet::new();
    while !inputs.is_empty() {
        let ready = inputs.iter().filter(|(_, read)| read.is_subset(&built));
        let ready: Vec<&str> = ready.map(|(name, _)| *name).collect();
        if ready.is_empty() {
            return Err(cycle(&inputs, &built));
        }
        inputs.retain(|name, _| !ready.contains(name));
        built.extend(&ready);
        done.push(ready.into_iter().map(|name| by_name[name]).collect());
    }
    Ok(done)
}

/// Walks along unbuilt inputs until a model comes up twice.
fn cycle(inputs: &BTreeMap<&str, BTreeSet<&str>>, built: &BTreeSet<&str>) -> Problem {
    let mut path: Vec<&str> = Vec::new();
    let mut at = inputs.keys().next().copied().unwrap_or_default();
    while !path.contains(&at) {
        path.push(at);
        let next = inputs.get(at).and_then(|read| read.iter().find(|name| !built.contains(*name)));
        let Some(next) = next else { break };
        at = next;
    }
    let start = path.iter().position(|name| *name == at).unwrap_or(0);
    let mut names: Vec<String> = path[start..].iter().map(|name| format!("mart.{name}")).collect();
    names.push(format!("mart.{at}"));
    Problem::new(format!("models read each other in a circle: {}", names.join(" → ")))
        .hint("let one of them read the clean tables instead, or move the shared part into a third model")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, sql: &str) -> ModelSpec {
        ModelSpec::parse(name, sql).expect("a model")
    }

    #[test]
    fn a_model_comes_after_the_models_it_reads() {
        let models = [
            model("a_summary", "select count(*) as n from mart.z_facts f join mart.days d on f.day = d.day"),
            model("z_facts", "with t as (select * from clean.approvals) select * from t"),
            model("other", "select 1 as one"),
            model("days", "select distinct day from mart.z_facts"),
        ];
        let waves = order(&models).expect("an order");
        let names = waves.iter().map(|wave| wave.iter().map(|m| m.name.as_str()).collect::<Vec<_>>());
        assert_eq!(names.collect::<Vec<_>>(), [vec!["other", "z_facts"], vec!["days"], vec!["a_summary"]]);
    }

    #[test]
    fn a_circle_is_named_step_by_step() {
        let models = [
            model("start", "select * from mart.a"),
            model("a", "select * from mart.b"),
            model("b", "select * from mart.c"),
            model("c", "select * from mart.a"),
        ];
        let problem = order(&models).expect_err("a circle");
        assert!(problem.message.contains("mart.a → mart.b → mart.c → mart.a"), "{problem}");
        let own = [model("x", "select * from mart.x")];
        assert!(order(&own).expect_err("a circle").message.contains("mart.x → mart.x"));
    }
}
