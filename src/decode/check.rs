//! The validator: walks one payload by its writer's schema and accepts it only where every reader of columns may
//! trust it.
//!
//! Rejected: a varint of more than ten bytes or out of its type's range, invalid UTF-8, a boolean other than 0 and 1
//! (Java takes it for false, others take it for true), an index, a length or a count out of range or beyond the bytes
//! that are left, a block whose byte count disagrees with its items, and values that the reader's column cannot hold (a
//! decimal beyond its precision, a time that is none, a uuid that is none). Bytes left over are for the caller to see.
//! Accepted: longer varints than needed, in range.
//!
//! The walk allocates nothing, and its work is bounded by the payload's length: each item of a counted block takes
//! a byte at least, or is counted against [`ZERO_BYTE_ITEMS_MAX`]. Its depth is that of the schema, which is bounded
//! when schemas are read; of a type that contains itself it is at most [`RECURSION_MAX`].

use std::fmt;
use std::sync::{Arc, Weak};

use arrow::datatypes::i256;

use crate::avro::path_of;
use crate::diagnostic::Finding;

/// How many items that take no bytes (nulls) one payload may hold in its arrays.
pub(super) const ZERO_BYTE_ITEMS_MAX: u32 = 10_000;
/// How deep the records of a type that contains itself may be in each other.
pub(super) const RECURSION_MAX: usize = 64;

pub(super) const DAY_MILLIS: i64 = 86_400_000;
pub(super) const DAY_MICROS: i64 = DAY_MILLIS * 1_000;
/// The widest decimal of 128 bits, in digits.
pub(super) const DECIMAL128_DIGITS_MAX: u8 = 38;

/// What one type's bytes must be.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Null,
    Boolean,
    Int,
    Long,
    /// This many bytes of any content: float, double, fixed.
    Skip(usize),
    Bytes,
    String,
    Uuid,
    /// Time of day, on an int or a long; `day` is the number of units per day.
    Time {
        is_int: bool,
        day: i64,
    },
    DecimalBytes {
        precision: u8,
    },
    DecimalFixed {
        precision: u8,
        size: usize,
    },
    Duration,
    Enum {
        symbols: u32,
    },
    Array(Box<Items>),
    Map(Box<Items>),
    Record(Box<[FieldOp]>),
    Union(Box<[Op]>),
    /// A value that is dropped, and the records that it may hold.
    Dropped(
        #[expect(dead_code, reason = "it keeps the records that parts of the value point to")] Arc<Dropped>,
        Box<Op>,
    ),
    /// One of the records of the dropped value that this is in.
    DroppedRecord(Weak<Dropped>, usize),
}

#[derive(Clone, Debug)]
pub(super) struct Items {
    pub(super) op: Op,
    pub(super) size: ItemSize,
}

/// What an item of an array or a map takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ItemSize {
    /// The fewest bytes in the payload, a map's key included.
    pub(super) bytes_min: usize,
    /// Bytes of fixed width in the columns; 0 if the item is dropped.
    pub(super) width: usize,
}

/// The records of a schema whose types contain themselves: each once, and how they are used in each other.
#[derive(Debug)]
pub(super) struct Dropped {
    pub(super) records: Box<[Op]>,
}

#[derive(Clone, Debug)]
pub(super) struct FieldOp {
    pub(super) name: Box<str>,
    pub(super) op: Op,
}

/// Why a payload is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    /// From the first byte of the payload, its header included.
    pub(super) byte: usize,
    /// The field, as `address.street` or `tags[3]`; empty outside of any.
    pub(super) path: String,
    pub(super) reason: Finding,
    /// Whether the payload is longer or shorter than the schema says.
    pub(super) is_end: bool,
}

pub(super) type Checked<T> = Result<T, Box<Bad>>;

impl Bad {
    pub(super) fn new(byte: usize, reason: impl Into<Finding>) -> Box<Self> {
        Box::new(Self { byte, path: String::new(), reason: reason.into(), is_end: false })
    }

