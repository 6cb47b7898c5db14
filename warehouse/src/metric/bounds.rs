//! How much one question may ask, checked before anything is compiled from it.

use std::collections::BTreeSet;

use store::{Limits, limits};

use super::query::MetricQuery;
use crate::{Error, Result};

/// Refuses a question that is longer than any that people or pages ask.
///
/// # Errors
/// `Invalid` names what there is too much of, and the bound.
pub(crate) fn bounded(ask: &MetricQuery) -> Result<()> {
    within(ask, limits())
}

fn within(ask: &MetricQuery, limits: &Limits) -> Result<()> {
    let most = |what: &str, given: usize, most: usize, remedy: &str| match given > most {
        true => Err(Error::invalid(format!(
            "the question has {given} {what}, at most {most} are allowed; {remedy}"
        ))),
        false => Ok(()),
    };
    most("filters", ask.filters.len(), limits.filters, "write the values of one dimension into one filter")?;
    most("dimensions", ask.by.len(), limits.filters, "split by fewer")?;
    let values: usize = ask.filters.iter().map(|filter| filter.values.len()).sum();
    most(
        "values in its filters",
        values,
        limits.filter_values,
        "mark the rows in the model and filter by the mark",
    )?;
    let names = ask.by.iter().chain(ask.filters.iter().map(|filter| &filter.dimension));
    let texts = ask.filters.iter().flat_map(|filter| filter.values.iter().flatten());
    let bytes: usize = names.chain(texts).map(String::len).sum::<usize>() + ask.metric.len();
    // A quote may be doubled in SQL, and a literal of another type has its cast around it.
    most("bytes of text", bytes, limits.statement_bytes / 4, "use shorter values, or a mark in the model")?;
    let mut seen = BTreeSet::new();
    match ask.by.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => {
            Err(Error::invalid(format!("`{twice}` stands twice among the dimensions; name it once")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Range;
    use crate::metric::Filter;
    use store::Timestamp;

    fn ask(filters: usize, values: usize) -> MetricQuery {
        let now = Timestamp::UNIX_EPOCH;
        let filter = Filter { dimension: "d".into(), values: vec![Some("v".into()); values], exclude: false };
        MetricQuery { filters: vec![filter; filters], ..MetricQuery::new("m", Range { from: now, to: now }) }
    }

    #[test]
    fn what_is_too_much_is_named_with_its_bound() {
        assert!(bounded(&ask(32, 62)).is_ok());
        for (ask, part) in [
            (ask(2_000, 1), "2000 filters, at most 32"),
            (ask(1, 2_001), "2001 values"),
            (MetricQuery { by: (0..33).map(|n| n.to_string()).collect(), ..ask(0, 0) }, "33 dimensions"),
            (MetricQuery { by: vec!["x".repeat(100_000)], ..ask(0, 0) }, "bytes of text"),
            (MetricQuery { by: vec!["d".into(), "d".into()], ..ask(0, 0) }, "twice"),
        ] {
            let error = bounded(&ask).expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
