use std::collections::BTreeSet;

use access::Principal;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::*;
use crate::bind::Rest;
use crate::site::{BAD, DOWN, NOW, OK, Receiver, Site, at, backlog_above_100};
use crate::{AlertFilter, DeliveryFilter};

/// `count` processes with too much to do.
async fn surge(site: &Site, count: usize) {
    let names: Vec<String> = (0..count).map(|n| format!("p{n:03}")).collect();
    let rows: Vec<_> = names.iter().map(|n| (site.just_now(), n.as_str(), 150.0)).collect();
    site.land(&rows).await;
    site.rules.evaluate("backlog", &backlog_above_100()).await.unwrap();
}

/// The processes, and no others, have too much to do.
async fn only(site: &Site, names: &[&str]) {
    let calm = [(site.just_now(), "calm", 1.0)];
    let rows: Vec<_> = names.iter().map(|n| (site.just_now(), *n, 150.0)).chain(calm).collect();
    site.land(&rows).await;
    site.rules.evaluate("backlog", &backlog_above_100()).await.unwrap();
}

/// Delivers minute by minute whatever is due.
async fn minutes(site: &Site, receiver: &Receiver, count: u64) {
    for _ in 0..count {
        site.rules.deliver(&receiver.channels(), 64).await.unwrap();
        site.minutes(1);
    }
}

#[tokio::test]
async fn a_receiver_that_refuses_twice_gets_the_same_message_until_it_accepts() {
    let site = Site::open("refuses").await;
    let receiver = Receiver::start(&[DOWN, DOWN, OK]).await;
    surge(&site, 1).await;
    let first = site.rules.deliver(&receiver.channels(), 64).await.unwrap();
    assert_eq!(first, Delivered { accepted: 0, later: 1, dead: 0 });
    let due = site.outbox.next_due(EFFECT_KIND).await.unwrap().unwrap();
    let wait = (due - site.now()).num_milliseconds();
    assert!((5_000..=5_500).contains(&wait), "5 s and some jitter: {wait} ms");
    site.minutes(1);
    site.rules.deliver(&receiver.channels(), 64).await.unwrap();
    let due = site.outbox.next_due(EFFECT_KIND).await.unwrap().unwrap();
    let wait = (due - site.now()).num_seconds();
    assert!((300..=330).contains(&wait), "5 min and some jitter: {wait} s");
    minutes(&site, &receiver, 10).await;

    let got = receiver.all();
    assert_eq!(got.iter().map(|r| r.status).collect::<Vec<_>>(), [503, 503, 200]);
    assert!(got.iter().all(|r| r.id == got[0].id && r.body == got[0].body), "one message, one id");
    assert!(!got[0].id.contains('.'));
    assert!(got[0].timestamp < got[1].timestamp, "the time is that of the attempt");
    assert!(got.iter().all(|r| r.is_signed()));
    let body = got[0].json();
    assert_eq!((&body["type"], &body["data"]["labels"]["process"]), (&json!("alert.firing"), &json!("p000")));
    assert_eq!((&body["data"]["value"], &body["data"]["high"]), (&json!(150.0), &json!(100.0)));

    let page = site.rules.alerts(&AlertFilter::default()).await.unwrap();
    let alert = site.rules.alert(&page.alerts[0].id).await.unwrap().unwrap();
    let delivery = &alert.deliveries[0];
    assert_eq!((delivery.state.as_str(), delivery.attempts, delivery.next_at), ("accepted", 3, None));
    let tries: Vec<_> = delivery.history.iter().map(|t| (t.status.unwrap(), t.response.as_str())).collect();
    assert_eq!(tries, [(503, "out to tea\n"), (503, "out to tea\n"), (200, "ok")]);
}

