//! What is no mistake but is better known: said by `check` as warnings.

use store::Problem;

use super::{DatabaseSpec, KindSpec, ModeSpec, SourceSpec, StreamSpec, TlsSpec};

impl SourceSpec {
    /// What this definition may lose or show although it is valid.
    pub fn advice(&self) -> Vec<Problem> {
        let mut said = Vec::new();
        if let KindSpec::Postgres(database) | KindSpec::Mysql(database) = &self.kind {
            said.extend(open_line(database).map(|p| p.at_key("kind").at_key(self.kind.name()).at_key("tls")));
        }
        for (name, stream) in &self.streams {
            said.extend(late_rows(stream, name));
            said.extend(rows_that_go(stream, name, &self.kind));
        }
        said
    }
}

fn open_line(database: &DatabaseSpec) -> Option<Problem> {
    let what = match database.tls {
        Some(TlsSpec::Unverified) => {
            "the server's certificate is not verified, so another may answer in its place"
        }
        Some(TlsSpec::Off) => "rows and the login travel without TLS: everybody on the way can read them",
        _ => return None,
    };
    Some(Problem::new(what).hint("tls: { ca: company.pem }   trusts your own certificates"))
}

fn late_rows(stream: &StreamSpec, name: &str) -> Option<Problem> {
    let cursor = stream.cursor()?;
    if stream.overlap_is_given() || counts(cursor) {
        return None;
    }
    let mode = match stream.mode {
        Some(ModeSpec::Upsert(_)) => "upsert",
        _ => "incremental",
    };
    Some(
        Problem::new(format!(
            "a row that is committed late, with a `{cursor}` before the last one read, is never found"
        ))
        .hint("overlap: 10m   looks back and lands no row twice; `overlap: 0s` says that no writer commits late")
        .at_key("streams")
        .at_key(name)
        .at_key("mode")
        .at_key(mode)
        .at_key("cursor"),
    )
}

/// A column whose name says that it counts rows: there is no time to look back.
fn counts(cursor: &str) -> bool {
    let name = cursor.to_lowercase();
    let last = name.rsplit(['_', '.', '-']).next().unwrap_or(&name);
    matches!(
        last,
        "id" | "seq"
            | "sequence"
            | "no"
            | "nr"
            | "num"
            | "number"
            | "version"
            | "rev"
            | "revision"
            | "rowid"
            | "offset"
            | "lsn"
            | "scn"
            | "rowversion"
            | "xmin"
            | "key"
            | "n"
    ) || (cursor.len() > 2 && cursor.ends_with("Id"))
}

/// Without a cursor everything is read, and yet a row that is gone stays.
fn rows_that_go(stream: &StreamSpec, name: &str, kind: &KindSpec) -> Option<Problem> {
    let Some(ModeSpec::Upsert(upsert)) = &stream.mode else { return None };
    if upsert.cursor.is_some() || matches!(kind, KindSpec::Files(_)) {
        return None;
    }
    Some(
        Problem::new("everything is read each time, but rows that are deleted at the source stay")
            .hint("mode: { full: {} }   follows deletions and costs the same reading")
            .at_key("streams")
            .at_key(name)
            .at_key("mode")
            .at_key("upsert"),
    )
}
