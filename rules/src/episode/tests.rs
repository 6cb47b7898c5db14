use super::*;
use crate::judge::Unknown;

const MINUTE: Duration = Duration::from_secs(60);

/// Plays verdicts by minute: `!` outside, `.` normal, `?` unknown. Returns what happened when.
fn play(story: &str, hold: u32, keep: u32) -> Vec<String> {
    let patience = Patience { hold: MINUTE * hold, keep: MINUTE * keep, ..Patience::default() };
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
                    Transition::Resolved(..) => "resolved",
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
    assert_eq!(over, Some(Transition::Resolved(Ending::Unknown, Reading::default())));
    assert_eq!(episode.unwrap().state, State::Resolved);
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_happen_early() {
    let start: Timestamp = "2026-03-06T01:00:00Z".parse().unwrap();
    let patience = Patience { hold: MINUTE * 10, keep: MINUTE * 10, ..Patience::default() };
    let outside = Verdict::Outside(Reading::default());
    let (episode, _) = advance(None, &outside, patience, start, || "e".into());
    let back = start - TimeDelta::hours(1);
    let (episode, nothing) = advance(episode, &outside, patience, back, || "x".into());
    assert!(nothing.is_none());
    assert_eq!(episode.unwrap().state, State::Pending);
}

#[test]
fn time_in_which_nobody_looked_counts_neither_as_held_nor_as_well() {
    let start: Timestamp = "2026-03-06T01:00:00Z".parse().unwrap();
    let second = |n: i64| start + TimeDelta::seconds(n);
    let pause = TimeDelta::seconds(2);
    let outside = Verdict::Outside(Reading::default());
    let patience = |last: i64, now: i64| Patience {
        hold: Duration::from_secs(40),
        keep: Duration::from_secs(40),
        unseen: unseen(Some(second(last)), pause, second(now)),
    };
    let step = |episode, verdict: &Verdict, last, now| {
        advance(episode, verdict, patience(last, now), second(now), || "e".into())
    };
    let (mut episode, _) = step(None, &outside, 0, 0);
    for now in (2..=8).step_by(2) {
        episode = step(episode, &outside, now - 2, now).0;
    }
    // Killed at 8, back at 48: 8 seconds were seen, and 9 are what a busy machine may be late.
    let (mut episode, nothing) = step(episode, &outside, 8, 48);
    assert!(nothing.is_none(), "it does not fire at once");
    let mut fired = None;
    for now in (50..100).step_by(2) {
        let (after, transition) = step(episode, &outside, now - 2, now);
        episode = after;
        if transition.is_some() {
            fired = Some(now);
            break;
        }
    }
    assert_eq!(fired, Some(72), "40 seconds seen: 8 before, up to 9 between, the rest after");
    // The same for what it takes to be well again.
    let normal = Verdict::Normal(Reading::default());
    let (episode, nothing) = step(episode, &normal, 72, 172);
    assert!(nothing.is_none(), "nobody saw it being well");
    assert!(step(episode, &normal, 172, 174).1.is_none());
    assert_eq!(unseen(None, pause, start), Duration::ZERO);
    assert_eq!(unseen(Some(start), pause, second(9)), Duration::ZERO);
    assert_eq!(unseen(Some(second(9)), pause, start), Duration::ZERO, "a clock that was set back");
}
