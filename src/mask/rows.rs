//! Rows without their sensitive values: masked for people, or emptied for programs that need the types.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
    make_array, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;

use super::{Mask, SHOWN};

/// The rows as they are shown: a sensitive column becomes text, the same in every row.
///
/// # Errors
/// None for masks of these columns.
pub fn masked(rows: &RecordBatch, masks: &[Mask]) -> Result<RecordBatch, ArrowError> {
    replaced(rows, masks, &mask_column)
}

/// The rows with the types that they have, and without sensitive values: NULL, or where a column has no NULL, zero or an
/// empty text.
///
/// # Errors
/// Types that have no empty value.
pub fn emptied(rows: &RecordBatch, masks: &[Mask]) -> Result<RecordBatch, ArrowError> {
    replaced(rows, masks, &empty_column)
}

/// A column and its field in place of another one.
type Replace = dyn Fn(&ArrayRef, &FieldRef, &Mask) -> Result<(ArrayRef, FieldRef), ArrowError>;

fn replaced(rows: &RecordBatch, masks: &[Mask], replace: &Replace) -> Result<RecordBatch, ArrowError> {
    let mask = |column: usize| masks.get(column).unwrap_or(&Mask::Whole);
    if (0..rows.num_columns()).all(|column| mask(column).is_clear()) {
        return Ok(rows.clone());
    }
    let schema = rows.schema();
    let columns = rows.columns().iter().zip(schema.fields()).enumerate();
    let columns = columns.map(|(place, (column, field))| match mask(place) {
        Mask::Clear => Ok((Arc::clone(column), Arc::clone(field))),
        mask => replace(column, field, mask),
    });
    let (columns, fields): (Vec<_>, Vec<_>) = columns.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn mask_column(column: &ArrayRef, field: &FieldRef, mask: &Mask) -> Result<(ArrayRef, FieldRef), ArrowError> {
    if let Some(within) = in_parts(column, field, mask, &mask_column)? {
        return Ok(within);
    }
    let shown = StringArray::from_iter_values(std::iter::repeat_n(SHOWN, column.len()));
    let field = Field::new(field.name(), DataType::Utf8, field.is_nullable());
    Ok((Arc::new(shown), Arc::new(field)))
}

fn empty_column(
    column: &ArrayRef,
    field: &FieldRef,
    mask: &Mask,
) -> Result<(ArrayRef, FieldRef), ArrowError> {
    if let Some(within) = in_parts(column, field, mask, &empty_column)? {
        return Ok(within);
    }
    Ok((empty(field, column.len())?, Arc::clone(field)))
}

/// A column of records, or of lists of them, with only parts of them replaced; `None` if all of it has to be.
fn in_parts(
    column: &ArrayRef,
    field: &FieldRef,
    mask: &Mask,
    replace: &Replace,
) -> Result<Option<(ArrayRef, FieldRef)>, ArrowError> {
    if !matches!(mask, Mask::Parts(_)) {
        return Ok(None);
    }
    let column: ArrayRef = match column.data_type() {
        DataType::Struct(fields) => {
            let records = column.as_struct();
            let parts =
                records.columns().iter().zip(fields).map(|(part, field)| match mask.field(field.name()) {
                    Mask::Clear => Ok((Arc::clone(part), Arc::clone(field))),
                    mask => replace(part, field, &mask),
                });
            let (parts, fields): (Vec<_>, Vec<_>) = parts.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
            Arc::new(StructArray::try_new(fields.into(), parts, records.nulls().cloned())?)
        }
        DataType::List(item) => {
            let lists = column.as_list::<i32>();
            let (items, item) = replace(lists.values(), item, mask)?;
            Arc::new(ListArray::try_new(item, lists.offsets().clone(), items, lists.nulls().cloned())?)
        }
        _ => return Ok(None),
    };
    let field = Field::new(field.name(), column.data_type().clone(), field.is_nullable());
    Ok(Some((column, Arc::new(field))))
}

/// A column of NULLs, or of zeros and empty texts if it has no NULL.
fn empty(field: &Field, length: usize) -> Result<ArrayRef, ArrowError> {
    if field.is_nullable() {
        return Ok(new_null_array(field.data_type(), length));
    }
    match field.data_type() {
        DataType::Struct(fields) => {
            let parts = fields.iter().map(|field| empty(field, length)).collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), parts, None, length)?))
        }
        // Why: the keys of no values would lead nowhere.
        DataType::Dictionary(_, values) => {
            cast(&empty(&Field::new("value", values.as_ref().clone(), false), length)?, field.data_type())
        }
        data_type => {
            // What is under a NULL is zero, or of no length.
            let data = new_null_array(data_type, length).to_data().into_builder().nulls(None);
            Ok(make_array(data.build()?))
        }
    }
}
