//! What serde cannot check: keys that do not belong together, names, globs, encodings.

use store::Problem;

use super::{CsvSpec, DatabaseSpec, FormatSpec, KindSpec, ModeSpec, PageSpec, SourceSpec, StreamSpec};
use crate::sources::files::Glob;

impl SourceSpec {
    /// Every mistake of this definition that can be seen without reaching the source.
    pub fn check(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        self.check_schedule(&mut found);
        self.check_kind(&mut found);
        if self.streams.is_empty() {
            found.push(
                Problem::new("a source needs at least one stream")
                    .at_key("streams")
                    .hint("streams: { orders: { table: orders } }"),
            );
        }
        for (name, stream) in &self.streams {
            let mut inner = Vec::new();
            self.check_name(name, &mut inner);
            stream.check(&self.kind, &mut inner);
            found.extend(inner.into_iter().map(|p: Problem| below(p, name)));
        }
        found
    }

    fn check_schedule(&self, found: &mut Vec<Problem>) {
        if let Err(message) = self.schedule() {
            found.push(
                Problem::new(message).at_key("cron").hint("every: 5m   or   cron: \"*/5 8-20 * * mon-fri\""),
            );
        }
        if let Ok(Some(schedule)) = self.schedule()
            && schedule.is_never()
        {
            found.push(
                Problem::new(format!("`{schedule}` names a date that never comes, so nothing would be read"))
                    .at_key("cron")
                    .hint("for the last day of each month write: cron: \"0 6 L * *\""),
            );
        }
        if self.every.as_ref().is_some_and(|span| span.0.is_zero()) {
            found.push(Problem::new("`every` must be longer than zero").at_key("every").hint("every: 5m"));
        }
    }

    fn check_kind(&self, found: &mut Vec<Problem>) {
        if let KindSpec::Postgres(database) | KindSpec::Mysql(database) = &self.kind {
            self.check_encoding(database, found);
        }
        let KindSpec::Rest(rest) = &self.kind else { return };
        if let Some(Err(message)) = rest.encoding.as_deref().map(crate::formats::encoding::named) {
            found.push(
                Problem::new(message)
                    .at_key("kind")
                    .at_key("rest")
                    .at_key("encoding")
                    .hint("encoding: gb18030"),
            );
        }
        let fit = url::Url::parse(&rest.url)
            .is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host() && u.password().is_none());
        if !fit {
            found.push(
                Problem::new("`url` must be an http or https address without a password")
                    .at_key("kind")
                    .at_key("rest")
                    .at_key("url")
                    .hint("url: \"https://tickets.example.com\" with the token in `token: \"env:NAME\"`"),
            );
        }
    }

    fn check_encoding(&self, database: &DatabaseSpec, found: &mut Vec<Problem>) {
        let Some(encoding) = &database.encoding else { return };
        let at = |message: String| {
            Problem::new(message).at_key("kind").at_key(self.kind.name()).at_key("encoding")
        };
        if matches!(self.kind, KindSpec::Mysql(_)) {
            found.push(
                at("`encoding` applies only to postgres: MySQL knows the character set of each column"
                    .into())
                .hint("remove `encoding`"),
            );
        } else if encoding.eq_ignore_ascii_case("auto") {
            found.push(at("`auto` cannot tell the encoding of a database".into()).hint("encoding: gb18030"));
        } else if let Err(message) = crate::formats::encoding::named(encoding) {
            found.push(at(message).hint("gb18030, big5, shift_jis, windows-1252, …"));
        }
    }

    fn check_name(&self, name: &str, found: &mut Vec<Problem>) {
        if !is_name(name) {
            found.push(
                Problem::new(format!("`{name}` cannot name a table"))
                    .hint("use lower-case letters, digits and _, starting with a letter"),
            );
        }
        if name.strip_suffix("_rejected").is_some_and(|base| self.streams.contains_key(base)) {
            found.push(
                Problem::new(format!("`{name}` is where the unreadable rows of another stream land"))
                    .hint("choose another stream name"),
            );
        }
    }
}

