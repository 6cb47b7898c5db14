//! Rows that are no data: totals below a table, separators, headers that come again.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use regex::Regex;
use store::{Problem, Step};

use super::spec::{CleanSpec, SkipRows};
use super::text::wrong_pattern;
use crate::Result;

/// What `skip` of a cleaning says, ready to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Skips(Vec<Skip>);

#[derive(Clone, Debug)]
struct Skip {
    column: String,
    values: Vec<String>,
    pattern: Option<Regex>,
    empty: bool,
}

impl Skips {
    /// The problem's path starts at the root of the file.
    pub(crate) fn compile(spec: &CleanSpec) -> Result<Self, Problem> {
        let compiled = spec.skip.iter().enumerate().map(|(index, skip)| {
            let pattern =
                skip.pattern.as_deref().map(|text| Regex::new(text).map_err(|e| wrong_pattern(text, &e)));
            let pattern = pattern.transpose().map_err(|problem| {
                problem.at_key("pattern").within(Step::Index(index)).within(Step::Key("skip".to_owned()))
            })?;
            let SkipRows { column, values, empty, .. } = skip.clone();
            Ok(Skip { column, values, pattern, empty })
        });
        compiled.collect::<Result<_, _>>().map(Self)
    }

    /// The rows of a batch that are data; None when all are. A column that the batch does not have skips nothing.
    pub(crate) fn data(&self, rows: &RecordBatch) -> Result<Option<RecordBatch>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut keep = vec![true; rows.num_rows()];
        for skip in &self.0 {
            let Some(column) = rows.column_by_name(&skip.column) else { continue };
            let texts = cast(column, &DataType::Utf8)?;
            let texts = texts.as_string::<i32>();
            for (row, keep) in keep.iter_mut().enumerate() {
                *keep &= !skip.fits(texts.is_valid(row).then(|| texts.value(row)));
            }
        }
        match keep.iter().all(|keep| *keep) {
            true => Ok(None),
            false => Ok(Some(filter_record_batch(rows, &BooleanArray::from(keep))?)),
        }
    }
}

impl Skip {
    fn fits(&self, text: Option<&str>) -> bool {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        match text {
            None => self.empty,
            Some(text) => {
                self.values.iter().any(|value| value == text)
                    || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
            }
        }
    }
}
