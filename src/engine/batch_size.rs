//! How large batches may be after one was too large as a whole: half of it, and slowly more again. So a job whose
//! views need more memory than there is does not compute every batch twice.

/// Batches that pass before a larger one is tried.
const PASSES: u32 = 16;

/// The limit that experience sets.
#[derive(Debug, Default)]
pub(super) struct BatchSize {
    /// Messages of one batch; `None`: as many as configured.
    rows_max: Option<usize>,
    passed: u32,
}

impl BatchSize {
    /// Messages of one batch, at most.
    pub fn rows_max(&self) -> usize {
        self.rows_max.unwrap_or(usize::MAX)
    }

    /// A batch of this many messages was too large. Returns how many the next ones may have.
    pub fn failed(&mut self, rows: usize) -> usize {
        let rows_max = (rows / 2).max(1).min(self.rows_max.unwrap_or(usize::MAX));
        self.passed = 0;
        self.rows_max = Some(rows_max);
        rows_max
    }

    /// A batch was committed; returns how many messages the next ones may have, where that has changed.
    pub fn passed(&mut self) -> Option<usize> {
        let rows_max = self.rows_max?;
        self.passed += 1;
        if self.passed < PASSES {
            return None;
        }
        self.passed = 0;
        self.rows_max = Some(rows_max.saturating_mul(2));
        self.rows_max
    }
}