/// Moves a problem of a stream below `streams.<name>`.
fn below(problem: Problem, name: &str) -> Problem {
    let mut path = vec![store::Step::Key("streams".into()), store::Step::Key(name.into())];
    path.extend(problem.path);
    Problem { path, message: problem.message, hint: problem.hint, at: problem.at }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

impl StreamSpec {
    fn check(&self, kind: &KindSpec, found: &mut Vec<Problem>) {
        self.check_keys(kind, found);
        match kind {
            KindSpec::Sqlite(_) | KindSpec::Postgres(_) | KindSpec::Mysql(_) => self.check_table(found),
            KindSpec::Files(_) => self.check_files(found),
            KindSpec::Rest(_) => self.check_rest(found),
        }
        self.check_mode(matches!(kind, KindSpec::Rest(_)), found);
        if let Some(clean) = self.clean.as_deref().filter(|c| !is_name(c)) {
            found.push(
                Problem::new(format!("`{clean}` is not the name of a cleaning"))
                    .at_key("clean")
                    .hint("the file stem of cleans/<name>.yaml"),
            );
        }
    }

    /// Keys of another kind of source are mistakes, as unknown keys are.
    fn check_keys(&self, kind: &KindSpec, found: &mut Vec<Problem>) {
        let (databases, files, rest) =
            (["sqlite", "postgres", "mysql"].as_slice(), ["files"].as_slice(), ["rest"].as_slice());
        let given = [
            ("table", self.table.is_some(), databases),
            ("query", self.query.is_some(), databases),
            ("glob", self.glob.is_some(), files),
            ("format", self.format.is_some(), files),
            ("path", self.path.is_some(), rest),
            ("records", self.records.is_some(), rest),
            ("page", self.page.is_some(), rest),
        ];
        for (key, present, owners) in given {
            if present && !owners.contains(&kind.name()) {
                let message = format!(
                    "`{key}` does not apply to a {} source, only to {}",
                    kind.name(),
                    owners.join(", ")
                );
                found.push(Problem::new(message).at_key(key).hint(format!("remove `{key}`")));
            }
        }
        if self.mode.is_some() && matches!(kind, KindSpec::Files(_)) {
            found.push(
                Problem::new("`mode` does not apply to files: each file is read once, a changed file again")
                    .at_key("mode")
                    .hint("remove `mode`"),
            );
        }
    }

    fn check_table(&self, found: &mut Vec<Problem>) {
        match (&self.table, &self.query) {
            (None, None) => found
                .push(Problem::new("a stream of a database needs `table` or `query`").hint("table: orders")),
            (Some(_), Some(_)) => {
                found.push(Problem::new("`table` and `query` are both given; keep one").at_key("query"))
            }
            (Some(table), None) if table.trim().is_empty() => {
                found.push(Problem::new("`table` is empty").at_key("table"))
            }
            (None, Some(query)) if !starts_like_select(query) => {
                found.push(Problem::new("`query` must be one SELECT (or WITH … SELECT)").at_key("query"));
            }
            _ => {}
        }
    }

    fn check_files(&self, found: &mut Vec<Problem>) {
        match &self.glob {
            None => found.push(Problem::new("a stream of files needs `glob`").hint("glob: \"orders_*.csv\"")),
            Some(glob) => {
                if let Err(message) = Glob::parse(glob) {
                    found.push(
                        Problem::new(message)
                            .at_key("glob")
                            .hint("* and ? match inside a name, ** matches folders, {a,b} either"),
                    );
                }
            }
        }
        match &self.format {
            None => found.push(Problem::new("a stream of files needs `format`").hint("format: { csv: {} }")),
            Some(FormatSpec::Csv(csv)) => check_csv(csv, found),
            Some(_) => {}
        }
    }

    fn check_rest(&self, found: &mut Vec<Problem>) {
        match &self.path {
            None => found.push(Problem::new("a stream of a rest source needs `path`").hint("path: /tickets")),
            Some(path) if path.contains("://") => {
                found.push(
                    Problem::new("`path` is an address; write only what follows the base `url`")
                        .at_key("path")
                        .hint("path: /tickets"),
                );
            }
            Some(_) => {}
        }
        let size = match &self.page {
            Some(PageSpec::Number(p)) => Some(p.size),
            Some(PageSpec::Offset(p)) => Some(p.size),
            Some(PageSpec::Cursor(p)) => Some(p.size),
            Some(PageSpec::Next(p)) => p.size,
            Some(PageSpec::Link(p)) => p.size,
            None => None,
        };
        if let Some(PageSpec::Number(p)) = &self.page
            && counts_records(&p.param)
        {
            found.push(
                Problem::new(format!("`{}` counts records, not pages: pages would overlap", p.param))
                    .at_key("page")
                    .at_key("number")
                    .at_key("param")
                    .hint(format!(
                        "page: {{ offset: {{ param: {}, size_param: limit, size: 200 }} }}",
                        p.param
                    )),
            );
        }
        if size.is_some_and(|s| s == 0 || s > 10_000) {
            found.push(Problem::new("`size` must be between 1 and 10000").at_key("page").hint("size: 200"));
        }
    }

    fn check_mode(&self, rest: bool, found: &mut Vec<Problem>) {
        let (key, cursor, param) = match &self.mode {
            Some(ModeSpec::Incremental(i)) => ("incremental", Some(i.cursor.as_str()), i.param.as_deref()),
            Some(ModeSpec::Upsert(u)) => ("upsert", u.cursor.as_deref(), u.param.as_deref()),
            _ => return,
        };
        let at =
            |message: String, inner: &str| Problem::new(message).at_key("mode").at_key(key).at_key(inner);
        if cursor.is_some_and(|c| c.trim().is_empty()) {
            found.push(at("`cursor` is empty".into(), "cursor").hint("cursor: updated_at"));
        }
        if self.key().is_some_and(|k| k.is_empty() || k.iter().any(|c| c.trim().is_empty())) {
            found.push(at("`key` needs at least one column".into(), "key").hint("key: [id]"));
        }
        if rest && cursor.is_some() && param.is_none() {
            found.push(
                at(
                    "a rest stream with a cursor needs `param`, the query parameter that receives it".into(),
                    "cursor",
                )
                .hint("param: updated_after"),
            );
        }
        if !rest && param.is_some() {
            found.push(at("`param` applies only to rest sources".into(), "param").hint("remove `param`"));
        }
    }
}

/// Names that APIs give to the number of records to skip.
fn counts_records(param: &str) -> bool {
    let plain: String = param.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    matches!(plain.as_str(), "offset" | "skip" | "startat" | "startindex" | "startrow" | "sysparmoffset")
}

fn check_csv(csv: &CsvSpec, found: &mut Vec<Problem>) {
    let at = |message: String, key: &str| Problem::new(message).at_key("format").at_key("csv").at_key(key);
    if let Err(message) = crate::formats::encoding::named(&csv.encoding) {
        found.push(at(message, "encoding").hint("auto, utf-8, gb18030, big5, utf-16le, …"));
    }
    if let Err((key, message)) = crate::formats::csv::Choices::of(csv) {
        let hint = match key {
            "delimiter" => "auto or one of , ; | tab space",
            "quote" => "auto, none or one character such as \"'\"",
            "escape" => "auto, none or \"\\\\\"",
            _ => "one character such as \"#\"",
        };
        found.push(at(message, key).hint(hint));
    }
    if csv.null.iter().flatten().any(|text| text.contains(['\n', '\r'])) {
        found.push(at("a `null` text cannot hold a line end".into(), "null").hint("null: [\"\\\\N\"]"));
    }
    if csv.skip.is_some_and(|lines| lines > 100_000) {
        found.push(at("`skip` is more than 100000 lines".into(), "skip").hint("skip: 2"));
    }
}

fn starts_like_select(query: &str) -> bool {
    let query = query.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    let word: String = query.chars().take_while(char::is_ascii_alphabetic).collect();
    // One statement only: COPY and sub-select wrapping would otherwise run whatever follows.
    let one = !query.trim_end().trim_end_matches(';').contains(';') || query.contains('\'');
    one && (word.eq_ignore_ascii_case("select") || word.eq_ignore_ascii_case("with"))
}
