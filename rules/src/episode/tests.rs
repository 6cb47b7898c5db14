use super::*;
use crate::judge::Unknown;

const MINUTE: Duration = Duration::from_secs(60);

/// Plays verdicts by minute: `!` outside, `.` normal, `?` unknown. Returns what happened when.
fn play(story: &str, hold: u32, keep: u32) -> Vec<String> {
    let patience = Patience { hold: MINUTE * hold, keep: MINUTE * keep };
    let start: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
    let mut episode = None;
    let mut happened = vec![];
    let mut ids = 0;
    for (minute, sign) in story.chars().enumerate() {
        let verdict = match sign {
            '!' => Verdict::Outside(Reading::default()),
            '.' => Verdict::Normal(Reading::default()),
            _ => Verdict::Unknown(Unknown::NoValue),
        };
        let now = start + delta(MINUTE) * minute as i32;
        for again in [false, true] {
            let (next, transition) = advance(episode.clone(), &verdict, patience, now, || {
                ids += 1;
                format!("e{ids}")
            });
            let resolved = episode.as_ref().is_some_and(|e: &Episode| e.state == State::Resolved);
            let id = next.as_ref().or(episode.as_ref()).map(|e| e.id.clone()).unwrap_or_default();
            if let Some(transition) = transition {
                assert!(!again || resolved, "the same verdict at the same moment does nothing more: {story}");
                let word = match transition {
                    Transition::Started(_) => "started",
                    Transition::Fired(_) => "fired",
                    Transition::Resolved(_) => "resolved",
                    Transition::Dropped => "dropped",
                };
                happened.push(format!("{minute} {word} {id}"));
            }
            episode = next;
        }
    }
    happened
}

#[test]
fn an_episode_goes_from_pending_over_firing_to_resolved() {
    let cases: &[(&str, u32, u32, &[&str])] = &[
        ("..!!!..", 0, 0, &["2 fired e1", "5 resolved e1"]),
        (".!!!!.", 2, 0, &["1 started e1", "3 fired e1", "5 resolved e1"]),
        (".!!.!!.", 2, 0, &["1 started e1", "3 dropped e1", "4 started e2", "6 dropped e2"]),
        ("!.!.!....", 0, 3, &["0 fired e1", "7 resolved e1"]),
        ("!.!.", 0, 0, &["0 fired e1", "1 resolved e1", "2 fired e2", "3 resolved e2"]),
        ("!!??!.", 0, 0, &["0 fired e1", "5 resolved e1"]),
        ("!?!!", 2, 0, &["0 started e1", "1 dropped e1", "2 started e2"]),
        ("???...", 0, 0, &[]),
        ("!??.", 0, 10, &["0 fired e1"]),
    ];
    for (story, hold, keep, expected) in cases {
        assert_eq!(play(story, *hold, *keep), *expected, "{story} for {hold} keep {keep}");
    }
}

#[test]
fn an_alert_whose_series_is_never_seen_again_ends_after_three_days() {
    let start: Timestamp = "2026-03-06T01:00:00Z".parse().unwrap();
    let outside = Verdict::Outside(Reading::default());
    let (episode, _) = advance(None, &outside, Patience::default(), start, || "e".into());
    let unknown = Verdict::Unknown(Unknown::NoValue);
    let later = start + TimeDelta::hours(71);
    let (episode, nothing) = advance(episode, &unknown, Patience::default(), later, || "x".into());
    assert!(nothing.is_none(), "a weekend without values is not the end");
    let (episode, over) =
        advance(episode, &unknown, Patience::default(), start + TimeDelta::hours(72), || "x".into());
    assert_eq!(over, Some(Transition::Resolved(Ending::Unknown)));
    assert_eq!(episode.unwrap().state, State::Resolved);
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_happen_early() {
    let start: Timestamp = "2026-03-06T01:00:00Z".parse().unwrap();
    let patience = Patience { hold: MINUTE * 10, keep: MINUTE * 10 };
    let outside = Verdict::Outside(Reading::default());
    let (episode, _) = advance(None, &outside, patience, start, || "e".into());
    let back = start - TimeDelta::hours(1);
    let (episode, nothing) = advance(episode, &outside, patience, back, || "x".into());
    assert!(nothing.is_none());
    assert_eq!(episode.unwrap().state, State::Pending);
}