#[tokio::test]
async fn a_kill_between_sending_and_recording_sends_the_same_message_again() {
    let mut site = Site::open("kill").await;
    let receiver = Receiver::start(&[OK]).await;
    surge(&site, 8).await;
    // What deliver() does up to the moment after the receiver has accepted.
    let claimed = site.outbox.claim(EFFECT_KIND, 64).await.unwrap();
    assert_eq!(claimed.len(), 8);
    let (bound, _) =
        site.rules.bind("ops", claimed, false, Rest { until: None, own_waits: false }).await.unwrap();
    assert_eq!(bound.len(), 1, "one digest");
    let channels = receiver.channels();
    let ChannelSpec::Webhook(hook) = &channels["ops"];
    let sent = &bound[0];
    webhook::send(hook, &site.dir, &site.rules.outbound, &sent.id, site.now(), &sent.body).await;
    site.restart().await;
    // Another alert in between does not change what the message is.
    site.minutes(1);
    surge(&site, 9).await;
    minutes(&site, &receiver, 2).await;
    let got = receiver.all();
    assert_eq!(got.len(), 3, "{got:#?}");
    assert_eq!((&got[0].id, &got[0].body), (&got[1].id, &got[1].body));
    assert_ne!(got[2].id, got[0].id);
    assert_eq!(site.outbox.next_due(EFFECT_KIND).await.unwrap(), None);
}

#[tokio::test]
async fn after_an_hour_of_outage_every_episode_is_told_without_a_storm() {
    let site = Site::open("outage").await;
    let receiver = Receiver::start(&[DOWN]).await;
    // Each minute another process has too much to do, and the one before is well again.
    let names: Vec<String> = (0..60).map(|n| format!("p{n:03}")).collect();
    for name in &names {
        only(&site, &[name]).await;
        minutes(&site, &receiver, 1).await;
    }
    only(&site, &[]).await;
    let during = receiver.all().len();
    assert!(during <= 30, "{during} attempts in an hour, for 119 waiting effects");
    receiver.answer(OK);
    minutes(&site, &receiver, 20).await;

    let accepted = receiver.accepted();
    let told = |kind: &str| -> BTreeSet<String> {
        let of_kind = accepted.iter().filter(|r| r.json()["type"] == kind);
        of_kind.flat_map(|r| r.alerts()).collect()
    };
    let filter = AlertFilter { state: Some("all".into()), limit: Some(200), ..AlertFilter::default() };
    let all: BTreeSet<String> =
        site.rules.alerts(&filter).await.unwrap().alerts.into_iter().map(|a| a.id).collect();
    assert_eq!(all.len(), 60);
    assert_eq!(told("alert.firing"), all, "every episode is told");
    assert_eq!(told("alert.resolved"), all, "and its end");
    assert!(accepted.len() <= 20, "{} messages for 120 effects", accepted.len());
    let ids: BTreeSet<&String> = accepted.iter().map(|r| &r.id).collect();
    assert_eq!(ids.len(), accepted.len(), "nothing is accepted twice");
    assert_eq!(site.outbox.next_due(EFFECT_KIND).await.unwrap(), None);
}

#[tokio::test]
async fn the_end_of_an_alert_is_never_told_before_its_beginning() {
    let site = Site::open("order").await;
    let receiver = Receiver::start(&[DOWN, DOWN, OK]).await;
    only(&site, &["expense"]).await;
    minutes(&site, &receiver, 2).await;
    only(&site, &[]).await;
    minutes(&site, &receiver, 15).await;
    let kinds: Vec<Value> = receiver.accepted().iter().map(|r| r.json()["type"].clone()).collect();
    assert_eq!(kinds, ["alert.firing", "alert.resolved"]);
}

#[tokio::test]
async fn two_hundred_series_at_once_are_one_digest_and_three_are_three_messages() {
    let site = Site::open("storm").await;
    let receiver = Receiver::start(&[OK]).await;
    surge(&site, 200).await;
    minutes(&site, &receiver, 1).await;
    let got = receiver.all();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].json()["data"]["count"], 200);
    assert!(got[0].body.len() < 20_000);
    assert_eq!(got[0].alerts().len(), 200);
    let page = site.rules.alerts(&AlertFilter::default()).await.unwrap();
    let alert = site.rules.alert(&page.alerts[7].id).await.unwrap().unwrap();
    assert_eq!((alert.deliveries[0].state.as_str(), alert.deliveries[0].history.len()), ("accepted", 1));

    let few = Site::open("few").await;
    surge(&few, 3).await;
    minutes(&few, &receiver, 1).await;
    assert_eq!(receiver.all().len(), 4);
}

