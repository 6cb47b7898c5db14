//! `sources/*.yaml`: where data comes from, how often, and into which raw tables.
//!
//! Kinds, modes and formats are externally tagged (`sqlite: {…}`), so that a YAML error keeps its
//! line. What serde cannot say (a key that belongs to another kind) is said by [`SourceSpec::check`].

mod accept;
mod advice;
mod check;
mod choice;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Schedule, Secret, Span, StoreSpec};
use warehouse::{TableName, Title, Zone};

pub use accept::{AcceptSpec, Share};
pub use choice::{HeaderRow, JsonPath};

/// One source: a system that data is read from.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// Name shown to people.
    pub title: Option<Title>,
    /// What kind of system it is and how to reach it.
    pub kind: KindSpec,
    /// Read again after this long, for example `30s`, `5m`, `2h`. Leave out to read by hand.
    pub every: Option<Span>,
    /// Read by a five-field crontab expression in the site's zone, for example `*/5 8-20 * * mon-fri`.
    pub cron: Option<String>,
    /// What to read. Each stream lands in `raw.<source>_<stream>`.
    pub streams: BTreeMap<String, StreamSpec>,
}

/// What kind of system a source is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KindSpec {
    /// An SQLite database file, opened read-only.
    Sqlite(SqliteSpec),
    /// A PostgreSQL database.
    Postgres(DatabaseSpec),
    /// A MySQL or MariaDB database.
    Mysql(DatabaseSpec),
    /// Files in a folder on local disk or in an S3-compatible store.
    Files(FilesSpec),
    /// A paged JSON API over HTTP.
    Rest(RestSpec),
}

impl KindSpec {
    /// The YAML key of this kind.
    pub fn name(&self) -> &'static str {
        match self {
            KindSpec::Sqlite(_) => "sqlite",
            KindSpec::Postgres(_) => "postgres",
            KindSpec::Mysql(_) => "mysql",
            KindSpec::Files(_) => "files",
            KindSpec::Rest(_) => "rest",
        }
    }
}

/// An SQLite database file.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteSpec {
    /// Path of the database file, relative to the project folder.
    pub path: PathBuf,
}

/// A database server.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSpec {
    /// Reference (`env:NAME` or `file:PATH`) to the connection URL, for example
    /// `postgres://user:password@host:5432/database`.
    pub url: Secret,
    /// How the connection is encrypted. Left out: verified TLS, except to this machine itself (loopback or a
    /// Unix socket). An `sslmode` in the URL counts when this is left out.
    pub tls: Option<TlsSpec>,
    /// postgres: the encoding of the texts, such as `gb18030`, for an old database that does not know its own
    /// (`SQL_ASCII`).
    pub encoding: Option<String>,
}

/// How a connection to a database is encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsSpec {
    /// TLS, and the server's certificate must be valid for its name.
    Verify,
    /// The same, trusting the certificates of this PEM file too; relative to the project folder.
    Ca(PathBuf),
    /// TLS with any certificate: nobody reads along, but somebody may stand in between.
    Unverified,
    /// No TLS: rows, and passwords that the server asks for in clear, can be read on the way.
    Off,
}

/// A folder of files.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesSpec {
    /// Folder: relative to the project folder, or to the root of `store` when that is given.
    pub path: PathBuf,
    /// An object store to read from instead of the local disk.
    pub store: Option<StoreSpec>,
}

/// A JSON API over HTTP.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestSpec {
    /// Base address, for example `https://tickets.example.com/api`. A private address must be
    /// listed in `outbound.allow` of guanlan.yaml.
    pub url: String,
    /// Reference (`env:NAME` or `file:PATH`) to a bearer token.
    pub token: Option<Secret>,
    /// Encoding of the answers, such as `gb18030`, where the API does not say it.
    pub encoding: Option<String>,
}

/// One stream of a source. Which keys apply depends on the kind of the source.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamSpec {
    /// sqlite, postgres, mysql: the table to read, for example `approvals` or `hr.staff`.
    pub table: Option<String>,
    /// sqlite, postgres, mysql: a SELECT to read instead of a table.
    pub query: Option<String>,
    /// files: which files belong to this stream, for example `orders_*.csv` or `**/*.xlsx`.
    pub glob: Option<String>,
    /// files: how the files are written.
    pub format: Option<FormatSpec>,
    /// rest: path below the base address, for example `/tickets`.
    pub path: Option<String>,
    /// rest: where the records are inside the answer, for example `items` or `$.data.items`.
    /// Left out, the answer itself is the array of records.
    pub records: Option<JsonPath>,
    /// rest: how the next page is found. Left out, there is one page.
    pub page: Option<PageSpec>,
    /// Databases and rest: whole (`full`, the default), by cursor column (`incremental`) or by key (`upsert`).
    pub mode: Option<ModeSpec>,
    /// The cleaning (`cleans/<name>.yaml`) that runs after this stream has landed.
    pub clean: Option<String>,
    /// The share of rows that may be set aside before `guanlan sync` ends with exit code 3, for example
    /// `accept: { set_aside: 1% }`.
    pub accept: Option<AcceptSpec>,
}

