//! Which columns a table or query has, and how each travels.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, TypeInfo};

use crate::sources::sql::column;
use crate::sources::sql::columns::Kind;

/// How a value is written in the binary copy format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Text,
    /// One version byte, then text.
    Jsonb,
    Uuid,
    Bytea,
    Date,
    Time,
    Numeric,
    /// No binary form that we read: cast to text by the server.
    Cast,
}

/// One column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) wire: Wire,
    /// NOT NULL.
    pub(super) required: bool,
}

impl Column {
    fn new(name: String, type_name: &str, modifier: i32, required: bool) -> Self {
        let (wire, kind) = match type_name {
            "bool" => (Wire::Bool, Kind::Bool),
            "int2" => (Wire::Int2, Kind::Int),
            "int4" => (Wire::Int4, Kind::Int),
            "int8" => (Wire::Int8, Kind::Int),
            "float4" => (Wire::Float4, Kind::Float),
            "float8" => (Wire::Float8, Kind::Float),
            "text" | "varchar" | "bpchar" | "name" | "json" => (Wire::Text, Kind::Text),
            "jsonb" => (Wire::Jsonb, Kind::Text),
            "uuid" => (Wire::Uuid, Kind::Text),
            "bytea" => (Wire::Bytea, Kind::Binary),
            "date" => (Wire::Date, Kind::Date),
            "timestamp" => (Wire::Time, Kind::Clock),
            "timestamptz" => (Wire::Time, Kind::Instant),
            "numeric" => match scale(modifier) {
                Some(scale) => (Wire::Numeric, Kind::decimal(scale)),
                None => (Wire::Cast, Kind::Text),
            },
            _ => (Wire::Cast, Kind::Text),
        };
        Column { name, kind, wire, required }
    }

    /// The column in the SELECT list.
    pub(super) fn expression(&self) -> String {
        let name = column(&self.name, '"');
        match self.wire {
            Wire::Cast => format!("{name}::text"),
            _ => name,
        }
    }
}

/// Digits behind the point of a constrained numeric that fits 38 digits.
fn scale(modifier: i32) -> Option<i8> {
    let packed = modifier.checked_sub(4).filter(|m| *m >= 0)?;
    let (precision, scale) = (packed >> 16 & 0xffff, packed & 0x7ff);
    (precision <= 38 && scale <= precision).then_some(scale as i8)
}

/// The columns of a quoted table name; none when it does not exist.
pub(super) async fn of_table(db: &mut PgConnection, table: &str) -> Result<Vec<Column>, sqlx::Error> {
    let sql = "SELECT a.attname::text, t.typname::text, a.atttypmod, a.attnotnull FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
               WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
    let rows = sqlx::query(sql).bind(table).fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            Ok(Column::new(row.try_get(0)?, &row.try_get::<String, _>(1)?, row.try_get(2)?, row.try_get(3)?))
        })
        .collect()
}

/// The columns of a query; digits of a numeric are not known for an expression, so it travels as text.
pub(super) async fn of_query(db: &mut PgConnection, query: &str) -> Result<Vec<Column>, sqlx::Error> {
    let sql = format!("SELECT * FROM ({}) AS q LIMIT 0", query.trim().trim_end_matches(';'));
    let prepared = db.prepare(AssertSqlSafe(sql).into_sql_str()).await?;
    Ok(prepared
        .columns()
        .iter()
        .map(|c| Column::new(c.name().to_owned(), &c.type_info().name().to_lowercase(), -1, false))
        .collect())
}
