//! A rule that cannot be evaluated watches nothing, and nobody would miss its alerts. So its own failure is an
//! alert, told where its alerts are told. What exactly failed stands with the rule, for those who may read it.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use store::Timestamp;

use crate::judge::Verdict;
use crate::names::{Labels, series_of};
use crate::observe::{Evidence, Observation};
use crate::spec::{Annotations, Condition, RuleSpec, Severity, Texts};

/// How long a rule may fail before it is told of: longer than a restart of what it reads from.
const PATIENCE: TimeDelta = TimeDelta::minutes(15);
/// A name that no dimension and no column of a key has.
const NAME: &str = "@rule";

/// The key of a rule's own series.
pub(crate) fn series(rule: &str) -> String {
    series_of([(NAME, Some(rule))])
}

/// Whether a rule that fails now has failed for long enough.
pub(crate) fn is_worth_telling(since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_some_and(|since| now - since >= PATIENCE)
}

pub(crate) fn observation(rule: &str, verdict: Verdict) -> Observation {
    Observation {
        series: series(rule),
        labels: Labels::from([("rule".to_owned(), rule.to_owned())]),
        columns: BTreeMap::new(),
        verdict,
        evidence: Evidence::default(),
    }
}

/// The rule as the alert about itself tells of it: whom it tells stays, what it says changes.
pub(crate) fn spec(rule: &RuleSpec) -> RuleSpec {
    let texts = |summary: String, description: &str| {
        Some(Texts { summary, description: Some(description.to_owned()), action: None })
    };
    RuleSpec {
        annotations: Annotations {
            zh: texts(
                format!("规则「{}」无法评估，它所关注的情况目前无人看守", plain(&rule.title.zh)),
                "请在规则页面查看错误信息，或运行 guanlan check。",
            ),
            en: texts(
                format!(
                    "The rule “{}” cannot be evaluated: nothing watches what it is for",
                    plain(&rule.title.en)
                ),
                "The rule's page has the error; guanlan check may name it too.",
            ),
        },
        // Judges nothing, so that there is no figure to give as a reason.
        when: Condition::Above(crate::spec::Limit { value: f64::MAX }),
        severity: rule.severity.min(Severity::Warning),
        ..rule.clone()
    }
}

/// A title holds no placeholders.
fn plain(title: &str) -> String {
    title.replace("{{", "{").replace("}}", "}")
}