#[tokio::test]
async fn what_someone_looks_after_already_is_not_announced_nor_its_end() {
    let site = Site::open("acked").await;
    let receiver = Receiver::start(&[OK]).await;
    only(&site, &["expense"]).await;
    let page = site.rules.alerts(&AlertFilter::default()).await.unwrap();
    site.rules.ack(&page.alerts[0].id, &Principal::system(), "seen").await.unwrap();
    minutes(&site, &receiver, 1).await;
    only(&site, &[]).await;
    minutes(&site, &receiver, 3).await;
    assert!(receiver.all().is_empty());
    assert_eq!(site.count("SELECT COUNT(*) FROM deliveries WHERE state = 'muted'").await, 2);
    assert_eq!(site.outbox.next_due(EFFECT_KIND).await.unwrap(), None);
}

#[tokio::test]
async fn a_receiver_that_is_gone_closes_its_channel_until_it_gets_another_address() {
    let gone = "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let site = Site::open("gone").await;
    let old = Receiver::start(&[gone]).await;
    only(&site, &["a", "b"]).await;
    minutes(&site, &old, 1).await;
    only(&site, &["a", "b", "c"]).await;
    minutes(&site, &old, 3).await;
    assert_eq!(old.all().len(), 1, "nothing more is sent there");
    assert_eq!(
        site.count("SELECT COUNT(*) FROM deliveries WHERE state = 'dead' AND error LIKE '%410%'").await,
        3
    );
    let new = Receiver::start(&[OK]).await;
    only(&site, &["a", "b", "c", "d"]).await;
    minutes(&site, &new, 1).await;
    assert_eq!(new.all().len(), 1);
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 900\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let site = Site::open("busy").await;
    let receiver = Receiver::start(&[busy, OK]).await;
    only(&site, &["a"]).await;
    minutes(&site, &receiver, 5).await;
    only(&site, &["a", "b"]).await;
    minutes(&site, &receiver, 9).await;
    assert_eq!(receiver.all().len(), 1, "neither this message nor another one");
    minutes(&site, &receiver, 5).await;
    assert_eq!(receiver.accepted().len(), 2);
}

#[tokio::test]
async fn a_message_that_nobody_ever_takes_is_given_up_after_ten_attempts_where_all_can_see() {
    let site = Site::open("dead").await;
    let receiver = Receiver::start(&[DOWN]).await;
    only(&site, &["a"]).await;
    let mut moments = vec![];
    while let Some(due) = site.outbox.next_due(EFFECT_KIND).await.unwrap() {
        assert!(moments.len() < 40, "{moments:?}");
        site.clock.set(due.max(site.now()));
        moments.push(site.now());
        site.rules.deliver(&receiver.channels(), 64).await.unwrap();
    }
    assert_eq!(receiver.all().len(), 10);
    assert!(*moments.last().unwrap() - at(NOW) > TimeDelta::hours(75), "{moments:?}");
    let page = site.rules.alerts(&AlertFilter::default()).await.unwrap();
    let delivery = &site.rules.alert(&page.alerts[0].id).await.unwrap().unwrap().deliveries[0];
    assert_eq!((delivery.state.as_str(), delivery.history.len()), ("dead", 10));
    assert!(delivery.history[9].error.contains("503"));
}

#[tokio::test]
async fn a_channel_that_is_not_there_or_may_not_be_called_is_said_and_not_forgotten() {
    let site = Site::open("nowhere").await;
    let receiver = Receiver::start(&[OK]).await;
    only(&site, &["a"]).await;
    let given_up = site.rules.deliver(&BTreeMap::new(), 64).await.unwrap();
    assert_eq!(given_up.dead, 1);
    assert_eq!(site.count("SELECT COUNT(*) FROM deliveries WHERE error LIKE '%no channel `ops`%'").await, 1);

    only(&site, &["a", "b"]).await;
    let spec = json!({"webhook": {"url": "http://10.1.2.3/hook", "secret": "file:secret"}});
    let inside = BTreeMap::from([("ops".to_owned(), serde_json::from_value(spec).unwrap())]);
    let refused = site.rules.deliver(&inside, 64).await.unwrap();
    assert_eq!((refused.later, refused.dead), (1, 0), "it may be allowed by the next attempt");
    site.minutes(1);
    minutes(&site, &receiver, 1).await;
    assert_eq!(receiver.accepted().len(), 1);
}

/// Deliveries in this state.
async fn in_state(site: &Site, state: &str) -> Vec<crate::Sent> {
    let filter = DeliveryFilter { state: Some(state.into()), ..DeliveryFilter::default() };
    site.rules.deliveries(&filter).await.unwrap().deliveries
}

