//! Why an alert fires, in a sentence with its figures: what was seen and what would have been right. Pure.

use warehouse::Title;
use warehouse::metric::MetricUnit;

use crate::judge::Reading;
use crate::number::{Language, change, format};
use crate::spec::{Against, Condition};

/// The sentence in both languages; `None` where there is no figure to give.
pub(crate) fn reason(when: &Condition, reading: &Reading, unit: Option<MetricUnit>) -> Option<Title> {
    if let Condition::Rows(_) = when {
        return Some(Title {
            zh: "规则的查询返回了这一行".to_owned(),
            en: "the rule's query returned this row".to_owned(),
        });
    }
    let value = reading.value?;
    let both = |value: f64| (format(value, unit, Language::Zh), format(value, unit, Language::En));
    let (zh, en) = both(value);
    let too_high = reading.high.filter(|high| value > *high).map(both);
    let too_low = reading.low.filter(|low| value < *low).map(both);
    let sentence = match when {
        Condition::Seasonal(_) => {
            let (usual, low, high) = (both(reading.previous?), both(reading.low?), both(reading.high?));
            Title {
                zh: format!("现为 {zh}；同类时段通常为 {}，{}–{} 之间算正常", usual.0, low.0, high.0),
                en: format!(
                    "it is {en}; at such times {} is usual, and {}–{} is right",
                    usual.1, low.1, high.1
                ),
            }
        }
        Condition::Change(rule) => {
            let before = both(reading.previous?);
            let change = reading.change().map(change)?;
            let (zh_when, en_when) = match rule.against {
                Against::Previous => ("上一期", "before"),
                Against::LastWeek => ("上周同期", "a week before"),
                Against::LastMonth => ("上月同日", "a month before"),
                Against::LastYear => ("去年同期", "a year before"),
            };
            Title {
                zh: format!("现为 {zh}，{zh_when}为 {}，变化 {change}", before.0),
                en: format!("it is {en}, {en_when} it was {}: {change}", before.1),
            }
        }
        Condition::Stale(_) => {
            let high = both(reading.high?);
            Title {
                zh: format!("距最近一次更新已 {zh}，允许 {}", high.0),
                en: format!("the newest data is {en} old; {} is allowed", high.1),
            }
        }
        _ => match (too_high, too_low) {
            (Some(high), _) => Title {
                zh: format!("现为 {zh}，高于上限 {}", high.0),
                en: format!("it is {en}, above the limit of {}", high.1),
            },
            (None, Some(low)) => Title {
                zh: format!("现为 {zh}，低于下限 {}", low.0),
                en: format!("it is {en}, below the limit of {}", low.1),
            },
            (None, None) => return None,
        },
    };
    Some(sentence)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(when: serde_json::Value, reading: Reading) -> (String, String) {
        let when = serde_json::from_value(when).unwrap();
        let title = reason(&when, &reading, Some(MetricUnit::Count)).unwrap();
        (title.zh, title.en)
    }

    #[test]
    fn a_reason_gives_what_was_seen_and_what_was_right() {
        let reading =
            |value, low, high, previous| Reading { at: None, value: Some(value), low, high, previous };
        assert_eq!(
            said(json!({"above": {"value": 100.0}}), reading(150.0, None, Some(100.0), None)),
            ("现为 150，高于上限 100".into(), "it is 150, above the limit of 100".into())
        );
        assert_eq!(
            said(json!({"outside": {"low": 1.0, "high": 2.0}}), reading(0.5, Some(1.0), Some(2.0), None)).1,
            "it is 0.5, below the limit of 1"
        );
        assert_eq!(
            said(
                json!({"change": {"against": "last_month", "up": 0.3}}),
                reading(15.0, None, Some(13.0), Some(10.0))
            )
            .1,
            "it is 15, a month before it was 10: +50%"
        );
        assert_eq!(
            said(json!({"seasonal": {"season": "week"}}), reading(9.0, Some(20.0), Some(40.0), Some(30.0))).1,
            "it is 9; at such times 30 is usual, and 20–40 is right"
        );
    }
}
