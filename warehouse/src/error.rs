//! What can go wrong, by what the caller does next.

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use store::nearest;

use crate::table::TableName;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such table, model, metric or clean.
    #[error("{what} was not found{}", advice(.hint))]
    NotFound { what: String, hint: Option<String> },
    /// The query or definition is wrong; line and column (1-based) when the parser told.
    #[error("{message}{}", advice(.hint))]
    Sql { message: String, line: Option<u64>, column: Option<u64>, hint: Option<String> },
    /// The statement or the reader is not allowed.
    #[error("{message}{}", advice(.hint))]
    Refused { message: String, hint: Option<String> },
    #[error(
        "{table}: column `{column}` was {was} and is delivered as {now}; cast it back at the source, or land into a new table"
    )]
    SchemaChanged { table: TableName, column: String, was: String, now: String },
    /// A foreign Delta table needs a feature that we cannot read.
    #[error(
        "{table} uses the Delta feature `{feature}`, which Guanlan cannot read; rewrite the table without it"
    )]
    Unsupported { table: TableName, feature: String },
    /// A memory or size limit; narrow the query or split the landing.
    #[error("{message}")]
    Exhausted { message: String },
    #[error(
        "the query ran longer than {seconds} s and was stopped; narrow its time range, or raise query.timeout"
    )]
    Timeout { seconds: u64 },
    #[error("the query was cancelled")]
    Cancelled,
    /// A fault of the program; the log has it under the same id.
    #[error("a fault of the program ended this (id {id}); the log of the server tells more under that id")]
    Internal { id: String },
    /// Someone else wrote to the table meanwhile: read again and retry.
    #[error("{table}: {message}; read the table again and retry")]
    Conflict { table: TableName, message: String },
    /// Storage trouble: retry later.
    #[error("{}{message}", place(.table))]
    Store { table: Option<TableName>, message: String },
    /// Log or data cannot be read: repair.
    #[error(
        "{table} is damaged: {message}; restore it from a backup, or remove its folder and load it again"
    )]
    Damaged { table: TableName, message: String },
    /// The caller's input is wrong.
    #[error("{message}")]
    Invalid { message: String },
    /// A model's check failed; nothing was published.
    #[error("{message}")]
    Check { message: String },
    #[error(transparent)]
    Metadata(#[from] store::Error),
}

fn advice(hint: &Option<String>) -> String {
    hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default()
}

fn place(table: &Option<TableName>) -> String {
    table.as_ref().map(|t| format!("{t}: ")).unwrap_or_default()
}

impl Error {
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::Invalid { message: message.into() }
    }

    pub(crate) fn refused(message: impl Into<String>, hint: &str) -> Self {
        Error::Refused { message: message.into(), hint: Some(hint.to_owned()) }
    }

    pub(crate) fn store(table: &TableName, what: &str, cause: impl std::fmt::Display) -> Self {
        Error::Store { table: Some(table.clone()), message: format!("cannot {what}: {cause}") }
    }

    pub(crate) fn damaged(table: &TableName, message: impl std::fmt::Display) -> Self {
        Error::Damaged { table: table.clone(), message: message.to_string() }
    }

    /// Sorts what DataFusion reports into our kinds. An `Error` of ours that travelled through DataFusion as
    /// an external error comes out unchanged.
    pub fn from_datafusion(error: DataFusionError) -> Self {
        match error {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                Self::from_datafusion(*inner)
            }
            DataFusionError::External(cause) => match cause.downcast::<Error>() {
                Ok(own) => *own,
                Err(cause) => match cause.downcast::<DataFusionError>() {
                    Ok(inner) => Self::from_datafusion(*inner),
                    Err(cause) => foreign(cause.as_ref()),
                },
            },
            DataFusionError::ArrowError(arrow, _) => Self::from_arrow(*arrow),
            DataFusionError::Shared(shared) => match shared.find_root() {
                DataFusionError::ResourcesExhausted(m) => exhausted(m),
                DataFusionError::ObjectStore(e) => Error::Store { table: None, message: e.to_string() },
                DataFusionError::External(cause) => match cause.downcast_ref::<Error>() {
                    Some(own) => own.again(),
                    None => foreign(cause.as_ref()),
                },
                other => sql(other.strip_backtrace()),
            },
            DataFusionError::ResourcesExhausted(message) => exhausted(&message),
            DataFusionError::ObjectStore(e) => Error::Store { table: None, message: e.to_string() },
            DataFusionError::IoError(e) => Error::Store {
                table: None,
                message: format!("reading or spilling to disk failed: {e}; free space in the spill folder"),
            },
            DataFusionError::ParquetError(e) => {
                Error::Store { table: None, message: format!("a data file cannot be read: {e}") }
            }
            DataFusionError::SQL(e, _) => sql(e.to_string()),
            other => sql(other.strip_backtrace()),
        }
    }

    /// The same error for another reader of it.
    fn again(&self) -> Self {
        match self {
            Error::Exhausted { message } => Error::Exhausted { message: message.clone() },
            Error::Timeout { seconds } => Error::Timeout { seconds: *seconds },
            Error::Cancelled => Error::Cancelled,
            Error::Internal { id } => Error::Internal { id: id.clone() },
            other => Error::Sql { message: other.to_string(), line: None, column: None, hint: None },
        }
    }

    fn from_arrow(error: ArrowError) -> Self {
        match error {
            ArrowError::ExternalError(cause) => match cause.downcast::<DataFusionError>() {
                Ok(inner) => Self::from_datafusion(*inner),
                Err(cause) => match cause.downcast::<Error>() {
                    Ok(own) => *own,
                    Err(cause) => foreign(cause.as_ref()),
                },
            },
            other => sql(other.to_string()),
        }
    }

    /// For streams that DataFusion carries; [`Error::from_datafusion`] gives the same error back.
    pub fn into_datafusion(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }
}

