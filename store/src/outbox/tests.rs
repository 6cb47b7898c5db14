use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::clock::{Clock, ManualClock};

struct Stage {
    db: Metadata,
    clock: Arc<ManualClock>,
    outbox: Outbox,
}

async fn stage() -> Stage {
    let db = Metadata::memory().await.unwrap();
    let clock = Arc::new(ManualClock::new("2026-03-02T01:00:00Z".parse().unwrap(), 1));
    let outbox = Outbox::open(db.clone(), clock.clone()).await.unwrap();
    Stage { db, clock, outbox }
}

impl Stage {
    fn effect(&self, id: &str) -> Effect {
        Effect { id: id.into(), kind: "deliver".into(), payload: json!({"to": id}), due: self.clock.now() }
    }

    async fn put(&self, effect: &Effect) {
        let mut tx = self.db.begin().await.unwrap();
        self.outbox.put(&mut tx, effect).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn an_effect_of_a_transaction_that_failed_never_existed() {
    let s = stage().await;
    let mut tx = s.db.begin().await.unwrap();
    s.outbox.put(&mut tx, &s.effect("a")).await.unwrap();
    tx.rollback().await.unwrap();
    assert!(s.outbox.claim("deliver", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_same_id_is_one_effect_even_after_it_was_done() {
    let s = stage().await;
    s.put(&s.effect("a")).await;
    s.put(&s.effect("a")).await;
    let claimed = s.outbox.claim("deliver", 10).await.unwrap();
    assert_eq!(claimed, [Claimed { effect: s.effect("a"), attempt: 1 }]);
    let mut tx = s.db.begin().await.unwrap();
    s.outbox.done(&mut tx, "a").await.unwrap();
    tx.commit().await.unwrap();
    s.put(&s.effect("a")).await;
    assert!(s.outbox.claim("deliver", 10).await.unwrap().is_empty());
    assert_eq!(s.outbox.next_due("deliver").await.unwrap(), None);
}

#[tokio::test]
async fn a_claim_whose_deliverer_vanished_is_handed_out_again_with_the_same_id() {
    let s = stage().await;
    s.put(&s.effect("a")).await;
    assert_eq!(s.outbox.claim("deliver", 10).await.unwrap().len(), 1);
    assert!(s.outbox.claim("deliver", 10).await.unwrap().is_empty(), "it is leased");
    assert_eq!(s.outbox.next_due("deliver").await.unwrap(), Some(s.clock.now() + CLAIM));
    s.clock.advance(CLAIM);
    let again = s.outbox.claim("deliver", 10).await.unwrap();
    assert_eq!((again[0].effect.id.as_str(), again[0].attempt), ("a", 2));
}

#[tokio::test]
async fn a_new_process_takes_over_claims_at_once() {
    let s = stage().await;
    s.put(&s.effect("a")).await;
    s.outbox.claim("deliver", 10).await.unwrap();
    let reopened = Outbox::open(s.db.clone(), s.clock.clone()).await.unwrap();
    assert_eq!(reopened.claim("deliver", 10).await.unwrap()[0].attempt, 2);
}

#[tokio::test]
async fn a_postponed_effect_waits_for_its_moment_and_a_dead_one_stays_to_be_seen() {
    let s = stage().await;
    s.put(&s.effect("a")).await;
    s.put(&s.effect("b")).await;
    s.outbox.claim("deliver", 10).await.unwrap();
    let due = s.clock.now() + Duration::from_secs(60);
    let mut tx = s.db.begin().await.unwrap();
    s.outbox.later(&mut tx, "a", due, "503").await.unwrap();
    s.outbox.dead(&mut tx, "b", "410 gone").await.unwrap();
    tx.commit().await.unwrap();
    assert!(s.outbox.claim("deliver", 10).await.unwrap().is_empty());
    assert_eq!(s.outbox.next_due("deliver").await.unwrap(), Some(due));
    s.clock.advance(Duration::from_secs(60));
    let again = s.outbox.claim("deliver", 10).await.unwrap();
    assert_eq!((again.len(), again[0].effect.id.as_str(), again[0].attempt), (1, "a", 2));
    let kept: (String, String) = sqlx::query_as("SELECT state, error FROM outbox WHERE id = 'b'")
        .fetch_one(s.db.pool())
        .await
        .unwrap();
    assert_eq!(kept, ("dead".into(), "410 gone".into()));
}

#[tokio::test]
async fn a_deliverer_that_waits_sees_what_is_committed_after_its_wake() {
    let s = stage().await;
    s.outbox.claim("deliver", 1).await.unwrap();
    let deliverer = tokio::spawn({
        let outbox = s.outbox.clone();
        async move {
            outbox.wait().await;
            outbox.claim("deliver", 1).await.unwrap()
        }
    });
    let mut tx = s.db.begin().await.unwrap();
    s.outbox.put(&mut tx, &s.effect("a")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    tx.commit().await.unwrap();
    let claimed = tokio::time::timeout(Duration::from_secs(10), deliverer).await.unwrap().unwrap();
    assert_eq!(claimed.len(), 1);
}

#[tokio::test]
async fn what_was_given_up_can_be_done_again_under_its_id() {
    let s = stage().await;
    s.put(&s.effect("a")).await;
    s.outbox.claim("deliver", 10).await.unwrap();
    let mut tx = s.db.begin().await.unwrap();
    s.outbox.dead(&mut tx, "a", "400").await.unwrap();
    assert!(s.outbox.revive(&mut tx, "a", s.clock.now()).await.unwrap());
    assert!(!s.outbox.revive(&mut tx, "unknown", s.clock.now()).await.unwrap());
    assert_eq!(s.outbox.payload(&mut tx, "a").await.unwrap(), Some(json!({"to": "a"})));
    assert_eq!(s.outbox.payload(&mut tx, "unknown").await.unwrap(), None);
    tx.commit().await.unwrap();
    let again = s.outbox.claim("deliver", 10).await.unwrap();
    assert_eq!((again[0].effect.id.as_str(), again[0].attempt), ("a", 2));
}
