//! How many bytes values take: one value, and the longest of a column.

use arrow::array::{Array, ArrayRef, AsArray as _, OffsetSizeTrait};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;

/// The bytes of one value.
pub(super) fn of_value(array: &ArrayRef, row: usize) -> usize {
    let data_type = array.data_type();
    if array.is_null(row) {
        return 0;
    }
    if let Some(width) = data_type.primitive_width() {
        return width;
    }
    if let Some(items) = list(array, row) {
        return (0..items.len()).map(|item| of_value(&items, item)).sum();
    }
    match data_type {
        DataType::Utf8 => array.as_string::<i32>().value(row).len(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).len(),
        DataType::Utf8View => array.as_string_view().value(row).len(),
        DataType::Binary => array.as_binary::<i32>().value(row).len(),
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| of_value(column, row)).sum(),
        _ => array.get_array_memory_size() / array.len().max(1),
    }
}

/// The bytes of all values of a column; of those that are NULL perhaps as well.
pub(super) fn of_all(array: &dyn Array) -> usize {
    match array.data_type() {
        DataType::Utf8 => whole_span(array.as_string::<i32>().offsets()),
        DataType::LargeUtf8 => whole_span(array.as_string::<i64>().offsets()),
        DataType::Utf8View => array.as_string_view().lengths().map(|length| length as usize).sum(),
        DataType::Binary => whole_span(array.as_binary::<i32>().offsets()),
        DataType::Struct(_) => array.as_struct().columns().iter().map(|column| of_all(column)).sum(),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            (0..array.len()).filter_map(|row| list(array, row)).map(|items| of_all(&items)).sum()
        }
        other => match other.primitive_width() {
            Some(width) => width * array.len(),
            None => array.get_array_memory_size(),
        },
    }
}

fn whole_span<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> usize {
    offsets.last().map_or(0, |last| last.as_usize() - offsets[0].as_usize())
}

/// How many items a value has: those of a list, with those of lists in it; 1 for any other value.
pub(super) fn items(array: &ArrayRef, row: usize) -> usize {
    match list(array, row) {
        Some(values) => (0..values.len()).map(|item| items(&values, item)).sum(),
        None => 1,
    }
}

/// The items of a list.
fn list(array: &dyn Array, row: usize) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::List(_) if array.is_valid(row) => Some(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) if array.is_valid(row) => Some(array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) if array.is_valid(row) => Some(array.as_fixed_size_list().value(row)),
        _ => None,
    }
}

/// The bytes of the longest value, or more: of nested values, as if all parts of one were the longest.
pub(super) fn longest(array: &dyn Array) -> usize {
    if array.is_empty() {
        return 0;
    }
    match array.data_type() {
        DataType::Null | DataType::Boolean => 1,
        DataType::Utf8 => longest_gap(array.as_string::<i32>().offsets()),
        DataType::LargeUtf8 => longest_gap(array.as_string::<i64>().offsets()),
        DataType::Utf8View => array.as_string_view().lengths().max().unwrap_or(0) as usize,
        DataType::Binary => longest_gap(array.as_binary::<i32>().offsets()),
        DataType::LargeBinary => longest_gap(array.as_binary::<i64>().offsets()),
        DataType::BinaryView => array.as_binary_view().lengths().max().unwrap_or(0) as usize,
        DataType::FixedSizeBinary(bytes) => usize::try_from(*bytes).unwrap_or(0),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            longest_gap(list.offsets()).saturating_mul(longest(list.values()))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            longest_gap(list.offsets()).saturating_mul(longest(list.values()))
        }
        DataType::Map(..) => {
            let map = array.as_map();
            longest_gap(map.offsets()).saturating_mul(longest(map.entries()))
        }
        DataType::FixedSizeList(_, items) => {
            let items = usize::try_from(*items).unwrap_or(0);
            items.saturating_mul(longest(array.as_fixed_size_list().values()))
        }
        DataType::Struct(_) => {
            array.as_struct().columns().iter().map(|column| longest(column)).fold(0, usize::saturating_add)
        }
        other => other.primitive_width().unwrap_or_else(|| array.get_array_memory_size()),
    }
}

fn longest_gap<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> usize {
    offsets.lengths().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray, StringArray, StructArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn the_longest_value_of_a_column() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("ab"), None, Some("abcde"), Some("")]));
        assert_eq!(longest(&texts), 5);
        assert_eq!(longest(&texts.slice(0, 2)), 2);
        assert_eq!((of_value(&texts, 0), of_value(&texts, 1)), (2, 0));
        assert_eq!((of_all(&texts), of_all(&texts.slice(2, 2))), (7, 5));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        assert_eq!(longest(&numbers), 8);
        let lists = [Some(vec![Some(1), Some(2), Some(3)]), None, Some(vec![]), Some(vec![Some(7)])];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        assert_eq!((longest(&lists), of_all(&lists)), (24, 32));
        assert_eq!((0..4).map(|row| items(&lists, row)).collect::<Vec<_>>(), [3, 1, 0, 1]);
        let both = StructArray::try_from(vec![("texts", texts), ("lists", lists)]).unwrap();
        assert_eq!(longest(&both), 29);
    }
}
