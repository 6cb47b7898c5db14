//! The columns that a stream's files have had so far: each further file is compared with them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{Field, FieldRef};

use crate::error::SourceError;

/// Columns that one message lists.
const SHOWN: usize = 8;
/// What joins names in a cursor: no name holds it.
const JOINT: char = '\u{1f}';

/// Columns of the stream, shared by the readers of its files.
#[derive(Clone)]
pub(crate) struct Known {
    names: Arc<Mutex<Names>>,
    /// The format names each value, so that a missing column is nothing to speak of.
    loose: bool,
}

#[derive(Default)]
struct Names {
    list: Vec<String>,
    /// Place in the list by lower-case name: tables tell columns apart without case.
    places: HashMap<String, usize>,
}

impl Names {
    fn add(&mut self, name: &str) -> bool {
        let place = self.list.len();
        let new = !self.places.contains_key(&name.to_lowercase());
        if new {
            self.places.insert(name.to_lowercase(), place);
            self.list.push(name.to_owned());
        }
        new
    }
}

/// What a file's columns are to those before it.
#[derive(Default)]
pub(crate) struct Fitted {
    pub(crate) warnings: Vec<String>,
    /// Columns that are new, as a cursor keeps them.
    pub(crate) new: Option<String>,
}

impl Known {
    /// Those of a cursor.
    pub(super) fn read(joined: Option<&str>, loose: bool) -> Self {
        let mut names = Names::default();
        for name in joined.into_iter().flat_map(|text| text.split(JOINT)).filter(|name| !name.is_empty()) {
            names.add(name);
        }
        Known { names: Arc::new(Mutex::new(names)), loose }
    }

    /// One text after another, each name once.
    pub(super) fn join(before: &str, more: &str) -> String {
        let known = Known::read(Some(before), true);
        let mut names = known.names.lock().unwrap_or_else(PoisonError::into_inner);
        more.split(JOINT).filter(|name| !name.is_empty()).for_each(|name| {
            names.add(name);
        });
        names.list.join(&JOINT.to_string())
    }

    /// The names, when there are any.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        (!names.list.is_empty()).then(|| names.list.clone())
    }

    /// Gives a file's columns the spelling that the table has, and says which come and go.
    ///
    /// # Errors
    /// The file has none of the columns: it belongs elsewhere, or its header is missing.
    pub(crate) fn fit(&self, file: &str, fields: &mut [FieldRef]) -> Result<Fitted, SourceError> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let first = names.list.is_empty();
        let mut met = vec![false; names.list.len()];
        for field in fields.iter_mut() {
            let Some(place) = names.places.get(&field.name().to_lowercase()).copied() else { continue };
            met[place] = true;
            if *field.name() != names.list[place] {
                *field = Arc::new(Field::clone(field).with_name(&names.list[place]));
            }
        }
        if !first && !self.loose && !met.contains(&true) {
            let has: Vec<String> = fields.iter().map(|f| f.name().clone()).collect();
            return Err(SourceError::never(format!(
                "it is set aside whole: none of its columns ({}) is one of this stream's ({}); give the file the header of the others and drop it again, or move it to a stream of its own",
                list(&has),
                list(&names.list)
            )));
        }
        let mut fitted = Fitted::default();
        let gone: Vec<String> =
            met.iter().zip(&names.list).filter(|(met, _)| !**met).map(|(_, name)| name.clone()).collect();
        if !gone.is_empty() && !self.loose {
            fitted.warnings.push(format!(
                "file `{file}` no longer has the {} {}; new rows have NULL there",
                columns(gone.len()),
                list(&gone)
            ));
        }
        let new: Vec<String> =
            fields.iter().map(|f| f.name().clone()).filter(|name| names.add(name)).collect();
        if !new.is_empty() {
            if !first && !self.loose {
                fitted.warnings.push(format!(
                    "file `{file}` brings the new {} {}; earlier rows have NULL there",
                    columns(new.len()),
                    list(&new)
                ));
            }
            fitted.new = Some(new.join(&JOINT.to_string()));
        }
        Ok(fitted)
    }
}

fn columns(count: usize) -> &'static str {
    if count == 1 { "column" } else { "columns" }
}

fn list(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    fn fields(names: &[&str]) -> Vec<FieldRef> {
        names.iter().map(|n| Arc::new(Field::new(*n, DataType::Utf8, true)) as FieldRef).collect()
    }

    #[test]
    fn names_match_without_case_and_a_foreign_file_is_refused() {
        let known = Known::read(None, false);
        let new = known.fit("a", &mut fields(&["id", "Amount"])).ok().and_then(|f| f.new);
        assert_eq!(new.as_deref(), Some("id\u{1f}Amount"));
        let mut second = fields(&["ID", "amount", "w"]);
        let fitted = known.fit("b", &mut second).ok().unwrap();
        assert_eq!(second.iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["id", "Amount", "w"]);
        assert_eq!(fitted.warnings, ["file `b` brings the new column `w`; earlier rows have NULL there"]);
        let refused = known.fit("c", &mut fields(&["column_1", "column_2"])).err().unwrap().to_string();
        assert!(
            refused.contains("`column_1`, `column_2`") && refused.contains("`id`, `Amount`"),
            "{refused}"
        );
        assert_eq!(Known::join("a\u{1f}b", "B\u{1f}c"), "a\u{1f}b\u{1f}c");
    }
}
