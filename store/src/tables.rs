//! What a room shows of its own tables in the metadata database. The warehouse makes tables of the zone
//! `system` from it.

/// The type of a shown column. A time is a BIGINT of microseconds UTC in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Text,
    Integer,
    Float,
    Time,
}

/// Name, columns in order, and the SELECT on the metadata database that fills them.
pub type SystemQuery = (&'static str, Vec<(&'static str, Column)>, &'static str);

/// Tables of the zone `system` that this room fills.
pub fn system_queries() -> Vec<SystemQuery> {
    use Column::*;
    vec![
        (
            "jobs",
            vec![
                ("id", Text),
                ("kind", Text),
                ("key", Text),
                ("queued_at", Time),
                ("started_at", Time),
                ("finished_at", Time),
                ("attempt", Integer),
                ("outcome", Text),
                ("message", Text),
            ],
            "SELECT id, kind, key, queued_at, started_at, finished_at, attempt, outcome, message FROM job_runs \
             ORDER BY finished_at DESC",
        ),
        (
            "queue",
            vec![
                ("kind", Text),
                ("key", Text),
                ("state", Text),
                ("due", Time),
                ("attempt", Integer),
                ("queued_at", Time),
                ("started_at", Time),
            ],
            "SELECT kind, key, state, due, attempt, queued_at, started_at FROM jobs",
        ),
        (
            "effects",
            vec![
                ("id", Text),
                ("kind", Text),
                ("state", Text),
                ("due", Time),
                ("attempt", Integer),
                ("error", Text),
                ("created_at", Time),
                ("updated_at", Time),
            ],
            "SELECT id, kind, state, due, attempt, error, created_at, updated_at FROM outbox \
             ORDER BY updated_at DESC",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sqlx::{Column as _, Executor, Statement};

    use super::*;
    use crate::{Metadata, Outbox, Queue, SystemClock};

    #[tokio::test]
    async fn every_query_gives_the_columns_that_it_names() {
        let db = Metadata::memory().await.unwrap();
        Queue::open(db.clone(), Arc::new(SystemClock)).await.unwrap();
        Outbox::open(db.clone(), Arc::new(SystemClock)).await.unwrap();
        for (name, columns, sql) in system_queries() {
            let prepared = db.pool().prepare(sqlx::SqlStr::from_static(sql)).await.unwrap();
            let found: Vec<&str> = prepared.columns().iter().map(|c| c.name()).collect();
            let named: Vec<&str> = columns.iter().map(|(n, _)| *n).collect();
            assert_eq!(found, named, "{name}");
        }
    }
}