    /// A payload that ends elsewhere than the schema says.
    pub(super) fn end(byte: usize, reason: String) -> Box<Self> {
        Box::new(Self { is_end: true, ..*Self::new(byte, reason) })
    }

    /// Why, and in which field.
    pub(super) fn found(&self) -> Finding {
        self.reason.clone().within_field(&self.path)
    }

    #[cold]
    pub(super) fn in_field(mut self: Box<Self>, name: &str) -> Box<Self> {
        self.path = path_of(name, &self.path);
        self
    }

    #[cold]
    pub(super) fn at(self: Box<Self>, index: u64) -> Box<Self> {
        self.in_field(&format!("[{index}]"))
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.found().fmt(f)
    }
}

/// A place in a payload or a key, and what it may still claim.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    /// What the bytes are, for reasons.
    word: &'static str,
    bytes: &'a [u8],
    at: usize,
    zero_byte_items: u32,
    /// What the items of arrays and maps so far take in columns, besides their bytes.
    item_width: usize,
    /// How many records of a dropped value this is in.
    depth: usize,
}

impl<'a> Cursor<'a> {
    /// Starts after the header.
    pub(super) fn new(word: &'static str, bytes: &'a [u8], header_bytes: usize) -> Self {
        Self { word, bytes, at: header_bytes, zero_byte_items: 0, item_width: 0, depth: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Bytes of columns that the items of arrays and maps seen so far take, besides their own.
    pub(super) fn item_width(&self) -> usize {
        self.item_width
    }

    /// What was read since `start`.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    /// Refuses bytes that belong to no field.
    pub(super) fn finish(&self) -> Checked<()> {
        match self.left() {
            0 => Ok(()),
            left => Err(Bad::end(self.at, format!("{left} bytes are left over after the last field"))),
        }
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize, what: &str) -> Checked<&'a [u8]> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..length)) {
            Some(taken) => {
                self.at += length;
                Ok(taken)
            }
            None => Err(self.truncated(length, what)),
        }
    }

    #[cold]
    fn truncated(&self, length: usize, what: &str) -> Box<Bad> {
        let (word, left) = (self.word, self.left());
        Bad::end(self.at, format!("the {word} ends inside {what}: {length} bytes needed, {left} left"))
    }

