//! Mistakes in a rule that can be seen without any data.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use store::{Problem, Schedule, Timestamp, nearest};
use warehouse::metric::{Grain, MetricSpec};
use warehouse::{Zone, references};

use crate::observe::warns_at_zero;
use crate::series::delta;
use crate::spec::{Against, Ask, ChannelSpec, Condition, RuleSpec, Season, Seasonal, Texts};
use crate::template;

/// More buckets than this in one window are refused by the metric itself.
const MAX_BUCKETS: u64 = 20_000;
/// Longest text of a rule, in bytes: it is filled in for every series and must fit a message.
const LONGEST_TEXT: usize = 4_000;
/// Most labels, channels and key columns of a rule, and the longest label: each stands in every alert.
const MOST_NAMES: usize = 32;
const LONGEST_LABEL: usize = 300;
/// The shortest pause between two evaluations: a pass over all rules takes about as long.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest `for`, `keep_firing_for`, `delay` and window.
const LONGEST_SPAN: Duration = Duration::from_secs(10 * 366 * 86_400);
/// The most deviations and points that a season may ask for.
const MOST_DEVIATIONS: f64 = 1_000.0;
const MOST_POINTS: usize = 1_000;

/// Every mistake of a rule, given all metrics and channels of the project.
pub fn check(
    spec: &RuleSpec,
    metrics: &BTreeMap<String, MetricSpec>,
    channels: &BTreeMap<String, ChannelSpec>,
) -> Vec<Problem> {
    let mut found = Vec::new();
    asked(spec, metrics, &mut found);
    let mut inner = Vec::new();
    condition(spec, &mut inner);
    found.extend(inner.into_iter().map(|p: Problem| p.within(key(spec.when.kind())).within(key("when"))));
    schedule(spec, &mut found);
    silence(spec, &mut found);
    for (at, name) in spec.notify.iter().enumerate() {
        if !channels.contains_key(name) {
            let problem = unknown("channel", name, channels.keys().map(String::as_str));
            let add = format!(
                "add `channels: {{ {name}: {{ webhook: {{ url: …, secret: … }} }} }}` to guanlan.yaml"
            );
            let problem = if problem.hint.is_none() { problem.hint(add) } else { problem };
            found.push(problem.at_key("notify").at_index(at));
        }
    }
    delay(spec, &mut found);
    sizes(spec, &mut found);
    labels(spec, &mut found);
    texts(spec, &mut found);
    found
}

/// What a caller's file decides and every evaluation or message pays for.
fn sizes(spec: &RuleSpec, found: &mut Vec<Problem>) {
    let most = |name: &str, count: usize, limit: usize| {
        (count > limit)
            .then(|| Problem::new(format!("`{name}` lists {count}, more than {limit}")).at_key(name))
    };
    found.extend(most("notify", spec.notify.len(), MOST_NAMES));
    found.extend(most("labels", spec.labels.len(), MOST_NAMES));
    for (name, text) in &spec.labels {
        if name.len() + text.len() > LONGEST_LABEL {
            let problem = Problem::new(format!("a label of more than {LONGEST_LABEL} bytes fits no message"));
            found.push(problem.at_key("labels").at_key(name));
        }
    }
    if let Some(ask) = &spec.ask {
        let limits = store::limits();
        let values: usize = ask.filters.values().map(Vec::len).sum();
        let lists = [
            most("by", ask.by.len(), limits.filters.min(MOST_NAMES)),
            most("filters", ask.filters.len(), limits.filters),
            most("filters", values, limits.filter_values),
        ];
        found.extend(lists.into_iter().flatten().map(|problem| problem.within(key("ask"))));
    }
    if let Condition::Rows(rows) = &spec.when {
        let limit = store::limits().statement_bytes;
        let list = most("key", rows.key.len(), MOST_NAMES);
        let long = (rows.sql.len() > limit)
            .then(|| Problem::new(format!("the query has more than {limit} bytes")).at_key("sql"));
        let inner = list.into_iter().chain(long);
        found.extend(inner.map(|problem| problem.within(key("rows")).within(key("when"))));
    }
    for (name, span) in [("for", spec.hold), ("keep_firing_for", spec.keep_firing_for), ("delay", spec.delay)]
    {
        if span.0 > LONGEST_SPAN {
            found.push(Problem::new("longer than ten years").hint(format!("{name}: 1h")).at_key(name));
        }
    }
}

