//! The key of each message as the column `kafka_key`, as `key_format` says.
//!
//! Keys are checked one by one, before their messages have rows. The column is then made for a batch as a whole, out of the
//! column of the bytes, which it is by default.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, ArrowPrimitiveType, AsArray as _, BinaryArray, PrimitiveArray, StringArray,
    UInt32Array, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Int64Type};
use arrow::error::ArrowError;

use super::kafka::KEY;
use super::part::{Accepted, AvroPart};
use crate::batch::Message;
use crate::diagnostic::Finding;

/// How keys are read.
#[derive(Debug)]
pub(super) enum Keys {
    Bytes,
    Text,
    Int,
    Long,
    Avro(Box<AvroPart>),
}

impl Keys {
    /// The same, without rows.
    ///
    /// # Errors
    /// As [`AvroPart::another`].
    pub fn another(&self) -> Result<Self, ArrowError> {
        Ok(match self {
            Self::Bytes => Self::Bytes,
            Self::Text => Self::Text,
            Self::Int => Self::Int,
            Self::Long => Self::Long,
            Self::Avro(part) => Self::Avro(Box::new(part.another()?)),
        })
    }

    /// What reads keys in Avro.
    pub fn avro(&self) -> Option<&AvroPart> {
        if let Self::Avro(part) = self { Some(part) } else { None }
    }

    pub fn avro_mut(&mut self) -> Option<&mut AvroPart> {
        if let Self::Avro(part) = self { Some(part) } else { None }
    }

    /// The column's field. A message may have no key.
    pub fn field(&self) -> FieldRef {
        let data_type = match self {
            Self::Bytes => DataType::Binary,
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
            // Invariant: a key is one field.
            Self::Avro(part) => part.fields()[0].data_type().clone(),
        };
        Arc::new(Field::new(KEY, data_type, true))
    }

    /// Checks the key of one message; `None` if there is nothing to push.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&mut self, message: Message<'_>) -> Result<Option<Accepted>, Box<Finding>> {
        let Some(key) = message.key else { return Ok(None) };
        match self {
            Self::Bytes => Ok(None),
            Self::Text => match std::str::from_utf8(key) {
                Ok(_) => Ok(None),
                Err(error) => {
                    let place = error.valid_up_to();
                    let found = format!("found {:02x}, expected UTF-8 (key_format: text)", key[place]);
                    Err(in_key(place, found.into()))
                }
            },
            Self::Int => check_length(key, 4, "int"),
            Self::Long => check_length(key, 8, "long"),
            Self::Avro(part) => match part.check(key, message.headers) {
                Ok(accepted) => Ok(Some(accepted)),
                Err(bad) => Err(in_key(bad.byte, bad.found())),
            },
        }
    }

    /// Adds a key that was checked.
    ///
    /// # Errors
    /// As [`AvroPart::push`].
    pub fn push(&mut self, key: Option<&[u8]>, accepted: Option<Accepted>) -> Result<(), ArrowError> {
        match (self, key, accepted) {
            (Self::Avro(part), Some(key), Some(accepted)) => part.push(key, accepted),
            _ => Ok(()),
        }
    }

    /// The values of the keys that were pushed since the last call; `None` if no value is pushed.
    ///
    /// # Errors
    /// As [`AvroPart::finish`].
    pub fn finish(&mut self) -> Result<Option<ArrayRef>, ArrowError> {
        match self {
            Self::Avro(part) => Ok(part.finish()?.pop()),
            _ => Ok(None),
        }
    }

    /// The column of keys that were checked: `keys` are their bytes, and `values` is what [`Keys::finish`] returned for them.
    ///
    /// # Errors
    /// Keys that were not checked.
    pub fn column(&self, keys: &ArrayRef, values: Option<ArrayRef>) -> Result<ArrayRef, ArrowError> {
        let bytes = keys.as_binary::<i32>();
        Ok(match self {
            Self::Bytes => Arc::clone(keys),
            Self::Text => Arc::new(StringArray::try_from_binary(bytes.clone())?),
            Self::Int => numbers::<Int32Type, 4>(bytes, i32::from_be_bytes)?,
            Self::Long => numbers::<Int64Type, 8>(bytes, i64::from_be_bytes)?,
            Self::Avro(_) => {
                let values = values.ok_or_else(|| ArrowError::ComputeError("keys without values".into()))?;
                spread(&values, bytes.nulls())?
            }
        })
    }

    /// Drops the keys that were pushed.
    ///
    /// # Errors
    /// As [`AvroPart::reset`].
    pub fn reset(&mut self) -> Result<(), ArrowError> {
        self.avro_mut().map_or(Ok(()), AvroPart::reset)
    }
}

fn check_length(key: &[u8], expected: usize, format: &str) -> Result<Option<Accepted>, Box<Finding>> {
    if key.len() == expected {
        return Ok(None);
    }
    let unit = if key.len() == 1 { "byte" } else { "bytes" };
    let found = format!("{KEY}: found {} {unit}, expected {expected} (key_format: {format})", key.len());
    Err(Box::new(found.into()))
}

fn in_key(byte: usize, found: Finding) -> Box<Finding> {
    Box::new(found.within(format!("{KEY}, byte {byte}")))
}

/// Numbers of `N` bytes each.
fn numbers<T: ArrowPrimitiveType, const N: usize>(
    keys: &BinaryArray,
    read: fn([u8; N]) -> T::Native,
) -> Result<ArrayRef, ArrowError> {
    let number = |row: usize| match <[u8; N]>::try_from(keys.value(row)) {
        Ok(bytes) => Ok(read(bytes)),
        Err(_) if keys.is_null(row) => Ok(T::Native::default()),
        Err(_) => Err(ArrowError::ComputeError(format!("a key of {} bytes", keys.value(row).len()))),
    };
    let values = (0..keys.len()).map(number).collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(PrimitiveArray::<T>::try_new(values.into(), keys.nulls().cloned())?))
}

/// Values one after the other as a column: each in a row that is not null.
fn spread(values: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef, ArrowError> {
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return Ok(Arc::clone(values)) };
    if values.is_empty() {
        return Ok(new_null_array(values.data_type(), nulls.len()));
    }
    let mut next = 0_u32..;
    let place = |is_valid: bool| if is_valid { next.next() } else { None };
    let places: UInt32Array = nulls.iter().map(place).collect();
    take(values, &places, None)
}