    /// An unsigned varint of up to 64 bits.
    #[inline]
    fn varint(&mut self) -> Checked<u64> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.varint_long(),
        }
    }

    fn varint_long(&mut self) -> Checked<u64> {
        const BYTES_MAX: usize = 10;
        let mut value = 0;
        let rest = &self.bytes[self.at..];
        for (index, &byte) in rest.iter().take(BYTES_MAX).enumerate() {
            if index == BYTES_MAX - 1 && byte > 1 {
                return Err(Bad::new(self.at, "a number of more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        Err(Bad::end(self.at, format!("the {} ends inside a number", self.word)))
    }

    #[inline]
    pub(super) fn long(&mut self) -> Checked<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    #[inline]
    pub(super) fn int(&mut self) -> Checked<i32> {
        let start = self.at;
        match i32::try_from(self.long()?) {
            Ok(value) => Ok(value),
            Err(_) => Err(Bad::new(start, "a number beyond the 32 bits of an int")),
        }
    }

    /// The bytes of a `bytes` or a `string`.
    #[inline]
    pub(super) fn bytes(&mut self, what: &str) -> Checked<&'a [u8]> {
        let start = self.at;
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) if length <= self.left() => self.take(length, what),
            Ok(length) => {
                let left = self.left();
                Err(Bad::new(start, format!("{what} of {length} bytes, and {left} are left")))
            }
            Err(_) => Err(Bad::new(start, format!("{what} of {length} bytes"))),
        }
    }

    #[inline]
    pub(super) fn string(&mut self) -> Checked<&'a str> {
        let bytes = self.bytes("a string")?;
        std::str::from_utf8(bytes).map_err(|error| {
            let byte = self.at - bytes.len() + error.valid_up_to();
            Bad::new(byte, "a string that is not UTF-8")
        })
    }

    /// The index of a union's branch.
    #[inline]
    pub(super) fn branch(&mut self, branches: usize) -> Checked<usize> {
        let start = self.at;
        let index = self.long()?;
        match usize::try_from(index) {
            Ok(index) if index < branches => Ok(index),
            _ => Err(Bad::new(start, format!("branch {index} of a union of {branches}"))),
        }
    }

    /// The index of an enum's symbol.
    #[inline]
    pub(super) fn symbol(&mut self, symbols: u32) -> Checked<u32> {
        let start = self.at;
        let index = self.int()?;
        match u32::try_from(index) {
            Ok(index) if index < symbols => Ok(index),
            _ => Err(Bad::new(start, format!("symbol {index} of an enum of {symbols}"))),
        }
    }

    /// The blocks of an array or a map: `item` is called for each item with its index, and `block` before each
    /// block with its count.
    #[inline]
    pub(super) fn blocks(
        &mut self,
        size: ItemSize,
        out: &mut Vec<u8>,
        mut block: impl FnMut(u64, &mut Vec<u8>),
        mut item: impl FnMut(&mut Cursor<'a>, &mut Vec<u8>) -> Checked<()>,
    ) -> Checked<()> {
        let mut index = 0;
        loop {
            let start = self.at;
            let (count, end) = match self.long()? {
                0 => return Ok(()),
                count @ 1.. => (count.unsigned_abs(), None),
                count => {
                    let size = self.long()?;
                    let end = usize::try_from(size).ok().filter(|size| *size <= self.left());
                    let Some(size) = end else {
                        let left = self.left();
                        return Err(Bad::new(start, format!("a block of {size} bytes, and {left} are left")));
                    };
                    (count.unsigned_abs(), Some(self.at + size))
                }
            };
            self.claim(count, size, start)?;
            block(count, out);
            for _ in 0..count {
                item(self, out).map_err(|bad| bad.at(index))?;
                index += 1;
            }
            if let Some(end) = end.filter(|end| *end != self.at) {
                let reason = format!("a block that claims to end at byte {end} and ends at byte {}", self.at);
                return Err(Bad::new(start, reason));
            }
        }
    }

    /// Refuses a count of items that the bytes left cannot hold.
    fn claim(&mut self, count: u64, size: ItemSize, start: usize) -> Checked<()> {
        let ItemSize { bytes_min, width } = size;
        let widths = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(width);
        self.item_width = self.item_width.saturating_add(widths);
        if let Some(items_max) = self.left().checked_div(bytes_min) {
            if count > items_max as u64 {
                let left = self.left();
                return Err(Bad::new(start, format!("a count of {count} items, and {left} bytes are left")));
            }
            return Ok(());
        }
        let total = u64::from(self.zero_byte_items).saturating_add(count);
        if total > u64::from(ZERO_BYTE_ITEMS_MAX) {
            let reason =
                format!("a count of {count} items without bytes, at most {ZERO_BYTE_ITEMS_MAX} are read");
            return Err(Bad::new(start, reason));
        }
        self.zero_byte_items = total as u32;
        Ok(())
    }
}

