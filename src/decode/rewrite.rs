//! Runs a plan over one payload: checks it by the writer's schema and writes it again as the reader's plain schema
//! has it.

use super::check::{Bad, Checked, Cursor};
use super::plan::{Part, RecordStep, ValueStep};

/// A payload may become this many times as long when it is rewritten (defaults, and nulls, in each item of an
/// array), and [`GROWN_BYTES_MIN`] in any case.
const GROWTH_MAX: usize = 16;
const GROWN_BYTES_MIN: usize = 1 << 20;

/// What rewriting needs besides the payload, kept from one to the next.
#[derive(Debug)]
pub(super) struct Rewriter {
    /// The key of the configuration that names the reader's schema.
    schema_key: &'static str,
    /// The ends of the parts of the records we are in.
    ends: Vec<usize>,
    /// Where a record's parts are put in the reader's order.
    reordered: Vec<u8>,
    /// How long this payload may become, and where in `out` it must end then.
    bytes_max: usize,
    limit: usize,
}

/// Rewrites bytes that are one value and nothing else.
pub(super) fn rewrite_all(step: &ValueStep, bytes: &[u8]) -> Checked<Vec<u8>> {
    let mut out = Vec::new();
    let mut cursor = Cursor::new("value", bytes, 0);
    Rewriter::new("the schema").rewrite(step, &mut cursor, &mut out)?;
    cursor.finish()?;
    Ok(out)
}

impl Rewriter {
    /// `schema_key`: what reasons call the reader's schema.
    pub(super) fn new(schema_key: &'static str) -> Self {
        Self { schema_key, ends: Vec::new(), reordered: Vec::new(), bytes_max: 0, limit: 0 }
    }

    /// Appends the rewritten value to `out`. After an error `out` holds a part of it.
    pub(super) fn rewrite(
        &mut self,
        step: &ValueStep,
        cursor: &mut Cursor<'_>,
        out: &mut Vec<u8>,
    ) -> Checked<()> {
        self.ends.clear();
        self.bytes_max = cursor.left().saturating_mul(GROWTH_MAX).max(GROWN_BYTES_MIN);
        self.limit = out.len().saturating_add(self.bytes_max);
        self.value(step, cursor, out)
    }

    fn value(&mut self, step: &ValueStep, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Checked<()> {
        match step {
            ValueStep::Copy(op) => {
                let start = cursor.position();
                op.check(cursor)?;
                out.extend_from_slice(cursor.since(start));
            }
            ValueStep::IntToFloat => out.extend_from_slice(&(cursor.int()? as f32).to_le_bytes()),
            ValueStep::IntToDouble => out.extend_from_slice(&f64::from(cursor.int()?).to_le_bytes()),
            ValueStep::LongToFloat => out.extend_from_slice(&(cursor.long()? as f32).to_le_bytes()),
            ValueStep::LongToDouble => out.extend_from_slice(&(cursor.long()? as f64).to_le_bytes()),
            ValueStep::FloatToDouble => {
                let bytes = cursor.take(4, "a float")?;
                let value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                out.extend_from_slice(&f64::from(value).to_le_bytes());
            }
            ValueStep::Enum(targets) => {
                let start = cursor.position();
                let symbol = cursor.symbol(targets.len() as u32)?;
                match &targets[symbol as usize] {
                    Ok(target) => crate::avro::write_long((*target).into(), out),
                    Err(name) => {
                        let reason = format!("the symbol `{name}`, which {} does not have", self.schema_key);
                        return Err(Bad::new(start, reason));
                    }
                }
            }
            ValueStep::Array(items) => {
                cursor.blocks(items.size, out, write_count, |cursor, out| {
                    self.value(&items.step, cursor, out)?;
                    self.check_growth(cursor, out)
                })?;
                out.push(0);
            }
            ValueStep::Map(items) => {
                cursor.blocks(items.size, out, write_count, |cursor, out| {
                    let start = cursor.position();
                    cursor.string()?;
                    out.extend_from_slice(cursor.since(start));
                    self.value(&items.step, cursor, out)?;
                    self.check_growth(cursor, out)
                })?;
                out.push(0);
            }
            ValueStep::Record(record) => self.record(record, cursor, out)?,
            ValueStep::Union(branches) => {
                let start = cursor.position();
                let branch = cursor.branch(branches.len())?;
                match &branches[branch] {
                    Ok(step) => self.value(step, cursor, out)?,
                    Err(name) => {
                        let schema_key = self.schema_key;
                        let reason = format!("a value of type {name}, which {schema_key} does not have here");
                        return Err(Bad::new(start, reason));
                    }
                }
            }
            ValueStep::Wrap { prefix, step, suffix } => {
                out.extend_from_slice(prefix);
                self.value(step, cursor, out)?;
                out.extend_from_slice(suffix);
            }
        }
        Ok(())
    }

    fn record(&mut self, record: &RecordStep, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Checked<()> {
        let start = out.len();
        let mark = self.ends.len();
        for part in &record.parts {
            match part {
                Part::Field { name, step } => {
                    self.value(step, cursor, out).map_err(|bad| bad.in_field(name))?;
                }
                Part::Dropped(field) => {
                    field.op.check(cursor).map_err(|bad| bad.in_field(&field.name))?;
                }
                Part::Default(bytes) => out.extend_from_slice(bytes),
            }
            if record.order.is_some() {
                self.ends.push(out.len());
            }
        }
        if let Some(order) = &record.order {
            let ends = &self.ends[mark..];
            self.reordered.clear();
            for &part in order {
                let from = if part == 0 { start } else { ends[part - 1] };
                self.reordered.extend_from_slice(&out[from..ends[part]]);
            }
            out.truncate(start);
            out.extend_from_slice(&self.reordered);
            self.ends.truncate(mark);
        }
        self.check_growth(cursor, out)
    }

    fn check_growth(&self, cursor: &Cursor<'_>, out: &[u8]) -> Checked<()> {
        if out.len() <= self.limit {
            return Ok(());
        }
        let Self { schema_key, bytes_max, .. } = self;
        let reason =
            format!("with the nulls and defaults of {schema_key} it takes more than {bytes_max} bytes");
        Err(Bad::new(cursor.position(), reason))
    }
}

fn write_count(count: u64, out: &mut Vec<u8>) {
    // Holds because a count never exceeds the payload's length or the limit for items without bytes.
    crate::avro::write_long(count as i64, out);
}
