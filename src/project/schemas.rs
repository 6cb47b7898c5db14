//! JSON Schemas of the project's files, for editors that complete and check while one types.

use dashboards::DashboardSpec;
use ingest::SourceSpec;
use rules::RuleSpec;
use schemars::{JsonSchema, schema_for};
use serde_json::Value;
use warehouse::clean::CleanSpec;
use warehouse::metric::MetricSpec;
use warehouse::model::ModelHeader;

use super::calendar::CalendarFile;
use crate::config::Config;

/// File name → schema. The header of a model is described like a file of its own.
pub fn schemas() -> Vec<(String, Value)> {
    vec![
        schema::<Config>("guanlan", "guanlan.yaml"),
        schema::<SourceSpec>("source", "sources/*.yaml"),
        schema::<CleanSpec>("clean", "cleans/*.yaml"),
        schema::<ModelHeader>("model", "the header of models/**/*.sql"),
        schema::<MetricSpec>("metric", "metrics/*.yaml"),
        schema::<DashboardSpec>("dashboard", "dashboards/*.yaml"),
        schema::<RuleSpec>("rule", "rules/*.yaml"),
        schema::<CalendarFile>("calendar", "calendar.yaml"),
    ]
}

fn schema<T: JsonSchema>(name: &str, files: &str) -> (String, Value) {
    let mut schema = schema_for!(T).to_value();
    if let Value::Object(fields) = &mut schema {
        fields.insert("title".into(), format!("Guanlan: {files}").into());
    }
    (format!("{name}.schema.json"), schema)
}