#[tokio::test]
async fn a_message_that_is_refused_rests_and_holds_nobody_up() {
    let site = Site::open("poison").await;
    let receiver = Receiver::start(&[OK]).await;
    receiver.refuse("north", BAD);
    only(&site, &["north"]).await;
    minutes(&site, &receiver, 1).await;
    only(&site, &["north", "south"]).await;
    let told = site.rules.deliver(&receiver.channels(), 64).await.unwrap();
    assert_eq!(told, Delivered { accepted: 1, later: 0, dead: 0 }, "south goes at once");
    minutes(&site, &receiver, 60).await;
    assert_eq!(receiver.all().len(), 2, "what is refused is not tried again and again");
    let dead = in_state(&site, "dead").await;
    assert_eq!((dead.len(), dead[0].status, dead[0].rule.as_deref()), (1, Some(400), Some("backlog")));
    assert!(dead[0].error.contains("guanlan delivery resend"), "{}", dead[0].error);
    let tries = site.rules.tries(&dead[0].id).await.unwrap();
    assert_eq!((tries.len(), tries[0].response.as_str()), (1, "what"));

    receiver.refuse("nothing", BAD);
    let again = site.rules.resend(&dead[0].id).await.unwrap();
    assert_eq!((again.state.as_str(), again.error.as_str()), ("waiting", ""));
    minutes(&site, &receiver, 1).await;
    assert_eq!(receiver.accepted().last().unwrap().id, dead[0].id, "under its id");
    assert!(in_state(&site, "dead").await.is_empty());
    assert!(site.rules.resend("nobody").await.unwrap_err().to_string().contains("guanlan delivery list"));
}

