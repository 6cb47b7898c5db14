//! Which columns a table or query has, what they land as and how they are asked for.

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Column as _, Executor, Row, SqlSafeStr, Statement, TypeInfo};

use crate::sources::sql::columns::Kind;
use crate::sources::sql::{column, quoted, quoted_table};

/// One column.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// How the server writes it, around the column's name.
    written: Option<(&'static str, &'static str)>,
    /// A whole number without a sign.
    pub(super) unsigned: bool,
    /// A decimal, whatever it lands as.
    pub(super) is_decimal: bool,
    /// A float of 32 bits.
    pub(super) single: bool,
    /// May hold more than one value may have.
    large: bool,
}

impl Column {
    fn new(name: String, declared: &str, is_text: bool, scale: Option<i8>) -> Self {
        let (kind, written) = if is_text { (Kind::Text, None) } else { kind(declared, scale) };
        Column {
            name,
            kind,
            unsigned: declared.ends_with("UNSIGNED") || written == UNSIGNED,
            is_decimal: declared == "DECIMAL",
            single: declared == "FLOAT",
            large: !declared.starts_with("TINY")
                && ["TEXT", "BLOB", "JSON", "GEOMETRY"].iter().any(|part| declared.contains(part)),
            written,
        }
    }

    fn value(&self) -> String {
        let name = column(&self.name, '`');
        match self.written {
            Some((before, after)) => format!("{before}{name}{after}"),
            None => name,
        }
    }

    fn is_too_large(&self) -> String {
        format!("OCTET_LENGTH({}) > {}", self.value(), store::limits().value_bytes)
    }
}

const SIGNED: Option<(&str, &str)> = Some(("CAST(", " AS SIGNED)"));
const UNSIGNED: Option<(&str, &str)> = Some(("CAST(", " AS UNSIGNED)"));
const CHAR: Option<(&str, &str)> = Some(("CAST(", " AS CHAR)"));
const WKT: Option<(&str, &str)> = Some(("ST_AsText(", ")"));

/// The SELECT list: the columns, then the places of those whose value is too large and stays at the server, as
/// text with commas.
pub(super) fn list(columns: &[Column]) -> String {
    let mut list: Vec<String> = columns
        .iter()
        .map(|c| match (c.large, c.written) {
            (true, _) => {
                format!("IF({}, NULL, {}) AS {}", c.is_too_large(), c.value(), quoted(&c.name, '`'))
            }
            (false, Some(_)) => format!("{} AS {}", c.value(), quoted(&c.name, '`')),
            (false, None) => c.value(),
        })
        .collect();
    let flags: Vec<String> = columns
        .iter()
        .enumerate()
        .filter(|(_, c)| c.large)
        .map(|(i, c)| format!("IF({}, '{i}', NULL)", c.is_too_large()))
        .collect();
    list.push(if flags.is_empty() { "''".into() } else { format!("CONCAT_WS(',', {})", flags.join(", ")) });
    list.join(", ")
}

/// The columns of a table or query, the relation to read them from, and what to say of them. The digits of
/// decimals are known for tables only.
pub(super) async fn columns(
    db: &mut MySqlConnection,
    from: &str,
    table: Option<&str>,
) -> Result<(Vec<Column>, String, Vec<String>), sqlx::Error> {
    let mut said = Vec::new();
    let mut from = from.to_owned();
    let described = match described(db, &from).await {
        // A type that the driver does not know: its bytes land as text, and the other columns as ever.
        Err(sqlx::Error::Protocol(message)) if message.contains("column type") && table.is_some() => {
            let (relation, strange) = without_strange_types(db, table.unwrap_or_default()).await?;
            said.push(format!(
                "columns of a type that cannot be read land as hexadecimal text: {}; use `query` to convert them otherwise",
                strange.join(", ")
            ));
            from = relation;
            described(db, &from).await?
        }
        other => other?,
    };
    let texts = texts(db, &from, &described).await?;
    let digits = match table {
        Some(table) => digits(db, table).await?,
        None => Vec::new(),
    };
    let geometries: Vec<&str> =
        described.iter().filter(|(_, d)| d == "GEOMETRY").map(|(n, _)| n.as_str()).collect();
    if !geometries.is_empty() {
        said.push(format!(
            "geometry lands as text such as POINT(116.4 39.9): column `{}`",
            geometries.join("`, `")
        ));
    }
    let columns = described
        .into_iter()
        .map(|(name, declared)| {
            let scale = digits.iter().find(|(n, precision, _)| *n == name && *precision <= 38).map(|d| d.2);
            let is_text = texts.contains(&name);
            Column::new(name, &declared, is_text, scale)
        })
        .collect();
    Ok((columns, from, said))
}

async fn described(db: &mut MySqlConnection, from: &str) -> Result<Vec<(String, String)>, sqlx::Error> {
    let prepared = db.prepare(AssertSqlSafe(format!("SELECT * FROM {from} LIMIT 0")).into_sql_str()).await?;
    Ok(prepared.columns().iter().map(|c| (c.name().to_owned(), c.type_info().name().to_owned())).collect())
}