impl Op {
    /// Walks one value.
    pub(super) fn check(&self, cursor: &mut Cursor<'_>) -> Checked<()> {
        match self {
            Self::Null => Ok(()),
            Self::Boolean => {
                let start = cursor.at;
                match cursor.take(1, "a boolean")?[0] {
                    0 | 1 => Ok(()),
                    byte => Err(Bad::new(start, format!("{byte} as a boolean, expected 0 or 1"))),
                }
            }
            Self::Int => cursor.int().map(drop),
            Self::Long => cursor.varint().map(drop),
            Self::Skip(size) => cursor.take(*size, "a value of fixed size").map(drop),
            Self::Bytes => cursor.bytes("bytes").map(drop),
            Self::String => cursor.string().map(drop),
            Self::Uuid => {
                let start = cursor.at;
                let text = cursor.bytes("a uuid")?;
                if is_uuid(text) { Ok(()) } else { Err(Bad::new(start, "a string that is not a uuid")) }
            }
            Self::Time { is_int, day } => {
                let start = cursor.at;
                let value = if *is_int { i64::from(cursor.int()?) } else { cursor.long()? };
                if (0..*day).contains(&value) {
                    return Ok(());
                }
                let reason = format!("{value} as a time of day, expected 0 to {}", day - 1);
                Err(Bad::new(start, reason))
            }
            Self::DecimalBytes { precision } => {
                let start = cursor.at;
                let bytes = cursor.bytes("a decimal")?;
                decimal(bytes, *precision, start)
            }
            Self::DecimalFixed { precision, size } => {
                let start = cursor.at;
                let bytes = cursor.take(*size, "a decimal")?;
                decimal(bytes, *precision, start)
            }
            Self::Duration => {
                let start = cursor.at;
                let parts = cursor.take(12, "a duration")?;
                // Little-endian counts, so the top bits stand last; Arrow's months and days are signed.
                if (parts[3] | parts[7]) & 0x80 != 0 {
                    return Err(Bad::new(start, "a duration of more than 2147483647 months or days"));
                }
                Ok(())
            }
            Self::Enum { symbols } => cursor.symbol(*symbols).map(drop),
            Self::Array(items) => {
                let item = |cursor: &mut Cursor<'_>, _: &mut Vec<u8>| items.op.check(cursor);
                cursor.blocks(items.size, &mut Vec::new(), |_, _| (), item)
            }
            Self::Map(items) => {
                let item = |cursor: &mut Cursor<'_>, _: &mut Vec<u8>| {
                    cursor.string()?;
                    items.op.check(cursor)
                };
                cursor.blocks(items.size, &mut Vec::new(), |_, _| (), item)
            }
            Self::Record(fields) => {
                for field in fields {
                    field.op.check(cursor).map_err(|bad| bad.in_field(&field.name))?;
                }
                Ok(())
            }
            Self::Union(branches) => {
                let branch = cursor.branch(branches.len())?;
                branches[branch].check(cursor)
            }
            Self::Dropped(_, value) => value.check(cursor),
            Self::DroppedRecord(dropped, record) => {
                // Invariant: the value that holds it called this.
                let Some(dropped) = dropped.upgrade() else { return Ok(()) };
                if cursor.depth == RECURSION_MAX {
                    let reason = format!("records that are more than {RECURSION_MAX} deep in each other");
                    return Err(Bad::new(cursor.at, reason));
                }
                cursor.depth += 1;
                dropped.records[*record].check(cursor)?;
                cursor.depth -= 1;
                Ok(())
            }
        }
    }
}

/// The form of RFC 4122: `8-4-4-4-12` hexadecimal digits, in either case.
fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn decimal(bytes: &[u8], precision: u8, start: usize) -> Checked<()> {
    if fits(bytes, precision) {
        Ok(())
    } else {
        Err(Bad::new(start, format!("a decimal of more than {precision} digits")))
    }
}

/// Whether a big-endian two's-complement number has no more than `precision` digits. No bytes are zero.
fn fits(bytes: &[u8], precision: u8) -> bool {
    let Some(&first) = bytes.first() else { return true };
    let sign = if first & 0x80 == 0 { 0 } else { 0xff };
    let mut bytes = bytes;
    while let [before, next, ..] = bytes {
        if *before != sign || (next ^ sign) & 0x80 != 0 {
            break;
        }
        bytes = &bytes[1..];
    }
    if let Some(value) = extended::<16>(bytes, sign).map(i128::from_be_bytes) {
        return precision > DECIMAL128_DIGITS_MAX || value.unsigned_abs() < 10_u128.pow(precision.into());
    }
    let wide = extended::<32>(bytes, sign).map(i256::from_be_bytes);
    match (wide, i256::from_i128(10).checked_pow(precision.into())) {
        (Some(value), Some(limit)) => {
            precision > DECIMAL128_DIGITS_MAX && value < limit && value > limit.wrapping_neg()
        }
        _ => false,
    }
}

/// `bytes` with their sign in `N` bytes, where they fit.
fn extended<const N: usize>(bytes: &[u8], sign: u8) -> Option<[u8; N]> {
    let mut out = [sign; N];
    out.get_mut(N.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(out)
}