/// An error of a library below the engine: files and stores have theirs, everything else is about the query, such as
/// a pattern that does not compile.
fn foreign(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    let stored = cause.is::<object_store::Error>()
        || cause.is::<std::io::Error>()
        || cause.is::<parquet::errors::ParquetError>();
    match stored {
        true => Error::Store { table: None, message: cause.to_string() },
        false => sql(cause.to_string()),
    }
}

fn exhausted(message: &str) -> Error {
    // The pool's own message names operators, which helps nobody but us.
    tracing::info!(detail = message, "a query met the memory limit");
    let message = match [crate::memory::RAN_OUT, "mmap failed"].iter().any(|own| message.contains(own)) {
        true => {
            "the server had no memory left for the query; ask again when fewer run, or select fewer columns or a \
             shorter range"
        }
        false => {
            "the query needs more memory than is left of query.memory_mib; select fewer columns or a shorter range, \
             aggregate earlier, or raise the limit"
        }
    };
    Error::Exhausted { message: message.into() }
}

fn sql(message: String) -> Error {
    // A task of the engine whose memory was refused says so in the words of its panic.
    if message.contains(crate::memory::RAN_OUT) {
        return exhausted(&message);
    }
    // A setting of the engine, which nobody can set here.
    let message =
        message.replace(" or disable the datafusion.sql_parser.enable_ident_normalization configuration", "");
    let message = message
        .trim_start_matches("Error during planning: ")
        .trim_start_matches("Execution error: ")
        .trim_start_matches("Schema error: ")
        .trim_start_matches("SQL error: ")
        .trim_start_matches("sql parser error: ")
        .trim_start_matches("Internal error: ");
    // The engine asks its own developers to be told; the reader here cannot do that.
    let message = message.split("This issue was likely caused by a bug").next().unwrap_or(message);
    let message = message.trim_end_matches(['.', ' ', '\n']).to_owned();
    let (line, column) = position(&message);
    if let Some(name) = message.strip_prefix("Invalid function '").and_then(|rest| rest.split('\'').next()) {
        let engines = message.rsplit("Did you mean '").next().and_then(|rest| rest.split('\'').next());
        let hint = meant(name, engines);
        return Error::Sql {
            message: format!("there is no function `{name}`"),
            line,
            column,
            hint: Some(hint),
        };
    }
    if let Some((_, message, hint)) = UNANSWERED.iter().find(|(engines, ..)| message.contains(engines)) {
        return Error::Sql { message: (*message).to_owned(), line, column, hint: Some((*hint).to_owned()) };
    }
    if let Some((function, rest)) =
        message.strip_prefix("Function '").and_then(|rest| rest.split_once("' failed to match any signature"))
    {
        let kind = rest.split("but received ").nth(1).and_then(|kind| kind.split([' ', '(', ',']).next());
        return Error::Sql {
            message: match kind {
                Some(kind) => format!("{function} cannot take an argument of type {kind}"),
                None => format!("{function} cannot take arguments of these types"),
            },
            line,
            column,
            hint: Some(
                "cast it, such as cast(x as bigint), or count with count(*) filter (where …)".to_owned(),
            ),
        };
    }
    Error::Sql { message, line, column, hint: None }
}

/// What the engine says of subqueries that it does not answer, and what to say instead.
const UNANSWERED: [(&str, &str, &str); 3] = [
    (
        "Physical plan does not support logical expression InSubquery",
        "IN (SELECT …) is answered in WHERE only, not in a select list, in CASE or in ORDER BY",
        "left join the subquery and ask whether its column IS NOT NULL",
    ),
    (
        "Physical plan does not support logical expression ScalarSubquery",
        "a subquery that looks at the row around it by more than equalities is not answered here",
        "join its table, group by the row's key and aggregate",
    ),
    (
        "Physical plan does not support logical expression Exists",
        "EXISTS (SELECT …) is answered in WHERE only, not in a select list, in CASE or in ORDER BY",
        "left join the subquery and ask whether its column IS NOT NULL",
    ),
];

