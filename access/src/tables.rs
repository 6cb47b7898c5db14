//! The room's tables in the metadata database, and what of them is shown in the zone `system`.

use store::{Column, SystemQuery};

pub(crate) const ROOM: &str = "access";

pub(crate) const STEPS: [&str; 2] = [
    "
CREATE TABLE users (
  name TEXT PRIMARY KEY, display TEXT NOT NULL, roles TEXT NOT NULL, locale TEXT,
  password_hash TEXT NOT NULL, disabled BIGINT NOT NULL, created_at BIGINT NOT NULL,
  password_at BIGINT NOT NULL, last_login BIGINT);
CREATE TABLE sessions (
  token_hash TEXT PRIMARY KEY, user_name TEXT NOT NULL REFERENCES users (name), created_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL, ip TEXT NOT NULL, agent TEXT NOT NULL);
CREATE INDEX sessions_user ON sessions (user_name, created_at);
CREATE TABLE login_failures (id TEXT PRIMARY KEY, subject TEXT NOT NULL, failed_at BIGINT NOT NULL);
CREATE INDEX login_failures_subject ON login_failures (subject, failed_at);
CREATE TABLE audit (
  seq BIGINT PRIMARY KEY, at BIGINT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL,
  outcome TEXT NOT NULL, detail TEXT NOT NULL, ip TEXT NOT NULL, hash TEXT NOT NULL);
",
    "CREATE INDEX audit_actor ON audit (actor, action, at);",
];

/// Tables of the zone `system` that this room fills: name, columns, query on the metadata database. Newest rows
/// first: a reader sees only so many.
pub fn system_queries() -> Vec<SystemQuery> {
    use Column::*;
    vec![
        (
            "audit",
            vec![
                ("seq", Integer),
                ("at", Time),
                ("actor", Text),
                ("action", Text),
                ("object", Text),
                ("outcome", Text),
                ("detail", Text),
                ("ip", Text),
            ],
            "SELECT seq, at, actor, action, object, outcome, detail, ip FROM audit ORDER BY seq DESC",
        ),
        (
            "logins",
            vec![("at", Time), ("user_name", Text), ("outcome", Text), ("ip", Text), ("agent", Text)],
            "SELECT at, actor AS user_name, outcome, ip, detail AS agent FROM audit WHERE action = 'login' \
             ORDER BY seq DESC",
        ),
    ]
}
