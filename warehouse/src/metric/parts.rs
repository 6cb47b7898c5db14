//! What a derived metric stands on.

use std::collections::{BTreeMap, BTreeSet};

use store::{limits, nearest};

use super::spec::{MAX_DEPTH, Measure, MetricSpec};
use crate::{Error, Result};

/// The metrics that `name` stands on and itself, each once, parts before what is made of them. A part that is
/// used in many places is so computed once.
///
/// # Errors
/// `NotFound` for a metric that does not exist, `Invalid` when one is derived from itself, over too many levels or
/// from too many.
pub(crate) fn in_order<'a>(name: &'a str, all: &'a BTreeMap<String, MetricSpec>) -> Result<Vec<&'a str>> {
    let most = limits().filters;
    let mut order: Vec<&str> = Vec::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    // Open metrics from the outermost inwards, each with the parts that still have to come before it.
    let mut open: Vec<(&str, Vec<&str>)> = vec![(name, needs(name, all)?)];
    while let Some((metric, rest)) = open.last_mut() {
        let metric = *metric;
        match rest.pop() {
            None => {
                open.pop();
                if done.insert(metric) {
                    order.push(metric);
                }
                if order.len() > 2 * most {
                    return Err(Error::invalid(format!(
                        "metric `{name}` stands on more than {most} metrics; sum some of them up in a model"
                    )));
                }
            }
            Some(part) if done.contains(part) => {}
            Some(part) => {
                if open.len() > MAX_DEPTH || open.iter().any(|(metric, _)| *metric == part) {
                    return Err(Error::invalid(format!(
                        "metric `{name}` is derived from itself or over more than {MAX_DEPTH} levels"
                    )));
                }
                open.push((part, needs(part, all)?));
            }
        }
    }
    Ok(order)
}

fn needs<'a>(name: &str, all: &'a BTreeMap<String, MetricSpec>) -> Result<Vec<&'a str>> {
    let Some(spec) = all.get(name) else {
        let near = nearest(name, all.keys().map(String::as_str));
        return Err(Error::NotFound {
            what: format!("metric `{name}`"),
            hint: near.map(|near| format!("did you mean `{near}`?")),
        });
    };
    Ok(match &spec.measure {
        Measure::Derived(derived) => derived.metrics.values().map(String::as_str).collect(),
        _ => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(specs: &[(&str, &[&str])]) -> BTreeMap<String, MetricSpec> {
        let spec = |parts: &[&str]| -> MetricSpec {
            let metrics: Vec<String> = parts.iter().enumerate().map(|(n, p)| format!("n{n}: {p}")).collect();
            let text = match parts.is_empty() {
                true => "{title: t, table: mart.t, time: at, measure: {count: {}}}".to_owned(),
                false => format!(
                    "{{title: t, measure: {{derived: {{expression: n0, metrics: {{{}}}}}}}}}",
                    metrics.join(", ")
                ),
            };
            serde_saphyr::from_str(&text).expect("a metric")
        };
        specs.iter().map(|(name, parts)| ((*name).to_owned(), spec(parts))).collect()
    }

    #[test]
    fn parts_come_once_and_before_what_is_made_of_them() {
        let metrics = all(&[("a", &[]), ("b", &["a", "a"]), ("c", &["b", "a", "b"])]);
        assert_eq!(in_order("c", &metrics).expect("an order"), ["a", "b", "c"]);
        // Eight levels, each made twice of the one below: 256 uses of eight metrics.
        let names: Vec<String> = (0..9).map(|n| format!("m{n}")).collect();
        let mut deep = all(&[("m0", &[])]);
        for n in 1..9 {
            deep.extend(all(&[(&names[n], &[&names[n - 1], &names[n - 1]])]));
        }
        assert_eq!(in_order("m8", &deep).expect("an order").len(), 9);
        assert!(deep["m8"].dimensions(&deep).is_empty());
    }

    #[test]
    fn circles_and_strangers_are_named() {
        let metrics = all(&[("a", &["b"]), ("b", &["a"]), ("c", &["gone"])]);
        assert!(in_order("a", &metrics).expect_err("a circle").to_string().contains("itself"));
        assert!(in_order("c", &metrics).expect_err("unknown").to_string().contains("`gone`"));
    }
}
