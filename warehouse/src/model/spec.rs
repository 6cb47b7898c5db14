//! `models/<name>.sql`: a YAML header between `---` lines, then one SELECT.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Problem, Span};

use crate::clean::Ordered;
use crate::{Naming, Title};

/// One model: the table `mart.<name>` and the SQL that fills it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelSpec {
    pub name: String,
    pub title: Title,
    pub description: Option<Title>,
    pub columns: Ordered<Naming>,
    pub refresh: Refresh,
    pub checks: Vec<Check>,
    /// The SELECT, without the header.
    pub sql: String,
    /// Lines before the first line of `sql`: line n of `sql` is line `header_lines + n` of the file.
    pub header_lines: usize,
}

/// The YAML between the `---` lines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelHeader {
    /// Name shown to readers; the file name if absent.
    #[serde(default)]
    pub title: Option<Title>,
    /// What a row is and where it comes from.
    #[serde(default)]
    pub description: Option<Title>,
    /// Titles of columns, and of their values.
    #[serde(default)]
    pub columns: Ordered<Naming>,
    /// Rebuild everything (default), or only what may have changed.
    #[serde(default)]
    pub refresh: Refresh,
    /// What must hold before a new version is published.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// How a model is brought up to date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    /// Computes the whole table and replaces it.
    Full(Full),
    /// Computes rows from `$since` on and replaces the rows with the same key.
    Incremental(Incremental),
}

impl Default for Refresh {
    fn default() -> Self {
        Refresh::Full(Full {})
    }
}

/// Computes the whole table and replaces it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Full {}

/// `$since` in the SQL is max(`since`) − `lookback` of the present table, or NULL on first build:
/// write `where $since is null or day >= $since`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Incremental {
    /// Columns whose values are replaced together.
    pub key: Vec<String>,
    /// Date or timestamp column that says how far the table has come.
    pub since: String,
    /// How far back late rows are expected, such as `3d`.
    #[serde(default = "no_lookback")]
    pub lookback: Span,
}

fn no_lookback() -> Span {
    Span(std::time::Duration::ZERO)
}

/// What must hold before a new version is published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// No row lacks any of these columns.
    NotNull(Vec<String>),
    /// No two rows agree in all of these columns.
    Unique(Vec<String>),
    /// A column holds only these values (or nothing).
    Accepted(Accepted),
    /// The table has so many rows.
    Rows(Rows),
    /// A query over `this` (the rows about to be published); any row returned fails.
    Sql(SqlCheck),
}

/// A column holds only these values (or nothing).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    pub column: String,
    pub values: Vec<String>,
}

/// Number of rows, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    #[serde(default)]
    pub min: Option<u64>,
    #[serde(default)]
    pub max: Option<u64>,
}

/// A query over `this`; any row returned fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlCheck {
    /// Said in reports.
    pub name: String,
    /// SELECT over `this` and any other table.
    pub query: String,
}

/// A model file taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFile<'a> {
    /// YAML between the `---` lines; its first line is line 2 of the file. None without header.
    pub header: Option<&'a str>,
    /// Everything after the header.
    pub sql: &'a str,
    /// Lines before the first line of `sql`.
    pub header_lines: usize,
}

impl<'a> ModelFile<'a> {
    /// Splits header from SQL. A file that does not start with `---` has no header.
    pub fn split(text: &'a str) -> Result<Self, Problem> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut offset = 0;
        let mut header_start = 0;
        for (index, line) in text.split_inclusive('\n').enumerate() {
            let fence = line.trim_end() == "---";
            offset += line.len();
            match (index, fence) {
                (0, false) => return Ok(Self { header: None, sql: text, header_lines: 0 }),
                (0, true) => header_start = offset,
                (_, true) => {
                    let header = &text[header_start..offset - line.len()];
                    let sql = &text[offset..];
                    return Ok(Self { header: Some(header), sql, header_lines: index + 1 });
                }
                (_, false) => {}
            }
        }
        if text.is_empty() {
            return Ok(Self { header: None, sql: text, header_lines: 0 });
        }
        Err(Problem::new("the header that starts at line 1 has no end")
            .hint("close it with a line that holds only `---`, then write the SELECT"))
    }
}

impl ModelSpec {
    /// Reads a model file. Problems in the header and in the SQL carry `at`: line and column of
    /// the whole file.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let file = ModelFile::split(text).map_err(|p| vec![p])?;
        let header = match file.header {
            Some(yaml) if !yaml.trim().is_empty() => read_header(yaml).map_err(|p| vec![p])?,
            _ => ModelHeader::default(),
        };
        let spec = Self {
            name: name.to_owned(),
            title: header.title.unwrap_or_else(|| Title { zh: name.to_owned(), en: name.to_owned() }),
            description: header.description,
            columns: header.columns,
            refresh: header.refresh,
            checks: header.checks,
            sql: file.sql.to_owned(),
            header_lines: file.header_lines,
        };
        let problems = super::check::definition(&spec);
        if problems.is_empty() { Ok(spec) } else { Err(problems) }
    }
}

fn read_header(yaml: &str) -> Result<ModelHeader, Problem> {
    serde_saphyr::from_str(yaml).map_err(|error| {
        let mut problem = Problem::new(error.without_snippet().to_string());
        if let Some(place) = error.location() {
            // One line of `---` stands above the header.
            problem.at = Some((place.line() as usize + 1, place.column() as usize));
        }
        problem
    })
}