/// How much is read each time and how it lands.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeSpec {
    /// Read everything each time and replace the raw table.
    Full(FullSpec),
    /// Read rows from the last cursor value on and append them. A row changed at the source lands
    /// again as a new version.
    Incremental(IncrementalSpec),
    /// Read rows (from the last cursor value on, when a cursor is given) and replace rows with the same key.
    Upsert(UpsertSpec),
}

/// No settings.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FullSpec {}

/// Incremental by cursor column.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IncrementalSpec {
    /// A column that only grows when rows are added or changed: an update time or a number.
    pub cursor: String,
    /// Look back this far behind the last cursor value, for writers that commit late: rows that appear there
    /// land too, none lands twice. For cursors that are times, also as seconds or milliseconds since 1970 or as
    /// digits such as 20261127. `0s` says that no writer commits late.
    pub overlap: Option<Span>,
    /// rest: the query parameter that receives the last cursor value.
    pub param: Option<String>,
}

/// Upsert by key.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpsertSpec {
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// A column that only grows when rows are added or changed. Left out, everything is read each time.
    pub cursor: Option<String>,
    /// Look back this far behind the last cursor value, for writers that commit late (times only, as in
    /// `incremental`).
    pub overlap: Option<Span>,
    /// rest: the query parameter that receives the last cursor value.
    pub param: Option<String>,
}

/// How files are written.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FormatSpec {
    /// Delimited text. Every column lands as text.
    Csv(CsvSpec),
    /// A spreadsheet (xlsx; xls, xlsb and ods are read too). Every column lands as text.
    Xlsx(XlsxSpec),
    /// One JSON document with an array of records.
    Json(JsonSpec),
    /// One JSON record per line.
    Ndjson(FullSpec),
    /// Apache Parquet, landed with its types.
    Parquet(FullSpec),
    /// An event log in XES (IEEE 1849), plain or gzipped. One row per event.
    Xes(FullSpec),
}

impl FormatSpec {
    /// The YAML key of this format.
    pub fn name(&self) -> &'static str {
        match self {
            FormatSpec::Csv(_) => "csv",
            FormatSpec::Xlsx(_) => "xlsx",
            FormatSpec::Json(_) => "json",
            FormatSpec::Ndjson(_) => "ndjson",
            FormatSpec::Parquet(_) => "parquet",
            FormatSpec::Xes(_) => "xes",
        }
    }
}

/// Delimited text. What is left out is found from each file and said when it is surprising.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CsvSpec {
    /// `auto` (byte order mark, else UTF-8 when valid, else the likeliest of GB18030, Big5 and others) or a name
    /// such as `utf-8`, `gb18030`, `big5`.
    pub encoding: String,
    /// `auto` (comma, semicolon, tab, bar, space or colon), one character, `tab` or `space`.
    pub delimiter: String,
    /// What stands around fields that hold delimiters or line ends: `auto` (`"` or `'`), one character, or
    /// `none` when quotes are text, as inch marks are.
    pub quote: String,
    /// What takes the meaning of a quote inside quotes: `auto`, `none` (a quote is doubled), or one character
    /// such as `\\`.
    pub escape: String,
    /// Unquoted texts that mean no value, for example `["\\N", "NULL"]`. Left out: `\N`, as databases write it.
    pub null: Option<Vec<String>>,
    /// Whether the first row names the columns; otherwise they are `column_1`, `column_2`, …. Left out: found.
    pub header: Option<bool>,
    /// Lines to skip before the header. Left out: title lines above the header are found.
    pub skip: Option<usize>,
    /// Rows with too few fields land with NULL in the missing last columns, instead of being set aside.
    pub null_padding: bool,
    /// Lines that start with this character are no rows, for example `#`.
    pub comment: Option<String>,
}

impl Default for CsvSpec {
    fn default() -> Self {
        let auto = || "auto".to_owned();
        CsvSpec {
            encoding: auto(),
            delimiter: auto(),
            quote: auto(),
            escape: auto(),
            null: None,
            header: None,
            skip: None,
            null_padding: false,
            comment: None,
        }
    }
}

/// A spreadsheet.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct XlsxSpec {
    /// Name of the sheet; the first sheet that has cells when left out.
    pub sheet: Option<String>,
    /// `auto` (the row that names the columns: words, or days, dates and years above them), `none` (every row is data,
    /// the columns are `column_1`, `column_2`, …) or the 1-based row number of the header.
    pub header_row: HeaderRow,
    /// Give every cell of a merged region the region's text or date. Numbers stay in the first cell: an amount over
    /// three rows is one amount.
    pub fill_merged: bool,
}

impl Default for XlsxSpec {
    fn default() -> Self {
        XlsxSpec { sheet: None, header_row: HeaderRow::Auto, fill_merged: true }
    }
}

/// One JSON document.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JsonSpec {
    /// Where the records are, for example `$.data.items`. Left out, the document is the array of records.
    pub records: Option<JsonPath>,
}