/// Rows and the age of a table are what they are now: only values of a time can be waited for.
fn delay(spec: &RuleSpec, found: &mut Vec<Problem>) {
    if spec.delay.0.is_zero() {
        return;
    }
    match &spec.ask {
        None => {
            let kind = spec.when.kind();
            let problem = Problem::new(format!("`{kind}` looks at no time that data could be late for"));
            found.push(problem.hint("remove `delay`; a query can leave out what is too new").at_key("delay"));
        }
        Some(ask) if ask.grain.is_some() && spec.delay.0 >= ask.window.0 => {
            let problem =
                Problem::new("nothing would be judged: the window is over before its data may come");
            found.push(problem.hint("take a `window` longer than `delay`").at_key("delay"));
        }
        Some(_) => {}
    }
}

fn key(name: &str) -> store::Step {
    store::Step::Key(name.to_owned())
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let problem = Problem::new(format!("there is no {what} `{name}`"));
    match nearest(name, known) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    }
}

fn asked(spec: &RuleSpec, metrics: &BTreeMap<String, MetricSpec>, found: &mut Vec<Problem>) {
    let needs = !matches!(spec.when, Condition::Stale(_) | Condition::Rows(_));
    let kind = spec.when.kind();
    match &spec.ask {
        None if needs => found.push(
            Problem::new(format!("`{kind}` judges a metric, but nothing is asked"))
                .hint("add `ask: { metric: …, grain: hour }`"),
        ),
        Some(_) if !needs => {
            found.push(Problem::new(format!("`{kind}` needs no metric")).hint("remove `ask`").at_key("ask"))
        }
        Some(ask) => {
            let mut inner = Vec::new();
            question(ask, metrics, &mut inner);
            found.extend(inner.into_iter().map(|p: Problem| p.within(key("ask"))));
        }
        None => {}
    }
}

fn question(ask: &Ask, metrics: &BTreeMap<String, MetricSpec>, found: &mut Vec<Problem>) {
    if ask.window.0.is_zero() {
        found.push(Problem::new("a window of zero holds nothing").hint("window: 28d").at_key("window"));
    }
    if ask.window.0 > LONGEST_SPAN {
        found.push(Problem::new("a window of more than ten years").hint("window: 28d").at_key("window"));
    }
    if let Some(grain) = ask.grain {
        let buckets = ask.window.0.as_secs() / length(grain).as_secs();
        if buckets > MAX_BUCKETS {
            found.push(
                Problem::new(format!("the window holds {buckets} values, more than {MAX_BUCKETS}"))
                    .hint("shorten `window`, or take a longer `grain`")
                    .at_key("window"),
            );
        }
    }
    let Some(metric) = metrics.get(&ask.metric) else {
        let problem = unknown("metric", &ask.metric, metrics.keys().map(String::as_str));
        return found.push(problem.at_key("metric"));
    };
    let dimensions = metric.dimensions(metrics);
    let known: Vec<&str> = dimensions.names().collect();
    let what = format!("dimension of the metric `{}`", ask.metric);
    let mut seen = BTreeSet::new();
    for (at, name) in ask.by.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            let problem = unknown(&what, name, known.iter().copied());
            found.push(problem.at_key("by").at_index(at));
        } else if !seen.insert(name) {
            found.push(Problem::new(format!("`{name}` is listed twice")).at_key("by").at_index(at));
        }
    }
    for (name, values) in &ask.filters {
        if !known.contains(&name.as_str()) {
            let problem = unknown(&what, name, known.iter().copied());
            found.push(problem.at_key("filters").at_key(name));
        } else if values.is_empty() {
            let problem =
                Problem::new("a filter without values keeps nothing").hint("list the values to keep");
            found.push(problem.at_key("filters").at_key(name));
        }
    }
}

