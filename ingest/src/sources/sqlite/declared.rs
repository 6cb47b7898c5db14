//! What the columns of a table or query are declared as, and of which class a cursor value is.

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, TypeInfo};

use crate::source::Cursor;
use crate::sources::sql::columns::Kind;

/// One column.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The declared type, for messages.
    pub(super) declared: String,
}

/// The columns of a relation.
pub(super) async fn columns(db: &mut SqliteConnection, from: &str) -> Result<Vec<Column>, sqlx::Error> {
    let prepared = (&mut *db).prepare(AssertSqlSafe(format!("SELECT * FROM {from}")).into_sql_str()).await?;
    let told: Vec<(String, String)> =
        prepared.columns().iter().map(|c| (c.name().to_owned(), c.type_info().name().to_owned())).collect();
    drop(prepared);
    let written = as_written(db, from).await.unwrap_or_default();
    Ok(told
        .into_iter()
        .enumerate()
        .map(|(i, (name, told))| {
            // The prepared statement forgets digits; a view over the relation tells the type as it was written.
            let decimal = written.get(i).filter(|w| matches!(kind(w), Kind::Decimal(..)));
            let declared = decimal.cloned().unwrap_or(told);
            Column { name, kind: kind(&declared), declared }
        })
        .collect())
}

/// The declared types of a relation's columns, in full.
async fn as_written(db: &mut SqliteConnection, from: &str) -> Result<Vec<String>, sqlx::Error> {
    (&mut *db).execute("PRAGMA temp_store = MEMORY").await.ok();
    let view = format!("CREATE TEMP VIEW guanlan_columns AS SELECT * FROM {from}");
    (&mut *db).execute(AssertSqlSafe(view)).await?;
    let types = sqlx::query_scalar("SELECT type FROM pragma_table_info('guanlan_columns') ORDER BY cid")
        .fetch_all(&mut *db)
        .await;
    db.execute("DROP VIEW temp.guanlan_columns").await?;
    types
}

/// What a declared type lands as, after SQLite's own affinity rules. Dates are text in SQLite.
fn kind(declared: &str) -> Kind {
    let declared = declared.trim().to_uppercase();
    match declared.as_str() {
        "BOOLEAN" | "BOOL" => Kind::Bool,
        "BLOB" => Kind::Binary,
        d if d.contains("INT") => Kind::Int,
        d if d.contains("CHAR") || d.contains("CLOB") || d.contains("TEXT") => Kind::Text,
        d if d.contains("REAL") || d.contains("FLOA") || d.contains("DOUB") => Kind::Float,
        d => digits(d).map_or(Kind::Text, Kind::decimal),
    }
}

/// Digits behind the point of `NUMERIC(10,2)` and its like; without digits it is text, as in PostgreSQL.
fn digits(declared: &str) -> Option<i8> {
    let (word, rest) = declared.split_once('(')?;
    if !matches!(word.trim(), "NUMERIC" | "DECIMAL" | "DEC" | "NUMBER") {
        return None;
    }
    let mut parts = rest.trim_end().strip_suffix(')')?.split(',').map(|p| p.trim().parse::<i8>().ok());
    let precision = parts.next()??;
    let scale = parts.next().unwrap_or(Some(0))?;
    (parts.next().is_none() && (1..=38).contains(&precision) && (0..=precision).contains(&scale))
        .then_some(scale)
}

/// A cursor from before cursors kept the class of their value: as text, a number finds no number behind it.
pub(super) async fn with_its_class(
    db: &mut SqliteConnection,
    from: &str,
    column: &str,
    after: Option<Cursor>,
) -> Option<Cursor> {
    let mut after = after?;
    let text = after.get("at").and_then(Value::as_str).unwrap_or_default().to_owned();
    if after.get("typed").is_some() || text.parse::<f64>().is_err() {
        return Some(after);
    }
    let sql = format!("SELECT typeof({column}) FROM {from} WHERE CAST({column} AS TEXT) = ? LIMIT 1");
    let class: Option<String> = sqlx::query(AssertSqlSafe(sql))
        .bind(&text)
        .fetch_optional(db)
        .await
        .ok()
        .flatten()
        .and_then(|row| row.try_get(0).ok());
    match (class.as_deref(), text.parse::<i64>(), text.parse::<f64>()) {
        (Some("integer"), Ok(n), _) => after["at"] = json!(n),
        (Some("real"), _, Ok(n)) => after["at"] = json!(n),
        _ => {}
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_follow_affinity_and_keep_digits() {
        for (declared, expected) in [
            ("NUMERIC(10,2)", Kind::Decimal(38, 2)),
            ("decimal( 18 , 4 )", Kind::Decimal(38, 4)),
            ("DECIMAL(10)", Kind::Decimal(38, 0)),
            ("NUMERIC", Kind::Text),
            ("NUMERIC(50,2)", Kind::Text),
            ("DATETIME", Kind::Text),
            ("VARCHAR(20)", Kind::Text),
            ("BIGINT", Kind::Int),
            ("double precision", Kind::Float),
            ("", Kind::Text),
        ] {
            assert_eq!(kind(declared), expected, "{declared}");
        }
    }
}
