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
    /// May hold more than one value may have.
    large: bool,
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
        let bounded = modifier >= 0 && matches!(type_name, "varchar" | "bpchar");
        let large = !bounded
            && match wire {
                Wire::Text => type_name != "name",
                Wire::Jsonb | Wire::Bytea => true,
                Wire::Cast => !SMALL.contains(&type_name),
                _ => false,
            };
        Column { name, kind, wire, required, large }
    }

    fn expression(&self) -> String {
        let name = column(&self.name, '"');
        match self.wire {
            Wire::Cast => format!("{name}::text"),
            _ => name,
        }
    }

    /// Told from the stored size where that says enough: it is compressed at most a hundredfold.
    fn is_too_large(&self) -> String {
        let name = column(&self.name, '"');
        let most = store::limits().value_bytes;
        match self.wire {
            Wire::Bytea => format!("octet_length({name}) > {most}"),
            _ => format!(
                "(pg_column_size({name}) > {} AND octet_length({name}::text) > {most})",
                (most / 256).min(1 << 16)
            ),
        }
    }
}

/// Types that travel as text and are short.
const SMALL: [&str; 17] = [
    "numeric", "inet", "cidr", "macaddr", "macaddr8", "interval", "time", "timetz", "money", "oid", "point",
    "box", "lseg", "line", "circle", "pg_lsn", "char",
];

/// The SELECT list: the columns, then the places of those whose value is too large and stays at the server, as
/// text with commas.
pub(super) fn list(columns: &[Column]) -> String {
    let mut list: Vec<String> = columns
        .iter()
        .map(|c| match c.large {
            true => format!("CASE WHEN {} THEN NULL ELSE {} END", c.is_too_large(), c.expression()),
            false => c.expression(),
        })
        .collect();
    let flags: Vec<String> = columns
        .iter()
        .enumerate()
        .filter(|(_, c)| c.large)
        .map(|(i, c)| format!("CASE WHEN {} THEN '{i}' END", c.is_too_large()))
        .collect();
    list.push(match flags.is_empty() {
        true => "NULL::text".into(),
        false => format!("nullif(concat_ws(',', {}), '')", flags.join(", ")),
    });
    list.join(", ")
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