/// Problems with paths below `when.<kind>`.
fn condition(spec: &RuleSpec, found: &mut Vec<Problem>) {
    match &spec.when {
        Condition::Above(limit) | Condition::Below(limit) => finite("value", limit.value, found),
        Condition::Outside(corridor) => {
            finite("low", corridor.low, found);
            finite("high", corridor.high, found);
            if corridor.low >= corridor.high {
                let problem = Problem::new("`low` must be less than `high`");
                found.push(problem.hint("every value would be outside").at_key("low"));
            }
        }
        Condition::Change(change) => {
            if change.up.is_none() && change.down.is_none() {
                found.push(
                    Problem::new("neither `up` nor `down` is given").hint("up: 0.3 warns at 30 % more"),
                );
            }
            for (name, share) in [("up", change.up), ("down", change.down)] {
                if share.is_some_and(|s| !s.is_finite() || s <= 0.0) {
                    found.push(
                        Problem::new("the share must be greater than 0").hint("0.3 is 30 %").at_key(name),
                    );
                }
            }
            if change.down.is_some_and(|d| d >= 1.0) {
                let problem = Problem::new("a value that falls by all of it or more warns never or too late");
                found.push(problem.hint("0.3 is 30 %").at_key("down"));
            }
            not_negative("min", change.min, found);
            let grain = spec.ask.as_ref().and_then(|ask| ask.grain);
            let odd = matches!(grain, Some(Grain::Week | Grain::Quarter | Grain::Year));
            if change.against == Against::LastMonth && odd {
                let problem = Problem::new("a month before, there is no such bucket to compare to");
                let hint = "ask with `grain: day` (the same date), `hour` or `month`, or take `last_year`";
                found.push(problem.hint(hint).at_key("against"));
            }
        }
        Condition::Seasonal(seasonal) => season(seasonal, spec.ask.as_ref(), found),
        Condition::Stale(stale) => {
            if stale.longer_than.0.is_zero() {
                let problem = Problem::new("every table is older than nothing");
                found.push(problem.hint("longer_than: 2h").at_key("longer_than"));
            }
            if stale.at.as_ref().is_some_and(|at| at.trim().is_empty()) {
                found.push(Problem::new("`at` names no column").hint("at: updated_at").at_key("at"));
            }
            if stale.table.zone == Zone::System {
                let problem = Problem::new("system tables are always fresh");
                found.push(problem.hint("name a table of raw, clean or mart").at_key("table"));
            }
        }
        Condition::Rows(rows) => {
            if rows.key.is_empty() {
                found.push(
                    Problem::new("without a key one problem cannot be told from another")
                        .hint("key: [column, …]")
                        .at_key("key"),
                );
            }
            if let Err(problem) = references(&rows.sql) {
                found.push(problem.within(key("sql")));
            }
        }
    }
}

fn season(seasonal: &Seasonal, ask: Option<&Ask>, found: &mut Vec<Problem>) {
    if !seasonal.deviations.is_finite() || seasonal.deviations <= 0.0 {
        found.push(
            Problem::new("`deviations` must be greater than 0").hint("deviations: 4").at_key("deviations"),
        );
    }
    if seasonal.deviations > MOST_DEVIATIONS {
        found.push(
            Problem::new("so many deviations are never reached").hint("deviations: 4").at_key("deviations"),
        );
    }
    if seasonal.min_points > MOST_POINTS {
        let problem = Problem::new(format!("more than {MOST_POINTS} alike values are never read"));
        found.push(problem.hint("min_points: 4").at_key("min_points"));
        return;
    }
    if seasonal.min_points < 2 {
        let problem = Problem::new("what is usual cannot be told from fewer than 2 values");
        found.push(problem.hint("min_points: 4").at_key("min_points"));
    }
    not_negative("floor", seasonal.floor, found);
    let Some(ask) = ask else { return };
    let day = Duration::from_secs(86_400);
    let repeats = match (seasonal.season, ask.grain) {
        (Season::Day, Some(Grain::Hour)) => day,
        (Season::Week, Some(Grain::Hour | Grain::Day)) => day * 7,
        // Of the two kinds of days the rarer comes twice a week.
        (Season::Workweek, Some(Grain::Hour | Grain::Day)) => day * 7 / 2,
        (Season::Day, _) => {
            let problem = Problem::new("the season `day` compares hours of the day");
            return found
                .push(problem.hint("ask with `grain: hour`, or take season `week`").at_key("season"));
        }
        _ => {
            let problem = Problem::new("a season needs hours or days to compare");
            return found.push(problem.hint("ask with `grain: hour` or `grain: day`").at_key("season"));
        }
    };
    let history = seasonal.reach(ask.window).0;
    let buckets = ask.grain.map_or(0, |grain| history.as_secs() / length(grain).as_secs());
    if buckets > MAX_BUCKETS && seasonal.history.is_some() {
        let problem = Problem::new(format!("the history holds {buckets} values, more than {MAX_BUCKETS}"));
        found.push(problem.hint("shorten `history`, or take a longer `grain`").at_key("history"));
    }
    let points = u32::try_from(seasonal.min_points).unwrap_or(u32::MAX);
    if repeats.checked_mul(points).is_none_or(|needed| needed > history) {
        let needed = store::Span(repeats.saturating_mul(points));
        let name = if seasonal.history.is_some() { "history" } else { "min_points" };
        found.push(
            Problem::new(format!(
                "a history of {} never holds {} alike values, so nothing would be judged",
                store::Span(history),
                seasonal.min_points
            ))
            .hint(format!("take a history of at least {needed}, or fewer min_points"))
            .at_key(name),
        );
    }
}

fn finite(name: &str, value: f64, found: &mut Vec<Problem>) {
    if !value.is_finite() {
        found.push(Problem::new(format!("`{name}` must be a number")).at_key(name));
    }
}

fn not_negative(name: &str, value: f64, found: &mut Vec<Problem>) {
    if !value.is_finite() || value < 0.0 {
        found.push(Problem::new(format!("`{name}` must not be negative")).at_key(name));
    }
}