/// A relation over a table in which columns of unknown types are written in hexadecimal, and those columns.
async fn without_strange_types(
    db: &mut MySqlConnection,
    table: &str,
) -> Result<(String, Vec<String>), sqlx::Error> {
    const STRANGE: [&str; 1] = ["vector"];
    let (schema, name) = parts(table);
    let sql = "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR) FROM information_schema.columns \
               WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? ORDER BY ordinal_position";
    let rows = sqlx::query(sql).bind(schema).bind(name).fetch_all(db).await?;
    let mut list = Vec::new();
    let mut strange = Vec::new();
    for row in rows {
        let (name, kind): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let plain = quoted(&name, '`');
        if STRANGE.contains(&kind.to_lowercase().as_str()) {
            list.push(format!("HEX({plain}) AS {plain}"));
            strange.push(format!("`{name}` ({kind})"));
        } else {
            list.push(plain);
        }
    }
    Ok((format!("(SELECT {} FROM {}) AS q", list.join(", "), quoted_table(table, '`')), strange))
}

/// Columns that look binary and are text: a collation such as utf8mb4_bin (every JSON column of
/// MariaDB has one) sets the same flag as BLOB.
async fn texts(
    db: &mut MySqlConnection,
    from: &str,
    described: &[(String, String)],
) -> Result<Vec<String>, sqlx::Error> {
    let doubtful: Vec<&String> =
        described.iter().filter(|(_, d)| is_binary(d)).map(|(name, _)| name).collect();
    if doubtful.is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<String> = doubtful.iter().map(|name| format!("CHARSET(q.{})", quoted(name, '`'))).collect();
    // The character set is known without any row.
    let sql = format!(
        "SELECT {} FROM (SELECT 1 AS one) AS one LEFT JOIN (SELECT * FROM {from}) AS q ON FALSE",
        list.join(", ")
    );
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(db).await?;
    Ok(doubtful
        .into_iter()
        .enumerate()
        .filter(|(i, _)| row.try_get_unchecked::<String, _>(*i).is_ok_and(|set| set != "binary"))
        .map(|(_, name)| name.clone())
        .collect())
}

fn is_binary(declared: &str) -> bool {
    declared.contains("BLOB") || declared.contains("BINARY")
}

/// Schema and name of `schema.table`.
fn parts(table: &str) -> (Option<&str>, &str) {
    let parts: Vec<&str> = table.split('.').map(|p| p.trim_matches('`')).collect();
    if let [schema, name] = parts[..] { (Some(schema), name) } else { (None, table.trim_matches('`')) }
}

async fn digits(db: &mut MySqlConnection, table: &str) -> Result<Vec<(String, u8, i8)>, sqlx::Error> {
    let (schema, name) = parts(table);
    let sql = "SELECT CAST(column_name AS CHAR), CAST(numeric_precision AS SIGNED), CAST(numeric_scale AS SIGNED) FROM information_schema.columns \
               WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? AND data_type = 'decimal'";
    let rows = sqlx::query(sql).bind(schema).bind(name).fetch_all(db).await?;
    Ok(rows
        .iter()
        .filter_map(|r| {
            Some((
                r.try_get(0).ok()?,
                u8::try_from(r.try_get::<i64, _>(1).ok()?).ok()?,
                i8::try_from(r.try_get::<i64, _>(2).ok()?).ok()?,
            ))
        })
        .collect())
}

/// What a column type lands as, and how the server writes it. `scale`: that of a decimal, where known.
fn kind(declared: &str, scale: Option<i8>) -> (Kind, Option<(&'static str, &'static str)>) {
    match declared {
        // TINYINT(1), which holds codes from 0 to 9 as often as yes and no. The name hides the sign.
        "BOOLEAN" => (Kind::Int, SIGNED),
        "BIT" => (Kind::Int, UNSIGNED),
        "BIGINT UNSIGNED" => (Kind::Decimal(20, 0), None),
        "FLOAT" | "DOUBLE" => (Kind::Float, None),
        "DATE" => (Kind::Date, None),
        "DATETIME" => (Kind::Clock, None),
        "TIMESTAMP" => (Kind::Instant, None),
        "DECIMAL" => match scale {
            Some(scale) => (Kind::decimal(scale), None),
            None => (Kind::Text, CHAR),
        },
        "GEOMETRY" => (Kind::Text, WKT),
        d if d.starts_with("YEAR") => (Kind::Text, CHAR),
        d if d.contains("INT") => (Kind::Int, None),
        d if is_binary(d) => (Kind::Binary, None),
        "VARCHAR" | "CHAR" | "TEXT" | "TINYTEXT" | "MEDIUMTEXT" | "LONGTEXT" | "ENUM" => (Kind::Text, None),
        _ => (Kind::Text, CHAR),
    }
}
