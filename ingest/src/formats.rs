//! One file format each: a local file → batches of rows, on a blocking thread, in bounded memory.

pub(crate) mod columns;
pub(crate) mod csv;
pub(crate) mod encoding;
pub(crate) mod json;
pub(crate) mod parquet;
mod partitions;
pub(crate) mod sink;
pub(crate) mod xes;
pub(crate) mod xlsx;
mod zip_guard;

use std::path::Path;

use crate::spec::FormatSpec;
use sink::{Sink, Stop};

/// Reads one file into a sink; the landing boundary behind its last row is set by [`Sink::finish`].
///
/// # Errors
/// The file is damaged, or nobody listens any more.
pub(crate) fn read(path: &Path, format: &FormatSpec, sink: &mut Sink) -> Result<(), Stop> {
    sink.found("format", format.name());
    match format {
        FormatSpec::Csv(spec) => csv::read(path, spec, sink),
        FormatSpec::Xlsx(spec) => xlsx::read(path, spec, sink),
        FormatSpec::Json(spec) => json::read_document(path, spec, sink),
        FormatSpec::Ndjson(_) => json::read_lines(path, sink),
        FormatSpec::Parquet(_) => parquet::read(path, sink),
        FormatSpec::Xes(_) => xes::read(path, sink),
    }
}