#[tokio::test]
async fn one_refused_alert_does_not_keep_the_others_of_its_digest() {
    let site = Site::open("poisoned-digest").await;
    let receiver = Receiver::start(&[OK]).await;
    receiver.refuse("p013", BAD);
    surge(&site, 40).await;
    let begun = site.now();
    for _ in 0..20 {
        site.rules.deliver(&receiver.channels(), 64).await.unwrap();
        site.seconds(1);
    }
    let told: BTreeSet<String> = receiver
        .accepted()
        .iter()
        .flat_map(|r| {
            let data = r.json()["data"].clone();
            let all = data["alerts"].as_array().cloned().unwrap_or_else(|| vec![data]);
            all.into_iter().map(|a| a["labels"]["process"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(told.len(), 39, "{told:?}");
    assert!(!told.contains("p013"));
    assert_eq!(in_state(&site, "dead").await.len(), 1);
    assert!(in_state(&site, "waiting").await.is_empty());
    assert!(site.now() - begun < TimeDelta::minutes(1));
    assert!(receiver.all().len() < 20, "{} messages", receiver.all().len());
    assert_eq!(site.outbox.next_due(EFFECT_KIND).await.unwrap(), None);
}

#[tokio::test]
async fn rights_that_are_missing_are_waited_for_without_holding_others_up() {
    let lost = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let site = Site::open("deployed").await;
    let receiver = Receiver::start(&[OK]).await;
    receiver.refuse("north", lost);
    only(&site, &["north"]).await;
    minutes(&site, &receiver, 1).await;
    only(&site, &["north", "south"]).await;
    site.rules.deliver(&receiver.channels(), 64).await.unwrap();
    assert_eq!(receiver.accepted().len(), 1, "south goes at once");
    receiver.refuse("nothing", lost);
    minutes(&site, &receiver, 40).await;
    assert_eq!(receiver.accepted().len(), 2, "the receiver was being deployed");
}

#[tokio::test]
async fn a_message_that_breaks_its_receiver_delays_the_others_by_seconds_only() {
    let site = Site::open("crash").await;
    let receiver = Receiver::start(&[OK]).await;
    receiver.refuse("north", DOWN);
    only(&site, &["north"]).await;
    site.rules.deliver(&receiver.channels(), 64).await.unwrap();
    for n in 0..20 {
        let names: Vec<String> = (0..=n).map(|k| format!("p{k:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).chain(["north"]).collect();
        only(&site, &names).await;
        let before = receiver.accepted().len();
        for _ in 0..8 {
            site.rules.deliver(&receiver.channels(), 64).await.unwrap();
            site.seconds(1);
        }
        assert!(receiver.accepted().len() > before, "p{n:02} is late");
    }
}

#[tokio::test]
async fn waits_are_followed_as_they_are_written() {
    let site = Site::open("as-written").await;
    let receiver = Receiver::start(&[DOWN]).await;
    let channels = receiver.channels_with(json!({"retry": ["2s", "3s", "4s"]}));
    only(&site, &["a", "b"]).await;
    let begun = site.now();
    let mut tried: Vec<(i64, String)> = vec![];
    for second in 0..30 {
        site.rules.deliver(&channels, 64).await.unwrap();
        let all = receiver.all();
        tried.extend(all[tried.len()..].iter().map(|r| (second, r.id.clone())));
        site.seconds(1);
    }
    assert!(site.now() > begun);
    let first = &tried[0].1;
    let of = |id: &String| tried.iter().filter(|(_, i)| i == id).map(|(s, _)| *s).collect::<Vec<_>>();
    assert_eq!(of(first), [0, 2, 5, 9], "{tried:?}");
    let second = tried.iter().map(|(_, id)| id).find(|id| *id != first).unwrap();
    let at = of(second);
    assert_eq!(at.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>(), [2, 3, 4], "{tried:?}");
    assert!(at[0] <= 4, "a new message waits no longer than the waits say: {tried:?}");
    assert_eq!(in_state(&site, "dead").await.len(), 2);
}

#[tokio::test]
async fn six_hundred_groups_at_once_are_all_told_in_a_few_messages() {
    let site = Site::open("storm600").await;
    let receiver = Receiver::start(&[OK]).await;
    surge(&site, 600).await;
    minutes(&site, &receiver, 1).await;
    let got = receiver.all();
    let told: BTreeSet<String> = got.iter().flat_map(|r| r.alerts()).collect();
    assert_eq!(told.len(), 600);
    assert!(got.len() <= 12 && got.iter().all(|r| r.body.len() < 20_000 && r.is_signed()), "{}", got.len());
    assert!(got.iter().all(|r| r.json()["data"]["total"] == 600));
    assert!(in_state(&site, "waiting").await.is_empty());
    let first = in_state(&site, "accepted").await;
    assert_eq!(first.iter().map(|sent| sent.alerts).sum::<i64>(), 600);
}

#[tokio::test]
async fn a_rule_that_is_removed_ends_its_alerts_where_they_were_told() {
    let site = Site::open("removed").await;
    let receiver = Receiver::start(&[OK]).await;
    only(&site, &["a"]).await;
    minutes(&site, &receiver, 1).await;
    assert_eq!(site.rules.retire(&["another"]).await.unwrap(), 1);
    assert_eq!(site.rules.retire(&["another"]).await.unwrap(), 0);
    minutes(&site, &receiver, 1).await;
    let last = receiver.all().pop().unwrap().json();
    assert_eq!((&last["type"], &last["data"]["ending"]), (&json!("alert.resolved"), &json!("rule_removed")));
    assert_eq!(last["data"]["labels"], json!({"process": "a", "team": "ops"}));
    assert_eq!((&last["data"]["fired_value"], &last["data"]["value"]), (&json!(150.0), &Value::Null));
    assert_eq!(last["data"]["note"], "the rule was removed");
}

#[tokio::test]
async fn the_message_of_an_end_carries_what_was_seen_then() {
    let site = Site::open("end").await;
    let receiver = Receiver::start(&[OK]).await;
    only(&site, &["a"]).await;
    minutes(&site, &receiver, 5).await;
    site.land(&[(site.just_now(), "a", 20.0)]).await;
    site.rules.evaluate("backlog", &backlog_above_100()).await.unwrap();
    let ended = site.now();
    minutes(&site, &receiver, 2).await;
    let [fired, over] = &receiver.all()[..] else { panic!("two messages") };
    let (fired, over) = (fired.json()["data"].clone(), over.json()["data"].clone());
    assert_eq!(
        (&fired["value"], &fired["reason"]["en"]),
        (&json!(150.0), &json!("it is 150, above the limit of 100"))
    );
    assert_eq!((&over["value"], &over["fired_value"]), (&json!(20.0), &json!(150.0)));
    assert_eq!(over["resolved_at"], json!(ended));
    assert!(over["value_at"].as_str() > fired["fired_at"].as_str() || over["value_at"] == fired["value_at"]);
    assert_eq!(over["summary"]["zh"], "a 在途 20 件，上限 100");
    let page = site.rules.alerts(&AlertFilter::default()).await.unwrap();
    let alert = &page.alerts[0];
    assert_eq!(
        (alert.value, alert.fired_value, alert.resolved_value),
        (Some(150.0), Some(150.0), Some(20.0))
    );
}

#[tokio::test]
async fn a_closed_channel_is_seen_tested_and_opened_again() {
    let gone = "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let site = Site::open("reopen").await;
    let receiver = Receiver::start(&[gone]).await;
    let channels = receiver.channels();
    only(&site, &["a"]).await;
    minutes(&site, &receiver, 1).await;
    let state = site.rules.channels(&channels).await.unwrap().remove(0);
    assert_eq!((state.state, state.dead, state.waiting), ("closed", 1, 0));
    assert!(state.reason.contains("410") && state.address.ends_with("/***"), "{state:?}");
    let dead = in_state(&site, "dead").await.remove(0);
    let refused = site.rules.resend(&dead.id).await.unwrap_err().to_string();
    assert!(refused.contains("guanlan channel reopen ops"), "{refused}");

    receiver.answer(OK);
    let test = site.rules.test_channel(&channels, "ops").await.unwrap();
    assert_eq!((test.accepted, test.status, test.response.as_str()), (true, Some(200), "ok"));
    assert_eq!(receiver.all().last().unwrap().json()["type"], "channel.test");
    assert!(receiver.all().last().unwrap().is_signed());
    assert!(site.rules.reopen_channel(&channels, "ops").await.unwrap());
    assert!(!site.rules.reopen_channel(&channels, "ops").await.unwrap());
    site.rules.resend(&dead.id).await.unwrap();
    minutes(&site, &receiver, 1).await;
    assert_eq!(receiver.accepted().last().unwrap().id, dead.id);
    let state = site.rules.channels(&channels).await.unwrap().remove(0);
    assert_eq!((state.state, state.dead), ("open", 0));
    let wrong = site.rules.test_channel(&channels, "opps").await.unwrap_err().to_string();
    assert!(wrong.contains("did you mean ops?"), "{wrong}");
}

#[tokio::test]
async fn an_address_by_reference_is_read_each_time_and_never_told() {
    let site = Site::open("secret-address").await;
    let receiver = Receiver::start(&[BAD]).await;
    let url = format!("{}/t0ken-t0ken-t0ken?key=t0ken-t0ken-t0ken", receiver.url);
    let spec = json!({"webhook": {"url": "file:address", "secret": "file:secret"}});
    let channels = BTreeMap::from([("ops".to_owned(), serde_json::from_value(spec).unwrap())]);
    only(&site, &["a"]).await;
    let first = site.rules.deliver(&channels, 64).await.unwrap();
    assert_eq!(first.later, 1, "the file may come");
    std::fs::write(site.dir.join("address"), format!("{url}\n")).unwrap();
    site.minutes(1);
    site.rules.deliver(&channels, 64).await.unwrap();
    assert_eq!(receiver.all().len(), 1);
    let told = format!(
        "{:?} {:?} {:?}",
        site.rules.deliveries(&DeliveryFilter::default()).await.unwrap(),
        site.rules.channels(&channels).await.unwrap(),
        channels
    );
    assert!(!told.contains("t0ken"), "{told}");
}

#[tokio::test]
async fn pages_of_deliveries_show_each_once() {
    let site = Site::open("delivery-pages").await;
    let receiver = Receiver::start(&[OK]).await;
    for n in 0..7 {
        let names: Vec<String> = (0..=n).map(|k| format!("p{k}")).collect();
        only(&site, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        minutes(&site, &receiver, 1).await;
    }
    let mut filter = DeliveryFilter { limit: Some(3), ..DeliveryFilter::default() };
    let mut seen = vec![];
    loop {
        let page = site.rules.deliveries(&filter).await.unwrap();
        seen.extend(page.deliveries.into_iter().map(|d| d.id));
        match page.next {
            Some(next) => filter.before = Some(next),
            None => break,
        }
    }
    let unique: BTreeSet<&String> = seen.iter().collect();
    assert_eq!((seen.len(), unique.len()), (7, 7));
    let filter = DeliveryFilter { before: Some("x".into()), ..DeliveryFilter::default() };
    assert!(site.rules.deliveries(&filter).await.is_err());
}
