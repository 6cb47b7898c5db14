use std::sync::Arc;

use sqlx::{Column, Executor, Statement};
use store::SystemClock;

use super::*;

async fn audit() -> (Metadata, Audit) {
    let db = Metadata::memory().await.unwrap();
    let audit = Audit::open(db.clone(), Arc::new(SystemClock)).await.unwrap();
    (db, audit)
}

#[tokio::test]
async fn records_chain_also_when_written_at_once_and_read_newest_first() {
    let (_db, audit) = audit().await;
    let writers = (0..20).map(|i| {
        let audit = audit.clone();
        tokio::spawn(async move {
            audit.record(Event::new("li", "alert.ack", &format!("a{i}"), "ok").detail("seen").ip("::1")).await
        })
    });
    for task in writers.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    let found = audit.verify().await.unwrap();
    assert_eq!((found.good, found.broken_at), (20, None));
    let page = audit.page(None, 3).await.unwrap();
    assert_eq!(page.iter().map(|r| r.seq).collect::<Vec<_>>(), [20, 19, 18]);
    let page = audit.page(Some(18), 100).await.unwrap();
    assert_eq!((page[0].seq, page.len()), (17, 17));
}

#[tokio::test]
async fn a_record_that_was_changed_moved_or_removed_shows() {
    for (tampering, broken) in [
        ("UPDATE audit SET outcome = 'denied' WHERE seq = 3", 3),
        ("UPDATE audit SET actor = 'lia', action = 'lert.ack' WHERE seq = 2", 2),
        ("UPDATE audit SET at = at + 1 WHERE seq = 4", 4),
        ("DELETE FROM audit WHERE seq = 2", 3),
        ("DELETE FROM audit WHERE seq = 1", 2),
    ] {
        let (db, audit) = audit().await;
        for i in 0..5 {
            audit.record(Event::new("li", "alert.ack", &i.to_string(), "ok")).await.unwrap();
        }
        let before = audit.verify().await.unwrap();
        sqlx::query(tampering).execute(db.pool()).await.unwrap();
        let found = audit.verify().await.unwrap();
        assert_eq!(found.broken_at, Some(broken), "{tampering}");
        assert_ne!(found.head, before.head);
    }
}

#[tokio::test]
async fn an_end_that_was_cut_off_shows_against_the_kept_head() {
    let (db, audit) = audit().await;
    for i in 0..5 {
        audit.record(Event::new("li", "alert.ack", &i.to_string(), "ok")).await.unwrap();
    }
    let kept = audit.verify().await.unwrap();
    sqlx::query("DELETE FROM audit WHERE seq = 5").execute(db.pool()).await.unwrap();
    let found = audit.verify().await.unwrap();
    assert_eq!(found.broken_at, None);
    assert_ne!((found.good, found.head), (kept.good, kept.head));
}

#[tokio::test]
async fn the_system_tables_give_the_columns_that_they_name() {
    let (db, _audit) = audit().await;
    for (name, columns, sql) in crate::system_queries() {
        let prepared = db.pool().prepare(sqlx::SqlStr::from_static(sql)).await.unwrap();
        let found: Vec<&str> = prepared.columns().iter().map(|c| c.name()).collect();
        let named: Vec<&str> = columns.iter().map(|(n, _)| *n).collect();
        assert_eq!(found, named, "{name}");
    }
}
