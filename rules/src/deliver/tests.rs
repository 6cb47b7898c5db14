use std::collections::BTreeSet;

use access::Principal;
use chrono::TimeDelta;
use serde_json::{Value, json};

use super::*;
use crate::AlertFilter;
use crate::site::{DOWN, NOW, OK, Receiver, Site, at, backlog_above_100};

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
    let (bound, _) = site.rules.bind("ops", claimed, false, None).await.unwrap();
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
