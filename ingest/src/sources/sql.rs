//! What the three kinds of database share: typed columns, cursors, landing boundaries.

pub(crate) mod columns;
mod landed;
pub(crate) mod moment;
pub(crate) mod outgoing;
pub(crate) mod reach;
pub(crate) mod seen;

use std::time::Duration;

use serde_json::Value;

use crate::error::SourceError;
use crate::formats::columns::unique_names;
use crate::source::Cursor;
use crate::spec::StreamSpec;

/// How long a server may be silent before a read gives up: a sort of a large table takes minutes, a
/// server that hangs takes for ever and would hold up every sync behind it.
const SILENCE: Duration = Duration::from_secs(600);

/// Waits for a server's answer, but not for ever. `sorted` tells whether waiting helps against an error.
pub(crate) async fn within<T>(
    subject: &str,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
    sorted: fn(&str, &sqlx::Error) -> SourceError,
) -> Result<T, SourceError> {
    match tokio::time::timeout(SILENCE, answer).await {
        Ok(answer) => answer.map_err(|e| sorted(subject, &e)),
        Err(_) => Err(SourceError::later(format!(
            "{subject}: the server was silent for {} minutes; look for a lock or a query that holds it up, or index the cursor column",
            SILENCE.as_secs() / 60
        ))),
    }
}

/// Where to read from: a quoted table name, or the query in brackets; `q` either way.
pub(crate) fn relation(table: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("({}) AS q", query.trim().trim_end_matches(';')),
        None => format!("{table} AS q"),
    }
}

/// A column of [`relation`]. Without the `q.`, ORDER BY means the output column of the same name: where
/// the server casts it to text, 1000 would come before 999.
pub(crate) fn column(name: &str, mark: char) -> String {
    format!("q.{}", quoted(name, mark))
}

/// Quotes an identifier with `mark` doubled inside.
pub(crate) fn quoted(name: &str, mark: char) -> String {
    let doubled: String = [mark, mark].iter().collect();
    format!("{mark}{}{mark}", name.replace(mark, &doubled))
}

/// Quotes each part of `schema.table`; a part that is quoted already stays.
pub(crate) fn quoted_table(table: &str, mark: char) -> String {
    let part = |p: &str| {
        if p.len() > 1 && p.starts_with(mark) && p.ends_with(mark) { p.to_owned() } else { quoted(p, mark) }
    };
    table.trim().split('.').map(part).collect::<Vec<_>>().join(".")
}

/// How a stream message calls what it reads.
pub(crate) fn subject(spec: &StreamSpec) -> String {
    match (&spec.table, &spec.query) {
        (Some(table), _) => format!("table `{table}`"),
        _ => "the query".to_owned(),
    }
}

/// Where an incremental read starts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum From {
    /// Everything, rows without a cursor value included.
    Start,
    /// Rows at or behind this value; those that landed already are recognised and left out.
    At(Value),
    /// Rows behind this value.
    Behind(Value),
}

impl From {
    /// Reads a committed cursor.
    pub(crate) fn cursor(after: Option<&Cursor>, spec: &StreamSpec) -> From {
        if spec.cursor().is_none() {
            return From::Start;
        }
        match after.and_then(|c| c.get("at")) {
            None | Some(Value::Null) => From::Start,
            Some(at) if after.and_then(|c| c.get("whole")).is_some() && spec.key().is_none() => {
                From::Behind(at.clone())
            }
            Some(at) => From::At(moment::back(at, spec.overlap())),
        }
    }

    /// The WHERE clause over a quoted column, with the value written by `literal`.
    pub(crate) fn clause(&self, column: &str, literal: impl Fn(&Value) -> String) -> String {
        match self {
            From::Start => String::new(),
            From::At(value) => format!(" WHERE {column} >= {}", literal(value)),
            From::Behind(value) => format!(" WHERE {column} > {}", literal(value)),
        }
    }
}

/// A cursor column that the source does not have.
pub(crate) fn no_cursor(subject: &str, cursor: &str, columns: &[String]) -> SourceError {
    missing(subject, "cursor column", cursor, columns, "correct `cursor` or bring the column back")
}

