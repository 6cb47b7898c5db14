//! Columns that folders name, as Hive, Spark and DuckDB write them: `dt=2026-01-01/region=east/part-0.parquet`.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, new_null_array};
use arrow::datatypes::{DataType, FieldRef};

/// What Hive writes for no value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// One folder's column: the same text in every row of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

impl Partition {
    /// The column of so many rows.
    pub(crate) fn column(&self, rows: usize) -> ArrayRef {
        match &self.value {
            Some(value) => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, rows))),
            None => new_null_array(&DataType::Utf8, rows),
        }
    }
}

/// The partition columns in the path of a file. A column that the file has itself holds the same and stays.
pub(crate) fn partitions(file: &str, own: &[FieldRef]) -> Vec<Partition> {
    let mut found: Vec<Partition> = Vec::new();
    let folders = file.rsplit_once('/').map_or("", |(folders, _)| folders);
    for (name, value) in folders.split('/').filter_map(|folder| folder.split_once('=')) {
        let name = decoded(name);
        let same = |other: &str| other.to_lowercase() == name.to_lowercase();
        let taken = own.iter().any(|f| same(f.name()))
            || found.iter().any(|p| same(&p.name))
            || ["_file", "_row", "_loaded_at"].into_iter().any(same);
        if !taken && !name.trim().is_empty() {
            let value = decoded(value);
            found.push(Partition { name, value: (value != NO_VALUE).then_some(value) });
        }
    }
    found
}

/// Percent signs as writers put them before what a folder name cannot have.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|p| std::str::from_utf8(p).ok());
        match pair.filter(|_| bytes[at] == b'%').and_then(|p| u8::from_str_radix(p, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;

    #[test]
    fn folders_name_columns_that_the_file_does_not_have() {
        let own = [Arc::new(Field::new("Region", DataType::Utf8, true)) as FieldRef];
        let found =
            partitions("x/dt=2026-01-01/region=east/空=a%2Fb/n=__HIVE_DEFAULT_PARTITION__/p=1.parquet", &own);
        let shown: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.value.as_deref())).collect();
        assert_eq!(shown, [("dt", Some("2026-01-01")), ("空", Some("a/b")), ("n", None)]);
        assert_eq!(partitions("plain.csv", &own), []);
    }
}