fn schedule(spec: &RuleSpec, found: &mut Vec<Problem>) {
    if spec.cron.is_some() && spec.every.is_some() {
        found.push(Problem::new("`every` and `cron` are both given").hint("keep one").at_key("cron"));
    }
    match spec.every {
        Some(every) if every.0.is_zero() => {
            found.push(Problem::new("an interval of zero never ends").hint("every: 5m").at_key("every"));
        }
        Some(every) if every.0 < SHORTEST_PAUSE => {
            found.push(
                Problem::new("rules are evaluated once a second at most").hint("every: 1s").at_key("every"),
            );
        }
        _ => {}
    }
    if let Some(cron) = &spec.cron
        && Schedule::Cron(cron.clone()).is_never()
    {
        let problem =
            Problem::new(format!("`{cron}` names a date that never comes: the rule would never run"));
        found.push(problem.hint("for the last day of each month write: cron: \"0 9 L * *\"").at_key("cron"));
    }
}

/// Groups without rows are known from the window before: a rule that looks more seldom than its window is long
/// would not see them fall silent.
fn silence(spec: &RuleSpec, found: &mut Vec<Problem>) {
    let Some(ask) = &spec.ask else { return };
    if ask.grain.is_some() || ask.by.is_empty() || !warns_at_zero(&spec.when) || ask.window.0.is_zero() {
        return;
    }
    // Some weeks of a daily rule; nothing is read, so any moment will do.
    let schedule = spec.schedule();
    let mut at = Timestamp::UNIX_EPOCH;
    let mut pause = TimeDelta::zero();
    for _ in 0..30 {
        let Some(next) = schedule.next_after(at, Tz::UTC) else { break };
        if at != Timestamp::UNIX_EPOCH {
            pause = pause.max(next - at);
        }
        at = next;
    }
    if pause > delta(ask.window.0) {
        let kind = spec.when.kind();
        found.push(
            Problem::new(format!(
                "`{kind}` would miss groups that have no rows: the rule pauses longer than its window"
            ))
            .hint("lengthen `window`, evaluate more often, or add `grain`")
            .at_key("ask")
            .at_key("window"),
        );
    }
}

fn labels(spec: &RuleSpec, found: &mut Vec<Problem>) {
    let own: Vec<&String> = match (&spec.ask, &spec.when) {
        (Some(ask), _) => ask.by.iter().collect(),
        (None, Condition::Rows(rows)) => rows.key.iter().collect(),
        _ => Vec::new(),
    };
    let stale = matches!(spec.when, Condition::Stale(_));
    for name in spec.labels.keys() {
        if own.contains(&name) || (stale && name == "table") {
            let problem = Problem::new(format!("the label `{name}` already comes from the data"));
            found.push(problem.hint("choose another name").at_key("labels").at_key(name));
        }
    }
}

/// Placeholders that nothing fills. Columns of a query are known only when it runs, so rows take any.
fn texts(spec: &RuleSpec, found: &mut Vec<Problem>) {
    let mut known: Vec<&str> = template::BUILT_IN.to_vec();
    known.extend(spec.labels.keys().map(String::as_str));
    known.extend(spec.ask.iter().flat_map(|ask| ask.by.iter().map(String::as_str)));
    if matches!(spec.when, Condition::Stale(_)) {
        known.extend(["table", "since"]);
    }
    let open = matches!(spec.when, Condition::Rows(_));
    for (language, texts) in [("zh", &spec.annotations.zh), ("en", &spec.annotations.en)] {
        let Some(Texts { summary, description, action }) = texts else { continue };
        let parts =
            [("summary", Some(summary)), ("description", description.as_ref()), ("action", action.as_ref())];
        for (part, text) in parts {
            if text.is_some_and(|text| text.len() > LONGEST_TEXT) {
                let problem =
                    Problem::new(format!("a text of more than {LONGEST_TEXT} bytes fits no message"));
                found.push(problem.at_key("annotations").at_key(language).at_key(part));
                continue;
            }
            for name in text.iter().flat_map(|text| template::names(text)) {
                if !open && !known.contains(&name) {
                    let problem = unknown("placeholder", name, known.iter().copied());
                    let list = format!("known here: {}", known.join(", "));
                    let problem = if problem.hint.is_none() { problem.hint(list) } else { problem };
                    found.push(problem.at_key("annotations").at_key(language).at_key(part));
                }
            }
        }
    }
}

/// The shortest that a bucket of a grain is.
pub(crate) fn length(grain: Grain) -> Duration {
    let hours = match grain {
        Grain::Hour => 1,
        Grain::Day => 23,
        Grain::Week => 167,
        Grain::Month => 28 * 24 - 1,
        Grain::Quarter => 90 * 24 - 1,
        Grain::Year => 365 * 24,
    };
    Duration::from_secs(hours * 3600)
}

#[cfg(test)]
mod tests;
