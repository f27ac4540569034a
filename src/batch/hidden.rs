//! Dead letters without the values of their messages.

use super::{DeadLetter, Stage};
use crate::mask::{of_decode, of_sql, of_write};

impl DeadLetter {
    /// Leaves a reason that quotes no value of the message. The place says which byte, expression or column it is about.
    pub fn hide_values(&mut self) {
        self.reason = match self.stage {
            Stage::Decode => of_decode(&self.reason),
            Stage::Sql => of_sql(&self.reason),
            Stage::Write => of_write(&self.reason),
        };
    }
}