/// How the next page of an API is found.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PageSpec {
    /// Pages are numbered from `first`; a short or empty page is the last.
    Number(NumberPage),
    /// Pages begin behind a number of records; an empty page is the end.
    Offset(OffsetPage),
    /// Every answer carries the cursor of the next page.
    Cursor(CursorPage),
    /// Every answer carries the address of the next page.
    Next(NextPage),
    /// Every answer has a `Link: <…>; rel="next"` header.
    Link(LinkPage),
}

/// Numbered pages.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumberPage {
    /// Query parameter of the page number.
    pub param: String,
    /// Query parameter of the page size.
    pub size_param: Option<String>,
    /// Records per page.
    #[serde(default = "page_size")]
    pub size: u32,
    /// Number of the first page.
    #[serde(default = "first_page")]
    pub first: u32,
    /// Where the answer says whether more pages follow; common names such as `has_more` are found.
    pub more: Option<JsonPath>,
}

/// Pages by offset.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OffsetPage {
    /// Query parameter of the number of records before the page, for example `offset`.
    pub param: String,
    /// Query parameter of the page size, for example `limit`.
    pub size_param: Option<String>,
    /// Records per page.
    #[serde(default = "page_size")]
    pub size: u32,
    /// Where the answer says whether more pages follow; common names such as `has_more` are found.
    pub more: Option<JsonPath>,
}

/// Pages by the address of the next, in the answer.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NextPage {
    /// Where the address is, for example `next` or `$.links.next`; absent, null or empty ends. It must be on the
    /// same host.
    pub at: JsonPath,
    /// Query parameter of the page size.
    pub size_param: Option<String>,
    /// Records per page, sent only with `size_param`.
    pub size: Option<u32>,
}

/// Pages by cursor.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CursorPage {
    /// Query parameter that receives the cursor.
    pub param: String,
    /// Where the next cursor is inside the answer, for example `next_cursor`; absent, null or empty ends. A whole
    /// address is followed on the same host.
    pub next: JsonPath,
    /// Query parameter of the page size.
    pub size_param: Option<String>,
    /// Records per page.
    #[serde(default = "page_size")]
    pub size: u32,
    /// Where the answer says whether more pages follow; common names such as `has_more` are found.
    pub more: Option<JsonPath>,
}

/// Pages by Link header.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LinkPage {
    /// Query parameter of the page size.
    pub size_param: Option<String>,
    /// Records per page, sent only with `size_param`.
    pub size: Option<u32>,
}

fn page_size() -> u32 {
    200
}

fn first_page() -> u32 {
    1
}

impl SourceSpec {
    /// When the source is read by itself; `None` means by hand.
    ///
    /// # Errors
    /// The cron expression does not parse, or both `every` and `cron` are given.
    pub fn schedule(&self) -> Result<Option<Schedule>, String> {
        match (&self.every, &self.cron) {
            (Some(_), Some(_)) => Err("`every` and `cron` are both given; keep one".into()),
            (Some(span), None) => Ok(Some(Schedule::Every(span.0))),
            (None, Some(cron)) => Schedule::parse(cron).map(Some).map_err(|e| e.to_string()),
            (None, None) => Ok(None),
        }
    }

    /// The raw table that a stream lands in.
    pub fn table(source: &str, stream: &str) -> TableName {
        TableName { zone: Zone::Raw, name: format!("{source}_{stream}") }
    }

    /// The raw table that rows which cannot be parsed land in.
    pub fn rejected_table(source: &str, stream: &str) -> TableName {
        TableName { zone: Zone::Raw, name: format!("{source}_{stream}_rejected") }
    }
}

impl StreamSpec {
    /// The cursor column, when this stream has one.
    pub(crate) fn cursor(&self) -> Option<&str> {
        match self.mode.as_ref()? {
            ModeSpec::Full(_) => None,
            ModeSpec::Incremental(i) => Some(&i.cursor),
            ModeSpec::Upsert(u) => u.cursor.as_deref(),
        }
    }

    /// How far behind the last cursor value reading starts.
    pub(crate) fn overlap(&self) -> std::time::Duration {
        let span = match self.mode.as_ref() {
            Some(ModeSpec::Incremental(i)) => i.overlap.as_ref(),
            Some(ModeSpec::Upsert(u)) => u.overlap.as_ref(),
            _ => None,
        };
        span.map(|s| s.0).unwrap_or_default()
    }

    /// Whether the definition says how far to look back, be it not at all.
    pub(crate) fn overlap_is_given(&self) -> bool {
        match self.mode.as_ref() {
            Some(ModeSpec::Incremental(i)) => i.overlap.is_some(),
            Some(ModeSpec::Upsert(u)) => u.overlap.is_some(),
            _ => true,
        }
    }

    /// The query parameter that receives the last cursor value (rest).
    pub(crate) fn cursor_param(&self) -> Option<&str> {
        match self.mode.as_ref()? {
            ModeSpec::Full(_) => None,
            ModeSpec::Incremental(i) => i.param.as_deref(),
            ModeSpec::Upsert(u) => u.param.as_deref(),
        }
    }

    /// The key columns of an upsert.
    pub(crate) fn key(&self) -> Option<&[String]> {
        match self.mode.as_ref()? {
            ModeSpec::Upsert(u) => Some(&u.key),
            _ => None,
        }
    }
}
