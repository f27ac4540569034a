//! The DataFusion session that views are planned and run in: names as they are written, one partition, no disk,
//! no files, a bounded memory pool, and the functions that SQL users expect.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::catalog::TableProvider;
use datafusion::common::{Result, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::prelude::SessionConfig;

use super::bounded::{Budget, bound_functions};
use super::moments::{self, SqlTypes};
use super::statement::NESTING_MAX;
use super::{
    bins, forms, guarded, mixed_types, names, numbers, operators, optimizer, raised, rounding, signed, texts,
};

/// Rows that operators pass on at once.
const OPERATOR_ROWS: usize = 8192;

/// What functions that multiply text may make in one run, as a part of the session's memory.
const MULTIPLIED_SHARES: usize = 2;

/// A session over no relations yet, whose queries may hold `memory_max` bytes together.
pub(super) fn session(memory_max: usize) -> Result<SessionState> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_max)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()?;
    let budget = Arc::new(Budget::new(memory_max / MULTIPLIED_SHARES));
    let mut state = SessionStateBuilder::new_with_default_features()
        .with_config(SessionConfig::from(options()?).with_extension(Arc::clone(&budget)))
        .with_runtime_env(runtime)
        .with_file_formats(Vec::new())
        .with_table_factories(HashMap::new())
        .with_type_planner(Arc::new(SqlTypes))
        .with_relation_planners(vec![Arc::new(forms::WithoutKeys)])
        .with_analyzer_rules(optimizer::analyzer_rules(&budget))
        .with_optimizer_rules(optimizer::logical_rules())
        .with_physical_optimizer_rules(optimizer::physical_rules())
        .with_query_planner(Arc::new(guarded::Planner))
        .build();
    datafusion_functions_json::register_all(&mut state)?;
    numbers::install(&mut state)?;
    rounding::install(&mut state)?;
    signed::install(&mut state)?;
    moments::install(&mut state)?;
    bins::install(&mut state)?;
    operators::install(&mut state)?;
    texts::install(&mut state)?;
    names::install(&mut state)?;
    raised::install(&mut state)?;
    mixed_types::install(&mut state)?;
    bound_functions(&mut state, &budget)?;
    Ok(state)
}

/// Makes `relation` readable under its name, exactly as written.
pub(super) fn register(state: &SessionState, name: &str, relation: Arc<dyn TableProvider>) -> Result<()> {
    let reference = TableReference::bare(name.to_owned());
    state.schema_for_ref(reference)?.register_table(name.to_owned(), relation)?;
    Ok(())
}

/// The type that a name in SQL means, as CAST takes it: `DECIMAL(10, 2)`.
///
/// # Errors
/// The reason why it is no type.
pub async fn type_of(name: &str) -> std::result::Result<DataType, String> {
    let query = format!("SELECT CAST(NULL AS {name}) AS value");
    let first_line = |error: DataFusionError| {
        let text = error.find_root().message().into_owned();
        super::upstream::lower_first(text.lines().next().unwrap_or_default())
    };
    let state = session(PLANNING_BYTES_MAX).map_err(first_line)?;
    let plan = state.create_logical_plan(&query).await.map_err(first_line)?;
    match (plan.schema().fields().len(), plan.schema().fields().first()) {
        (1, Some(field)) => Ok(field.data_type().clone()),
        _ => Err("it is more than a type".into()),
    }
}

/// What a session that runs nothing may hold.
const PLANNING_BYTES_MAX: usize = 1 << 20;

fn options() -> Result<ConfigOptions> {
    let mut options = ConfigOptions::new();
    let parser = &mut options.sql_parser;
    parser.enable_ident_normalization = false;
    parser.collect_spans = true;
    // Texts are Utf8 in batches and reference tables; casts give the same, so an output has one type of text.
    parser.map_string_types_to_utf8view = false;
    // A number with a point is exact.
    parser.parse_float_as_decimal = true;
    options.set("datafusion.sql_parser.recursion_limit", &NESTING_MAX.to_string())?;
    options.set("datafusion.execution.batch_size", &OPERATOR_ROWS.to_string())?;
    options.execution.target_partitions = 1;
    options.execution.planning_concurrency = 1;
    options.execution.collect_statistics = false;
    // Why: what is never NULL is found out in the logical plan alone, and the check takes this for a fault
    // (apache/datafusion#25369).
    options.execution.skip_physical_aggregate_schema_check = true;
    let optimizer = &mut options.optimizer;
    // Invariant: plans hold nothing that one run learned from its rows.
    optimizer.enable_dynamic_filter_pushdown = false;
    optimizer.enable_join_dynamic_filter_pushdown = false;
    optimizer.enable_topk_dynamic_filter_pushdown = false;
    optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    Ok(options)
}
