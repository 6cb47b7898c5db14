//! Plans SQL over tables of which only the columns are known: no store, no rows, no server.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider,
};
use datafusion::common::Result;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::{SessionConfig, SessionContext};
use warehouse::{TableName, Zone};

const CATALOGUE: &str = "guanlan";

/// The functions of the house, their number of arguments and what they return. Planning needs no more; that
/// the warehouse has the same is held by a test.
pub(crate) const FUNCTIONS: [(&str, &[&str], usize, DataType); 7] = [
    (
        "now",
        &["current_timestamp", "sysdate", "getdate", "systimestamp"],
        0,
        DataType::Timestamp(TimeUnit::Microsecond, None),
    ),
    ("current_date", &["today", "curdate"], 0, DataType::Date32),
    ("local_date", &[], 1, DataType::Date32),
    ("local_hour", &[], 1, DataType::Int32),
    ("working_hours", &[], 2, DataType::Float64),
    ("is_workday", &[], 1, DataType::Boolean),
    ("bucket_start", &[], 2, DataType::Timestamp(TimeUnit::Microsecond, None)),
];

/// Options as the warehouse's own sessions have them, where they decide about names and types.
static BASE: LazyLock<SessionState> = LazyLock::new(|| {
    let mut config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOGUE, Zone::Mart.as_str());
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    config.options_mut().execution.time_zone = Some("UTC".into());
    let mut state = SessionStateBuilder::new().with_config(config).with_default_features().build();
    let calendar = Arc::new(warehouse::Calendar::built_in(chrono_tz::UTC));
    let clock: store::SharedClock = Arc::new(store::SystemClock);
    // A function that could not be registered shows as missing in the check of whoever calls it.
    if let Err(error) = warehouse::sql_functions(&mut state, &calendar, &clock) {
        tracing::error!(error.message = %error, "the SQL functions could not be prepared for checks");
    }
    state
});

/// A context that knows exactly these tables, all empty.
pub(crate) fn context(tables: Vec<(TableName, SchemaRef)>) -> Result<SessionContext> {
    let house = MemoryCatalogProvider::new();
    for zone in Zone::ALL {
        let schema = MemorySchemaProvider::new();
        for (table, columns) in tables.iter().filter(|(table, _)| table.zone == zone) {
            schema.register_table(table.name.clone(), Arc::new(EmptyTable::new(columns.clone())))?;
        }
        house.register_schema(zone.as_str(), Arc::new(schema))?;
    }
    let catalogues = MemoryCatalogProviderList::new();
    catalogues.register_catalog(CATALOGUE.into(), Arc::new(house));
    let state =
        SessionStateBuilder::new_from_existing(BASE.clone()).with_catalog_list(Arc::new(catalogues)).build();
    let context = SessionContext::new_with_state(state);
    context.deregister_udf("current_time");
    for (name, aliases, arguments, returns) in &FUNCTIONS {
        let signature = match arguments {
            0 => Signature::nullary(Volatility::Stable),
            n => Signature::any(*n, Volatility::Immutable),
        };
        // A constant array of types cannot hold the name of a zone.
        let returns = match returns {
            DataType::Timestamp(unit, None) => DataType::Timestamp(*unit, Some("UTC".into())),
            other => other.clone(),
        };
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        context.register_udf(ScalarUDF::new_from_impl(Shape { name, aliases, signature, returns }));
    }
    Ok(context)
}

/// A function that can be planned, not run.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Shape {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
    returns: DataType,
}

impl ScalarUDFImpl for Shape {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        datafusion::common::plan_err!("{} is only planned here", self.name)
    }
}
