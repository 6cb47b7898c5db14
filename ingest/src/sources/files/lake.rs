//! Folders of table formats: their Parquet files hold rows that the table has removed or replaced, and read by
//! themselves these rows would come back.

use std::collections::BTreeMap;
use std::path::Path;

use futures::StreamExt;
use object_store::ObjectStore;
use object_store::path::Path as Key;

use super::Place;
use super::list::Entry;
use super::state::Seen;
use crate::error::SourceError;
use crate::spec::FormatSpec;

/// Folders that are looked into per read.
const MOST_FOLDERS: usize = 10_000;

/// What a folder belongs to: its name and what gives it away.
type Lake = (&'static str, &'static str);

const DELTA: Lake = ("Delta table", "_delta_log");
const HUDI: Lake = ("Hudi table", ".hoodie");
const ICEBERG: Lake = ("Iceberg table", "metadata/*.metadata.json");

/// Leaves out the files of table formats, one error for each of their folders.
pub(super) async fn leave_out(
    place: &Place,
    format: &FormatSpec,
    due: Vec<(Entry, Seen)>,
) -> (Vec<(Entry, Seen)>, Vec<SourceError>) {
    if !matches!(format, FormatSpec::Parquet(_)) {
        return (due, Vec::new());
    }
    let mut known: BTreeMap<String, Option<Lake>> = BTreeMap::new();
    for folder in due.iter().flat_map(|(e, _)| above(&e.name)) {
        if known.len() < MOST_FOLDERS && !known.contains_key(folder) {
            let lake = match place {
                Place::Local(root) => local(root, folder),
                Place::Remote(store, root) => remote(store.as_ref(), root, folder).await,
            };
            known.insert(folder.to_owned(), lake);
        }
    }
    known.retain(|_, lake| lake.is_some());
    let (kept, left): (Vec<_>, Vec<_>) =
        due.into_iter().partition(|(e, _)| !above(&e.name).any(|folder| known.contains_key(folder)));
    let mut refused = Vec::new();
    for (folder, lake) in &known {
        let files = left.iter().filter(|(e, _)| above(&e.name).any(|f| f == folder)).count();
        // A table inside a refused one is said once.
        let outer = above(folder).any(|f| f != folder && known.contains_key(f));
        if let Some((what, sign)) = lake.filter(|_| files > 0 && !outer) {
            let shown = if folder.is_empty() {
                "the source's folder".to_owned()
            } else {
                format!("folder `{folder}`")
            };
            refused.push(SourceError::never(format!(
                "{shown} is a {what} (it has `{sign}`): {files} Parquet files of it were not read, because rows that the table removed are still in them; export the table's present state to a folder of its own (in DuckDB: COPY (FROM delta_scan('…')) TO 'out.parquet'), or narrow `glob`"
            )));
        }
    }
    (kept, refused)
}

/// The folders that a file is in, the source's own (an empty name) included; those that name a partition have no log.
fn above(name: &str) -> impl Iterator<Item = &str> {
    let ends = name.match_indices('/').map(|(at, _)| at);
    std::iter::once("")
        .chain(ends.map(|at| &name[..at]))
        .filter(|f| !f.rsplit('/').next().unwrap_or("").contains('='))
}

fn local(root: &Path, folder: &str) -> Option<Lake> {
    let at = root.join(folder);
    // The source's folder may itself be a part of a table.
    let mut places: Vec<&Path> = vec![&at];
    if folder.is_empty() {
        places.extend(root.ancestors().skip(1).take(8));
    }
    if places.iter().any(|p| p.join(DELTA.1).is_dir()) {
        return Some(DELTA);
    }
    if places.iter().any(|p| p.join(HUDI.1).is_dir()) {
        return Some(HUDI);
    }
    let iceberg = |p: &&Path| {
        let names = std::fs::read_dir(p.join("metadata")).into_iter().flatten().flatten();
        names.take(1000).any(|e| e.file_name().to_string_lossy().ends_with(".metadata.json"))
    };
    (iceberg(&at.as_path()) || (at.ends_with("data") && at.parent().is_some_and(|p| iceberg(&p))))
        .then_some(ICEBERG)
}

async fn remote(store: &dyn ObjectStore, root: &str, folder: &str) -> Option<Lake> {
    for lake in [DELTA, HUDI, ICEBERG] {
        let sign = lake.1.split('/').next().unwrap_or_default();
        let path =
            [root, folder, sign].iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join("/");
        let Ok(prefix) = Key::parse(&path) else { continue };
        let mut objects = store.list(Some(&prefix)).take(1000);
        while let Some(Ok(object)) = objects.next().await {
            if lake != ICEBERG || object.location.as_ref().ends_with(".metadata.json") {
                return Some(lake);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn folders_above_a_file_are_those_that_could_be_a_table() {
        assert_eq!(above("a/b/dt=1/x.parquet").collect::<Vec<_>>(), ["", "a", "a/b"]);
        assert_eq!(above("x.parquet").collect::<Vec<_>>(), [""]);
    }

    #[tokio::test]
    async fn tables_in_a_store_are_refused_by_name() {
        let store = InMemory::new();
        for name in ["lake/t/_delta_log/0.json", "lake/t/dt=1/a.parquet", "lake/plain/b.parquet"] {
            store.put(&Key::parse(name).unwrap(), "a".into()).await.unwrap();
        }
        let entry = |name: &str| {
            (Entry { name: name.into(), size: 1, modified: 0, changed: 0, key: Key::default() }, Seen::New)
        };
        let place = Place::Remote(Arc::new(store), "lake".into());
        let due = vec![entry("t/dt=1/a.parquet"), entry("plain/b.parquet")];
        let (kept, refused) = leave_out(&place, &FormatSpec::Parquet(Default::default()), due).await;
        assert_eq!(kept.len(), 1);
        assert!(
            refused.len() == 1 && refused[0].to_string().contains("folder `t` is a Delta table"),
            "{refused:?}"
        );
    }
}
