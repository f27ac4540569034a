//! The whole tables of the database, as the schema `db` of the prompt: looked at only when a query names them, and
//! read as a stream of just the columns and rows it needs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, Session, TableProvider};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};

use crate::database::{Address, Comparison, DatabaseError, Relation, Scan, Value};
use crate::sql::{Physical, PhysicalOperator, leaf};

/// The schema of these tables.
pub(super) const WHOLE: &str = "db";
/// Record batches that were read and are not taken yet.
const WAITING_MAX: usize = 2;

/// The tables of one database.
pub(super) struct WholeTables {
    address: Address,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    names: Vec<String>,
    relations: BTreeMap<String, Relation>,
}

impl WholeTables {
    pub fn new(address: &Address) -> Self {
        Self { address: address.clone(), known: Mutex::default() }
    }

    /// Asks for the names again, and forgets what is known of columns.
    ///
    /// # Errors
    /// The database does not answer, or refuses the statement; what is known then is nothing.
    pub async fn look(&self) -> Result<(), DatabaseError> {
        *self.lock() = Known::default();
        let names = Scan::tables(&self.address).await?;
        self.lock().names = names;
        Ok(())
    }

    /// A table, whose columns are known from now on; `None` if it is not there.
    ///
    /// # Errors
    /// The database's.
    pub async fn relation(&self, name: &str) -> Result<Option<Relation>, DatabaseError> {
        if let Some(known) = self.lock().relations.get(name) {
            return Ok(Some(known.clone()));
        }
        let found = Scan::relation(&self.address, name).await?;
        match &found {
            Some(found) => drop(self.lock().relations.insert(name.to_owned(), found.clone())),
            // Why: a person who errs is told the nearest name.
            None if self.lock().names.is_empty() => self.look().await?,
            None => {}
        }
        Ok(found)
    }

    /// The columns of those tables that a query has named so far.
    pub fn columns(&self) -> Vec<(String, SchemaRef)> {
        let known = self.lock();
        known.relations.iter().map(|(name, relation)| (name.clone(), Arc::clone(&relation.schema))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // What is known is whole between any two statements.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for WholeTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WholeTables").field("address", &self.address).finish_non_exhaustive()
    }
}

#[async_trait]
impl SchemaProvider for WholeTables {
    fn table_names(&self) -> Vec<String> {
        self.lock().names.clone()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let relation = self.relation(name).await.map_err(failed)?;
        let table = |relation| Arc::new(WholeTable { address: self.address.clone(), relation }) as Arc<_>;
        Ok(relation.map(table))
    }

    async fn table_type(&self, _name: &str) -> Result<Option<TableType>> {
        Ok(Some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.lock().names.iter().any(|known| known == name)
    }
}

fn failed(error: DatabaseError) -> DataFusionError {
    DataFusionError::External(Box::new(error.found().clone()))
}

/// One table.
#[derive(Debug)]
struct WholeTable {
    address: Address,
    relation: Relation,
}

#[async_trait]
impl TableProvider for WholeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.relation.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Why inexact: the database leaves rows out, and the planner compares again what it gives.
        let support = filters.iter().map(|filter| match comparison(filter, &self.relation.schema) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        });
        Ok(support.collect())
    }

    async fn scan(
        &self,
        _session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filters = filters.iter().filter_map(|filter| comparison(filter, &self.relation.schema));
        let columns = projection.map(Vec::as_slice);
        let scan = Scan::new(&self.relation, columns, filters.collect(), limit).map_err(failed)?;
        let properties = leaf(scan.schema());
        Ok(Arc::new(Physical(WholeScan { address: self.address.clone(), scan, properties })))
    }
}

/// The comparison that a filter is, where the database answers it as SQL here does: of integers, and whether a text
/// equals another (where its collation takes more texts for equal, rows come that are left out here).
fn comparison(filter: &Expr, schema: &SchemaRef) -> Option<Comparison> {
    let Expr::BinaryExpr(binary) = filter else { return None };
    let (column, value, operator) = match (binary.left.as_ref(), binary.right.as_ref()) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, value, binary.op),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, value, binary.op.swap()?),
        _ => return None,
    };
    let operator = match operator {
        Operator::Eq => "=",
        Operator::Lt => "<",
        Operator::LtEq => "<=",
        Operator::Gt => ">",
        Operator::GtEq => ">=",
        _ => return None,
    };
    let value = match value {
        ScalarValue::Int8(Some(value)) => Value::Int((*value).into()),
        ScalarValue::Int16(Some(value)) => Value::Int((*value).into()),
        ScalarValue::Int32(Some(value)) => Value::Int((*value).into()),
        ScalarValue::Int64(Some(value)) => Value::Int(*value),
        ScalarValue::Utf8(Some(text)) if operator == "=" => Value::text(text.clone()),
        _ => return None,
    };
    let found = schema.field_with_name(&column.name).ok()?.data_type();
    let is_same = match value {
        Value::Int(_) => found.is_integer(),
        _ => *found == DataType::Utf8,
    };
    is_same.then(|| Comparison { column: column.name.clone(), operator, value })
}

/// Reads one table.
#[derive(Debug)]
struct WholeScan {
    address: Address,
    scan: Scan,
    properties: Arc<PlanProperties>,
}

impl PhysicalOperator for WholeScan {
    const NAME: &'static str = "DatabaseScan";

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn execute(&self, _partition: usize, _context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(self.scan.schema()), WAITING_MAX);
        let (sender, scan, address) = (builder.tx(), self.scan.clone(), self.address.clone());
        // The task ends when the stream is dropped, and its connection with it.
        builder.spawn(async move { scan.run(&address, &sender).await.map_err(failed) });
        Ok(builder.build())
    }

    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseScan: {}", self.scan)
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn only_what_the_database_answers_alike_is_left_to_it() {
        let fields = vec![
            Field::new("n", DataType::Int32, true),
            Field::new("name", DataType::Utf8, true),
            Field::new("value", DataType::Float64, true),
        ];
        let schema = Arc::new(Schema::new(fields));
        let pushed = |filter: Expr| {
            comparison(&filter, &schema).map(|found| format!("{} {}", found.column, found.operator))
        };
        assert_eq!(pushed(col("n").gt(lit(5))).as_deref(), Some("n >"));
        assert_eq!(pushed(lit(5).lt_eq(col("n"))).as_deref(), Some("n >="));
        assert_eq!(pushed(col("name").eq(lit("x"))).as_deref(), Some("name ="));
        assert_eq!(pushed(col("name").lt(lit("x"))), None);
        assert_eq!(pushed(col("value").eq(lit(1.0))), None);
        assert_eq!(pushed(col("n").not_eq(lit(5))), None);
    }
}
