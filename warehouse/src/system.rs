//! What Guanlan records about itself, as tables of the zone system: a fixed SELECT on the metadata database.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder,
    TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DfResult;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, ValueRef};
use store::Metadata;

use crate::error::{Error, Result};

/// The newest rows that a look into a system table sees.
const ROWS: usize = 200_000;
const BATCH: usize = 8192;

/// A table of the zone system. `columns` name the SELECT's columns in order; types are Utf8, Int64, Float64, Boolean
/// (0/1 in the database) and Timestamp(µs, "UTC") (BIGINT microseconds in the database).
#[derive(Debug, Clone)]
pub struct SystemTable {
    pub name: String,
    pub schema: SchemaRef,
    sql: String,
}

impl SystemTable {
    /// `sql` is fixed text of the program, never a user's.
    pub fn new(name: &str, columns: &[(&str, DataType)], sql: &str) -> Self {
        let fields: Vec<Field> =
            columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
        Self { name: name.to_owned(), schema: Arc::new(Schema::new(fields)), sql: sql.to_owned() }
    }

    pub(crate) fn provider(&self, db: &Metadata) -> Arc<dyn TableProvider> {
        Arc::new(SystemScan { table: self.clone(), db: db.clone() })
    }

    /// The database reads only the columns and rows that are asked for: texts and evidence are long.
    async fn rows(
        &self,
        db: &Metadata,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let failed = |e: sqlx::Error| Error::Store {
            table: None,
            message: format!("cannot read system.{} from the metadata database: {e}", self.name),
        };
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let sql = self.select(projection, limit.unwrap_or(ROWS).min(ROWS));
        let mut found = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch(db.pool());
        let mut batches = vec![];
        let mut columns = Columns::new(&schema);
        while let Some(row) = found.try_next().await.map_err(failed)? {
            columns.push(&row).map_err(failed)?;
            if columns.rows == BATCH {
                batches.push(columns.finish(&schema)?);
            }
        }
        batches.push(columns.finish(&schema)?);
        Ok((schema, batches))
    }

    /// Columns are taken by their place: the names that readers see need not be those of the SELECT.
    fn select(&self, projection: Option<&Vec<usize>>, rows: usize) -> String {
        let list = |columns: &mut dyn Iterator<Item = usize>| -> String {
            columns.map(|at| format!("c{at}")).collect::<Vec<_>>().join(", ")
        };
        let all = list(&mut (0..self.schema.fields().len()));
        let wanted = match projection {
            None => all.clone(),
            // Only counted.
            Some(none) if none.is_empty() => "1".to_owned(),
            Some(some) => list(&mut some.iter().copied()),
        };
        format!("WITH t ({all}) AS ({}) SELECT {wanted} FROM t LIMIT {rows}", self.sql)
    }
}

struct Columns {
    builders: Vec<Builder>,
    rows: usize,
}

enum Builder {
    Text(StringBuilder),
    Whole(Int64Builder),
    Number(Float64Builder),
    Truth(BooleanBuilder),
    Moment(TimestampMicrosecondBuilder),
}

impl Columns {
    fn new(schema: &Schema) -> Self {
        let builder = |field: &Arc<Field>| match field.data_type() {
            DataType::Int64 => Builder::Whole(Int64Builder::new()),
            DataType::Float64 => Builder::Number(Float64Builder::new()),
            DataType::Boolean => Builder::Truth(BooleanBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Builder::Moment(TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone()))
            }
            _ => Builder::Text(StringBuilder::new()),
        };
        Self { builders: schema.fields().iter().map(builder).collect(), rows: 0 }
    }

    fn push(&mut self, row: &SqliteRow) -> sqlx::Result<()> {
        for (i, builder) in self.builders.iter_mut().enumerate() {
            let null = row.try_get_raw(i)?.is_null();
            match builder {
                Builder::Text(b) => {
                    b.append_option(if null { None } else { Some(row.try_get_unchecked::<String, _>(i)?) })
                }
                Builder::Whole(b) => {
                    b.append_option(if null { None } else { Some(row.try_get_unchecked::<i64, _>(i)?) })
                }
                Builder::Number(b) => {
                    b.append_option(if null { None } else { Some(row.try_get_unchecked::<f64, _>(i)?) })
                }
                Builder::Truth(b) => {
                    b.append_option(if null { None } else { Some(row.try_get_unchecked::<i64, _>(i)? != 0) });
                }
                Builder::Moment(b) => {
                    b.append_option(if null { None } else { Some(row.try_get_unchecked::<i64, _>(i)?) })
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        let arrays =
            self.builders.iter_mut().zip(schema.fields()).map(|(builder, field)| -> Result<ArrayRef> {
                let array: ArrayRef = match builder {
                    Builder::Text(b) => Arc::new(b.finish()),
                    Builder::Whole(b) => Arc::new(b.finish()),
                    Builder::Number(b) => Arc::new(b.finish()),
                    Builder::Truth(b) => Arc::new(b.finish()),
                    Builder::Moment(b) => Arc::new(b.finish()),
                };
                if array.data_type() == field.data_type() {
                    return Ok(array);
                }
                Ok(datafusion::arrow::compute::cast(&array, field.data_type())?)
            });
        let arrays = arrays.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        self.rows = 0;
        Ok(RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?)
    }
}

#[derive(Debug)]
struct SystemScan {
    table: SystemTable,
    db: Metadata,
}

#[async_trait]
impl TableProvider for SystemScan {
    fn schema(&self) -> SchemaRef {
        self.table.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let rows = self.table.rows(&self.db, projection, limit).await;
        let (schema, rows) = rows.map_err(Error::into_datafusion)?;
        Ok(MemorySourceConfig::try_new_exec(&[rows], schema, None)?)
    }
}
