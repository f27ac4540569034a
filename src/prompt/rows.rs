//! The rows of a query over a batch, for commands that are no prompt.

use arrow::array::RecordBatch;

use super::refusal::Refusal;
use super::session::Session;
use crate::sql::Typed;

impl Session {
    /// The rows of a query, with its relations ready.
    ///
    /// # Errors
    /// The query or a view that it reads is wrong or fails; or no broker answers.
    pub async fn rows(&mut self, query: &str) -> Result<Vec<RecordBatch>, Refusal> {
        let typed = Typed::parse("query", query, query)?;
        let (plan, _) = self.plan(&typed).await?;
        let (mut rows, mut batches) = (plan.run(), Vec::new());
        while let Some(batch) = rows.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }
}