/// Functions that people try first.
const COMMON: [&str; 24] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "round",
    "abs",
    "coalesce",
    "substr",
    "length",
    "lower",
    "upper",
    "trim",
    "replace",
    "concat",
    "date_trunc",
    "to_char",
    "to_date",
    "extract",
    "row_number",
    "rank",
    "lag",
    "lead",
    "median",
];

/// What other databases call so, and how it is written here.
const ELSEWHERE: [(&str, &str); 34] = [
    ("to_number", "cast(x as decimal(18, 2))"),
    ("convert", "cast(x as type)"),
    ("str", "cast(x as varchar)"),
    ("tostring", "cast(x as varchar)"),
    ("toint", "cast(x as bigint)"),
    ("safe_cast", "try_cast(x as type)"),
    ("isnumeric", "try_cast(x as double) is not null"),
    ("eomonth", "last_day(d)"),
    ("datename", "monthname(d) or dayname(d)"),
    ("getutcdate", "now()"),
    ("utc_timestamp", "now()"),
    ("sysdatetime", "now()"),
    ("localtime", "now()"),
    ("curtime", "now()"),
    ("countif", "count(*) filter (where …)"),
    ("count_if", "count(*) filter (where …)"),
    ("sumif", "sum(x) filter (where …)"),
    ("any_value", "min(x)"),
    ("percentile", "percentile_cont(0.5) within group (order by x)"),
    ("quantile", "percentile_cont(0.5) within group (order by x)"),
    ("rownum", "row_number() over (order by …)"),
    ("zeroifnull", "coalesce(x, 0)"),
    ("nullifzero", "nullif(x, 0)"),
    ("find_in_set", "array_position(string_to_array(list, ','), x)"),
    ("field", "case x when 'a' then 1 when 'b' then 2 end"),
    ("stuff", "overlay(text placing 'new' from 1 for 2)"),
    ("patindex", "regexp_instr(text, pattern)"),
    ("string_split", "string_to_array(text, ',')"),
    ("regexp_extract", "regexp_match(text, pattern)[1]"),
    ("regexp_matches", "regexp_match(text, pattern)"),
    ("date_from_parts", "make_date(2026, 1, 31)"),
    ("makedate", "make_date(2026, 1, 31)"),
    ("from_days", "date '1970-01-01' + interval '1 day'"),
    ("json_extract", "read JSON into columns in the clean step"),
];

/// A hint for a function that there is not.
fn meant(name: &str, engines: Option<&str>) -> String {
    let lower = name.to_lowercase();
    if let Some((_, here)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == lower) {
        return format!("write {here}");
    }
    // What is like a word by its letters alone is noise, so a suggestion must be near.
    match nearest(&lower, COMMON).or_else(|| nearest(&lower, engines)) {
        Some(near) => format!("did you mean {near}?"),
        None => "the functions are those of PostgreSQL and, for dates, of MySQL and Oracle".into(),
    }
}

/// The parser writes `… at Line: 1, Column: 8`.
fn position(message: &str) -> (Option<u64>, Option<u64>) {
    let number = |mark: &str| {
        let rest = &message[message.find(mark)? + mark.len()..];
        let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    (number("Line:"), number("Column:"))
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Error::from_datafusion(error)
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        Error::from_arrow(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_error_survives_the_way_through_datafusion() {
        let there = Error::Cancelled.into_datafusion().context("somewhere");
        assert!(matches!(Error::from_datafusion(there), Error::Cancelled));
    }

    #[test]
    fn the_memory_limit_is_told_without_operator_names() {
        let error = Error::from_datafusion(DataFusionError::ResourcesExhausted("HashJoinInput[0] …".into()));
        assert!(matches!(&error, Error::Exhausted { message } if !message.contains("HashJoin")), "{error}");
    }

    #[test]
    fn what_the_engine_does_not_answer_is_told_in_our_words() {
        for (engines, ours) in [
            ("Physical plan does not support logical expression InSubquery(x)", "in WHERE only"),
            (
                "Function 'sum' failed to match any signature, errors: … but received Boolean (DataType",
                "type Boolean",
            ),
        ] {
            let told = Error::from_datafusion(DataFusionError::Plan(engines.to_owned()));
            assert!(
                matches!(&told, Error::Sql { message, hint: Some(_), .. } if message.contains(ours)),
                "{told}"
            );
        }
    }

    #[test]
    fn a_parser_position_is_found() {
        assert_eq!(position("Expected x at Line: 3, Column: 14"), (Some(3), Some(14)));
        assert_eq!(position("nothing"), (None, None));
    }
}
