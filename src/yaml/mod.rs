//! YAML files that people write, read so that every fault points at the part of the text that is to blame: a tree whose
//! nodes know their place, mappings of which every key must be known, and faults that become diagnostics.
//!
//! *Does not know:* which keys there are, and what they mean.

mod fault;
mod scalar;
mod section;
mod spot;
mod tree;

pub(crate) use fault::Fault;
pub(crate) use scalar::{boolean, count, duration, is_number, quoted, size};
pub(crate) use section::Section;
pub(crate) use spot::Spot;
pub(crate) use tree::{Node, Value, parse, to_json};
