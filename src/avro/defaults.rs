//! Defaults in defaults: one that is a record may leave out fields that have defaults themselves, and so contain itself.
//!
//! Depth and length are bounded, because a few short defaults can be a large value, or one without an end.

use std::cell::Cell;

use serde_json::Value;

use super::field_error::FieldError;

/// How deep defaults may be in each other.
const DEPTH_MAX: usize = 64;
/// How long all defaults that one default leaves out may be together, in characters of JSON.
pub(super) const LENGTH_MAX: usize = 1 << 20;

/// A default that is being written.
pub(super) struct Open<'a> {
    default: &'a Value,
    /// The default that leaves it out.
    outer: Option<&'a Open<'a>>,
    /// How much may still be left out.
    left: &'a Cell<usize>,
}

impl<'a> Open<'a> {
    /// A default that is in no other. `left` starts with [`LENGTH_MAX`].
    pub(super) fn new(default: &'a Value, left: &'a Cell<usize>) -> Self {
        Self { default, outer: None, left }
    }

    /// A default that this one leaves out.
    ///
    /// # Errors
    /// It has no end, or none that is near.
    pub(super) fn inner<'b>(&'b self, default: &'b Value) -> Result<Open<'b>, FieldError> {
        let around = || std::iter::successors(Some(self), |open| open.outer);
        if around().any(|open| std::ptr::eq(open.default, default)) {
            return Err(FieldError::new("a default that contains itself", "one that has an end"));
        }
        if around().count() == DEPTH_MAX {
            let found = format!("defaults more than {DEPTH_MAX} deep in each other");
            return Err(FieldError::new(found, "fewer"));
        }
        // Why not more for another branch of a union: each of them may try all others again.
        let left = self.left.get().checked_sub(default.to_string().len());
        self.left.set(left.unwrap_or(0));
        match left {
            Some(_) => Ok(Open { default, outer: Some(self), left: self.left }),
            None => {
                let found = format!("defaults of more than {LENGTH_MAX} characters in each other");
                Err(FieldError::new(found, "shorter ones"))
            }
        }
    }
}