/// A key column that the source does not have.
fn check_key(subject: &str, spec: &StreamSpec, columns: &[String]) -> Result<(), SourceError> {
    for key in spec.key().unwrap_or_default() {
        if !columns.contains(key) {
            return Err(missing(
                subject,
                "key column",
                key,
                columns,
                "correct `key` or bring the column back",
            ));
        }
    }
    Ok(())
}

fn missing(subject: &str, what: &str, name: &str, columns: &[String], todo: &str) -> SourceError {
    let near = store::nearest(name, columns.iter().map(String::as_str))
        .map(|n| format!("did you mean `{n}`? "))
        .unwrap_or_default();
    let known: Vec<&str> = columns.iter().take(40).map(String::as_str).collect();
    SourceError::never(format!(
        "{subject} has no {what} `{name}`; {near}{todo}. Its columns: {}",
        known.join(", ")
    ))
}

/// The names under which columns land, and what to say when they are others: a raw table adds columns of its
/// own, and does not tell upper from lower case.
///
/// # Errors
/// Too many columns, no such key or cursor column, or one of those cannot land under its name.
pub(crate) fn landing_names(
    subject: &str,
    spec: &StreamSpec,
    names: &[String],
) -> Result<(Vec<String>, Option<String>), SourceError> {
    let most = store::limits().columns;
    if names.len() > most {
        return Err(SourceError::never(format!(
            "{subject} has {} columns, more than the {most} that a table may have; name those that are needed in `query`, or raise `limits.columns` in guanlan.yaml",
            names.len()
        )));
    }
    check_key(subject, spec, names)?;
    if let Some(cursor) = spec.cursor().filter(|c| !names.iter().any(|n| n == c)) {
        return Err(no_cursor(subject, cursor, names));
    }
    let landed = unique_names(names);
    let renamed: Vec<String> = names
        .iter()
        .zip(&landed)
        .filter(|(from, to)| from != to)
        .map(|(from, to)| format!("`{from}` as `{to}`"))
        .collect();
    let needed = spec.key().unwrap_or_default().iter().map(String::as_str).chain(spec.cursor());
    for name in needed {
        if names.iter().zip(&landed).any(|(from, to)| from == name && from != to) {
            return Err(SourceError::never(format!(
                "{subject}: the column `{name}` cannot be a key or cursor, because raw tables have columns of their own (`_file`, `_row`, `_loaded_at`) or another column differs from it only by case; read it under another name: `query: select …, {name} as other_name from …`"
            )));
        }
    }
    let said = (!renamed.is_empty()).then(|| {
        let shown = renamed.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
        format!(
            "{subject}: columns land under other names: {shown}. Raw tables have columns `_file`, `_row` and `_loaded_at` of their own, and do not tell upper from lower case"
        )
    });
    Ok((landed, said))
}

/// A table that the source does not have, with the nearest that it has.
pub(crate) fn no_table(subject: &str, system: &str, table: &str, known: &[String]) -> SourceError {
    let plain = |name: &str| name.replace(['"', '`'], "");
    let wanted = plain(table);
    let bare = |name: &str| name.rsplit('.').next().unwrap_or(name).to_lowercase();
    let same = known.iter().find(|k| bare(k) == bare(&wanted)).map(String::as_str);
    let near = same
        .or_else(|| store::nearest(&wanted, known.iter().map(String::as_str)))
        .map(|n| format!("did you mean `{n}`? "))
        .unwrap_or_default();
    let names = match known.len() {
        0 => "The user of the connection sees no table there".to_owned(),
        _ => format!("It has {}", known.iter().take(30).cloned().collect::<Vec<_>>().join(", ")),
    };
    SourceError::never(format!(
        "{subject} does not exist in {system}, or may not be seen; {near}correct `table` (upper and lower case count). {names}"
    ))
}

/// A number or quoted text, for SQL that takes no parameters.
pub(crate) fn literal(value: &Value) -> String {
    match value {
        Value::Number(n) => n.to_string(),
        Value::String(s) => format!("'{}'", s.replace('\'', "''")),
        other => format!("'{}'", other.to_string().replace('\'', "''")),
    }
}
