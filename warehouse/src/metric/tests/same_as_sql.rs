//! Questions made by chance, with a fixed seed, answer what plain SQL answers.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::{Filter, Grain, MetricQuery, ask, define, orders, range};
use crate::clean::fixture::house_in;

const QUESTIONS: usize = 60;

#[tokio::test]
async fn questions_by_chance_answer_what_sql_answers() {
    let mut dice = StdRng::seed_from_u64(20_261_127);
    let house = house_in(chrono_tz::UTC).await;
    let regions = [Some("east"), Some("west"), Some("it's"), None];
    let rows: Vec<(String, Option<&str>, f64, &str)> = (0..400)
        .map(|n| {
            // The first and the last day have rows, so that all between them is known.
            let day = if n < 2 { n * 59 } else { dice.random_range(0..60) };
            let time = super::at("2026-01-01T00:00:00Z")
                + chrono::TimeDelta::seconds(day * 86_400 + dice.random_range(0..86_400));
            let region = regions.choose(&mut dice).copied().flatten();
            (
                time.to_rfc3339(),
                region,
                f64::from(dice.random_range(-50..500)),
                *["open", "done"].choose(&mut dice).expect("a word"),
            )
        })
        .collect();
    let borrowed: Vec<(&str, Option<&str>, f64, &str)> =
        rows.iter().map(|r| (r.0.as_str(), r.1, r.2, r.3)).collect();
    orders(&house, &borrowed).await;
    let measures = [
        ("count", "{count: {}}", "count(*)", true),
        ("done", "{count: {where: \"status = 'done'\"}}", "count(*) filter (where status = 'done')", true),
        ("revenue", "{sum: {column: amount}}", "sum(amount)", true),
        ("mean", "{average: {column: amount}}", "avg(amount)", false),
        ("most", "{maximum: {column: amount}}", "max(amount)", false),
        ("median", "{quantile: {column: amount, q: 0.5}}", "median(amount)", false),
        ("regions", "{distinct: {column: region}}", "count(distinct region)", true),
        (
            "rate",
            "{ratio: {numerator: {sum: {column: amount, where: amount > 100}}, denominator: {count: {}}}}",
            "coalesce(sum(amount) filter (where amount > 100), 0) / count(*)",
            false,
        ),
    ];
    for (name, measure, ..) in measures {
        define(&house, name, measure);
    }
    for n in 0..QUESTIONS {
        let (name, _, aggregate, additive) = *measures.choose(&mut dice).expect("a measure");
        let (from, days) = (dice.random_range(1..20), dice.random_range(1..40));
        let from = super::at("2026-01-01T00:00:00Z") + chrono::TimeDelta::days(from);
        let to = from + chrono::TimeDelta::days(days);
        let grain = *[None, Some(Grain::Day), Some(Grain::Week), Some(Grain::Month)]
            .choose(&mut dice)
            .expect("a grain");
        let by: Vec<&str> = ["region", "status"].into_iter().filter(|_| dice.random_bool(0.5)).collect();
        let mut query = MetricQuery {
            grain,
            by: by.iter().map(|name| (*name).to_owned()).collect(),
            ..MetricQuery::new(name, range(&from.to_rfc3339(), &to.to_rfc3339()))
        };
        let mut wanted = format!("at >= '{}' and at < '{}'", from.to_rfc3339(), to.to_rfc3339());
        if dice.random_bool(0.5) {
            let chosen: Vec<Option<&str>> =
                regions.iter().copied().filter(|_| dice.random_bool(0.5)).collect();
            let exclude = dice.random_bool(0.5);
            let any: Vec<String> = chosen
                .iter()
                .map(|value| match value {
                    Some(text) => format!("coalesce(region = '{}', false)", text.replace('\'', "''")),
                    None => "region is null".to_owned(),
                })
                .chain(["false".to_owned()])
                .collect();
            wanted.push_str(&format!(" and {} ({})", if exclude { "not" } else { "" }, any.join(" or ")));
            let values = chosen.iter().map(|value| value.map(str::to_owned)).collect();
            query.filters.push(Filter { dimension: "region".into(), values, exclude });
        }
        let bucket = match grain {
            None => "'-'".to_owned(),
            Some(grain) => format!("cast(date_trunc('{}', at) as date)", format!("{grain:?}").to_lowercase()),
        };
        let keys: Vec<String> =
            by.iter().map(|name| format!("coalesce({name}, '~')")).chain([bucket]).collect();
        let sql = format!(
            "select concat_ws('|', {}), {aggregate} from mart.orders where {wanted} group by {}",
            keys.join(", "),
            keys.join(", ")
        );
        let expected: BTreeMap<String, String> = house
            .sql(&sql)
            .await
            .iter()
            .filter_map(|line| line.rsplit_once('|'))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let mut seen = 0;
        for row in ask(&house, &query).await.rows {
            let time = row.time.map_or("-".to_owned(), |time| time.format("%Y-%m-%d").to_string());
            let key: Vec<String> =
                row.by.iter().map(|value| value.clone().unwrap_or("~".into())).chain([time]).collect();
            let key = key.join("|");
            match (expected.get(&key), row.value) {
                (Some(text), Some(value)) => {
                    let expected: f64 = text.parse().expect("a number");
                    assert!(
                        (expected - value).abs() < 1e-6,
                        "question {n}: {query:?}\n{sql}\n{key}: {value}, not {expected}"
                    );
                    seen += 1;
                }
                (Some(text), None) => {
                    assert!(text.is_empty(), "question {n}: {query:?}\n{key}: nothing, not {text}")
                }
                (None, value) => {
                    let nothing = if additive { Some(0.0) } else { None };
                    assert!(
                        value == nothing || row.partial,
                        "question {n}: {query:?}\n{key}: {value:?} without a row"
                    );
                }
            }
        }
        assert_eq!(seen, expected.len(), "question {n}: {query:?}\n{sql}");
    }
}
