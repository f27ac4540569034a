//! Column types: what a table declares, how it is written in DDL, which Arrow type is read from it, and which
//! column an Arrow type gets in a table that this program creates. `docs/types.md` is the same for people.

use super::spelling::{Spelling, words};
use crate::diagnostic::Finding;
use arrow::datatypes::{DataType, TimeUnit};

/// The kinds of SQL that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    MySql,
    MariaDb,
    Sqlite,
}

/// What a column of a table can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// `TINYINT(1)`, `BOOLEAN`.
    Boolean,
    /// Of 1, 2, 3, 4 or 8 bytes.
    Integer {
        bytes: u8,
        unsigned: bool,
    },
    Float,
    Double,
    /// Exact: `DECIMAL` of MySQL, `DECIMAL_TEXT` of SQLite.
    Decimal {
        precision: u8,
        scale: u8,
    },
    /// SQLite's `NUMERIC` affinity: integers and doubles, so exact to 15 digits only.
    Numeric {
        decimal: Option<(u8, u8)>,
    },
    /// `None`: no limit in characters (bytes), or one that depends on the character set.
    Text {
        characters_max: Option<u64>,
        bytes_max: Option<u64>,
    },
    /// `CHAR(n)`, which drops spaces at the end.
    Char {
        characters_max: u64,
    },
    /// `is_fixed`: `BINARY(n)`, which would be filled up with zeros.
    Binary {
        bytes_max: Option<u64>,
        is_fixed: bool,
    },
    Bit {
        bits: u8,
    },
    Year,
    Date,
    /// `fraction`: digits of the second, here and below.
    Time {
        fraction: u8,
    },
    DateTime {
        fraction: u8,
    },
    /// As `DateTime`, from 1970 to 2038.
    Timestamp {
        fraction: u8,
    },
    Json,
    /// `ENUM` and `SET`. The words are those of a table; the server does not say those of a query's column.
    Words {
        words: Vec<String>,
        is_set: bool,
    },
    /// Text that the server keeps in one spelling.
    Spelled(Spelling),
    /// A column of SQLite without a type: holds what is written.
    Any,
    /// A type nothing is written to, as the table declares it.
    Other(String),
}

/// Bytes that all columns of an index may have together (InnoDB, page size 16 KiB).
const INDEX_BYTES_MAX: usize = 3072;
/// Characters of a key's text column, where the index has room.
const KEY_CHARACTERS_MAX: usize = 255;
/// What a key's column that is neither text nor binary takes at most: `DECIMAL(65)`.
const KEY_FIXED_BYTES_MAX: usize = 32;
const UTF8MB4_BYTES_MAX: usize = 4;
const MYSQL_DECIMAL_DIGITS_MAX: u8 = 65;
const MYSQL_DECIMAL_SCALE_MAX: u8 = 30;
/// Digits that survive in SQLite's `NUMERIC` columns.
pub(crate) const DOUBLE_DIGITS_MAX: u8 = 15;
/// SQLite has no exact decimal; text with this type's name is one by agreement.
const SQLITE_DECIMAL: &str = "DECIMAL_TEXT";

/// When two values of a column are equal for the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Equality {
    /// Their bytes are, as in Arrow.
    Bytes,
    /// Texts may also differ in case, in control characters, in spaces at the end, and in letters beyond ASCII.
    Letters,
    /// Texts may differ in any letters, as a language has it.
    Language,
}

impl Equality {
    /// What texts have in common that are equal; `None`: the text may be equal to any other.
    pub fn folded(self, text: &str) -> Option<String> {
        match self {
            Self::Bytes => Some(text.to_owned()),
            Self::Letters if text.is_ascii() => {
                let letters = text.chars().filter(|letter| !letter.is_ascii_control());
                let folded: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
                Some(folded.trim_end_matches(' ').to_owned())
            }
            Self::Letters | Self::Language => None,
        }
    }
}

impl Dialect {
    /// The collation of text columns in created tables: bytes are compared, trailing spaces count.
    pub fn collation(self) -> &'static str {
        match self {
            Self::MySql => "utf8mb4_0900_bin",
            Self::MariaDb => "utf8mb4_nopad_bin",
            Self::Sqlite => "BINARY",
        }
    }

    /// True where text of this collation is equal only when its bytes are, as in Arrow.
    pub fn is_exact_collation(self, collation: &str) -> bool {
        match self {
            Self::Sqlite => collation.eq_ignore_ascii_case("BINARY"),
            Self::MySql | Self::MariaDb => {
                let is_no_pad = collation.contains("_0900_") || collation.contains("_nopad_");
                collation == "binary" || (collation.ends_with("_bin") && is_no_pad)
            }
        }
    }

    /// True where values of a column are equal only when their bytes are, as in Arrow.
    pub fn is_exact_text(self, kind: &ColumnType, collation: Option<&str>) -> bool {
        use ColumnType as C;
        let is_text = matches!(kind, C::Text { .. } | C::Char { .. } | C::Words { .. });
        !is_text || self.is_exact_collation(collation.unwrap_or(self.collation()))
    }

    /// How the database compares values of a column.
    pub fn equality(self, kind: &ColumnType, collation: Option<&str>) -> Equality {
        /// Collations of no language: letters that differ in more than case are different, if they are ASCII.
        const OF_NO_LANGUAGE: [&str; 9] = [
            "_general_ci",
            "_unicode_ci",
            "_unicode_520_ci",
            "_uca1400_ai_ci",
            "_uca1400_as_ci",
            "_0900_ai_ci",
            "_0900_as_ci",
            "_bin",
            "latin1_swedish_ci",
        ];
        let collation = collation.unwrap_or(self.collation());
        // `utf8mb4_de_pb_0900_ai_ci` has a language between the two.
        let charset = collation.split('_').next().unwrap_or_default().len();
        let rest = collation.replace("_nopad", "");
        // Those of a few others take letters for equal that are not: `M` and `N` in macce_general_ci.
        let is_odd = ["macce_general_ci", "koi8u_general_ci", "geostd8_general_ci"].contains(&rest.as_str());
        let is_of_no_language =
            !is_odd && OF_NO_LANGUAGE.iter().any(|known| rest == *known || rest[charset..] == **known);
        match self.is_exact_text(kind, Some(collation)) {
            // The words of a SET may be in any order.
            _ if matches!(kind, ColumnType::Words { is_set: true, .. }) => Equality::Language,
            true => Equality::Bytes,
            false if is_of_no_language || self == Self::Sqlite => Equality::Letters,
            false => Equality::Language,
        }
    }

    pub fn is_mysql(self) -> bool {
        self != Self::Sqlite
    }
}

/// An identifier as the SQL of either database wants it.
pub fn quote(name: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => format!("\"{}\"", name.replace('"', "\"\"")),
        Dialect::MySql | Dialect::MariaDb => format!("`{}`", name.replace('`', "``")),
    }
}

/// A table's name, which may stand behind its database's: `bank.accounts`.
pub fn quote_table(name: &str, dialect: Dialect) -> String {
    match name.split_once('.') {
        Some((database, table)) => format!("{}.{}", quote(database, dialect), quote(table, dialect)),
        None => quote(name, dialect),
    }
}

impl ColumnType {
    /// The characters that a text may have, where the type limits them.
    pub fn characters_max(&self) -> Option<u64> {
        match self {
            Self::Text { characters_max, .. } => *characters_max,
            Self::Char { characters_max } => Some(*characters_max),
            _ => None,
        }
    }

    /// The type a created table has for a view's column.
    ///
    /// `key`: the shape of the key where the column is one of its columns, which share the room in an index.
    ///
    /// # Errors
    /// The Arrow type has no place in a table; the error says why.
    pub fn for_arrow(arrow: &DataType, dialect: Dialect, key: Option<KeyShape>) -> Result<Self, Finding> {
        use DataType as A;
        let integer = |bytes, unsigned| Ok(Self::Integer { bytes, unsigned });
        let created = match arrow {
            A::Dictionary(_, value) => return Self::for_arrow(value, dialect, key),
            A::RunEndEncoded(_, values) => return Self::for_arrow(values.data_type(), dialect, key),
            A::Boolean => Ok(Self::Boolean),
            A::Int8 => integer(1, false),
            A::Int16 => integer(2, false),
            A::Int32 => integer(4, false),
            A::Int64 | A::Duration(_) => integer(8, false),
            A::UInt8 => integer(1, true),
            A::UInt16 => integer(2, true),
            A::UInt32 => integer(4, true),
            A::UInt64 => integer(8, true),
            A::Float16 | A::Float32 => Ok(Self::Float),
            A::Float64 => Ok(Self::Double),
            A::Decimal32(precision, scale)
            | A::Decimal64(precision, scale)
            | A::Decimal128(precision, scale)
            | A::Decimal256(precision, scale) => decimal(*precision, *scale, dialect),
            A::Utf8 | A::LargeUtf8 | A::Utf8View | A::Interval(_) | A::Null => {
                Ok(Self::Text { characters_max: key.map(KeyShape::characters_max), bytes_max: None })
            }
            A::Binary | A::LargeBinary | A::BinaryView | A::FixedSizeBinary(_) => {
                Ok(Self::Binary { bytes_max: key.map(KeyShape::characters_max), is_fixed: false })
            }
            A::Date32 | A::Date64 => Ok(Self::Date),
            A::Time32(_) | A::Time64(_) => Ok(Self::Time { fraction: 6 }),
            A::Timestamp(_, _) => Ok(Self::DateTime { fraction: 6 }),
            A::List(_)
            | A::LargeList(_)
            | A::ListView(_)
            | A::LargeListView(_)
            | A::FixedSizeList(_, _)
            | A::Struct(_)
            | A::Map(_, _)
            | A::Union(_, _) => Ok(Self::Json),
        }?;
        if key.is_some() && (created == Self::Json || *arrow == A::Null) {
            return Err(format!("{arrow} cannot be a key").into());
        }
        Ok(created)
    }

    /// The type in CREATE TABLE.
    pub fn ddl(&self, dialect: Dialect) -> String {
        let is_sqlite = dialect == Dialect::Sqlite;
        let text = |name: String| match is_sqlite {
            true => name,
            false => format!("{name} CHARACTER SET utf8mb4 COLLATE {}", dialect.collation()),
        };
        match self {
            Self::Boolean => "BOOLEAN".into(),
            Self::Integer { .. } if is_sqlite => "INTEGER".into(),
            Self::Integer { bytes, unsigned } => {
                let name = match bytes {
                    1 => "TINYINT",
                    2 => "SMALLINT",
                    3 => "MEDIUMINT",
                    4 => "INT",
                    _ => "BIGINT",
                };
                format!("{name}{}", if *unsigned { " UNSIGNED" } else { "" })
            }
            Self::Float if !is_sqlite => "FLOAT".into(),
            Self::Double if !is_sqlite => "DOUBLE".into(),
            Self::Float | Self::Double => "REAL".into(),
            Self::Decimal { precision, scale } if is_sqlite => {
                format!("{SQLITE_DECIMAL}({precision},{scale})")
            }
            Self::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
            Self::Numeric { .. } => "NUMERIC".into(),
            Self::Text { characters_max: Some(max), .. } => text(format!("VARCHAR({max})")),
            Self::Text { .. } if is_sqlite => "TEXT".into(),
            Self::Text { .. } => text("LONGTEXT".into()),
            Self::Words { is_set, .. } => if *is_set { "SET" } else { "ENUM" }.into(),
            Self::Spelled(spelling) => spelling.name().into(),
            Self::Char { characters_max } => text(format!("CHAR({characters_max})")),
            Self::Binary { .. } if is_sqlite => "BLOB".into(),
            Self::Binary { bytes_max: Some(max), .. } => format!("VARBINARY({max})"),
            Self::Binary { .. } => "LONGBLOB".into(),
            Self::Bit { bits } => format!("BIT({bits})"),
            Self::Year => "YEAR".into(),
            Self::Date => "DATE".into(),
            Self::Time { fraction } => format!("TIME({fraction})"),
            Self::DateTime { fraction } => format!("DATETIME({fraction})"),
            Self::Timestamp { fraction } => format!("TIMESTAMP({fraction})"),
            Self::Json if is_sqlite => "TEXT".into(),
            Self::Json => "JSON".into(),
            Self::Any => String::new(),
            Self::Other(declared) => declared.clone(),
        }
    }

    /// The Arrow type of the values that are read from such a column.
    pub fn arrow(&self) -> DataType {
        let decimal = |precision: u8, scale: u8| match precision {
            0..=38 => DataType::Decimal128(precision, scale as i8),
            _ => DataType::Decimal256(precision, scale as i8),
        };
        match self {
            Self::Boolean | Self::Bit { bits: 1 } => DataType::Boolean,
            Self::Integer { bytes: 1, unsigned: false } => DataType::Int8,
            Self::Integer { bytes: 2, unsigned: false } => DataType::Int16,
            Self::Integer { bytes: 3 | 4, unsigned: false } | Self::Year => DataType::Int32,
            Self::Integer { unsigned: false, .. } => DataType::Int64,
            Self::Integer { bytes: 1, .. } => DataType::UInt8,
            Self::Integer { bytes: 2, .. } => DataType::UInt16,
            Self::Integer { bytes: 3 | 4, .. } => DataType::UInt32,
            Self::Integer { .. } | Self::Bit { .. } => DataType::UInt64,
            Self::Float => DataType::Float32,
            Self::Double | Self::Numeric { decimal: None } => DataType::Float64,
            Self::Decimal { precision, scale } | Self::Numeric { decimal: Some((precision, scale)) } => {
                decimal(*precision, *scale)
            }
            Self::Text { .. }
            | Self::Char { .. }
            | Self::Json
            | Self::Words { .. }
            | Self::Spelled(_)
            | Self::Any => DataType::Utf8,
            Self::Binary { .. } | Self::Other(_) => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time { .. } => DataType::Time64(TimeUnit::Microsecond),
            Self::DateTime { .. } | Self::Timestamp { .. } => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
        }
    }

    /// The type that values of an Arrow type have once they were written to a created table and read again, in which
    /// they are the same values.
    ///
    /// # Errors
    /// There is none; the error says why, with a hint.
    pub fn given_back(arrow: &DataType) -> Result<DataType, Finding> {
        use DataType as A;
        let refused =
            || Finding::new(format!("no column can store {arrow}")).with_hint("CAST it to text in the view");
        match arrow {
            A::Null => Ok(A::Null),
            A::Timestamp(_, zone) => Ok(A::Timestamp(TimeUnit::Microsecond, zone.clone())),
            A::Interval(_) => Err(refused()),
            nested if nested.is_nested() => Err(refused()),
            other => Self::for_arrow(other, Dialect::MySql, None).map(|column| column.arrow()),
        }
    }

    /// Whether each value of an Arrow type that is written to such a column is read again as it was.
    pub fn keeps(&self, arrow: &DataType) -> bool {
        use DataType as A;
        let digits = match arrow {
            A::Dictionary(_, values) => return self.keeps(values),
            A::Null => return true,
            A::Time32(unit) | A::Time64(unit) | A::Timestamp(unit, _) => match unit {
                TimeUnit::Second => 0,
                TimeUnit::Millisecond => 3,
                // Nanoseconds are cut before.
                TimeUnit::Microsecond | TimeUnit::Nanosecond => 6,
            },
            _ => 0,
        };
        match self {
            Self::Json | Self::Words { .. } | Self::Spelled(_) => false,
            Self::Time { fraction } | Self::DateTime { fraction } | Self::Timestamp { fraction } => {
                *fraction >= digits
            }
            _ => true,
        }
    }

    /// Whether a database compares values of such a column as their own types are compared: as numbers, as times, or texts
    /// by their collation.
    pub fn is_ordered(&self, dialect: Dialect) -> bool {
        match self {
            Self::Json | Self::Spelled(_) => false,
            // Text there.
            Self::Decimal { .. } => dialect.is_mysql(),
            _ => true,
        }
    }

    /// Reads a type as a table's creator writes it.
    pub fn parse(declared: &str, dialect: Dialect) -> Self {
        match dialect {
            Dialect::MySql | Dialect::MariaDb => Self::parse_mysql(declared, true),
            Dialect::Sqlite => Self::parse_sqlite(declared),
        }
    }

    /// Reads `COLUMN_TYPE` of MySQL's or MariaDB's `information_schema.columns`.
    ///
    /// `is_utf8mb4`: whether the column's character set is; only then its limit in bytes is known here.
    pub fn parse_mysql(declared: &str, is_utf8mb4: bool) -> Self {
        let as_declared = declared;
        let declared = declared.to_ascii_lowercase();
        let name_end = declared.find(['(', ' ']).unwrap_or(declared.len());
        let arguments: Vec<u64> = arguments(&declared);
        let first = arguments.first().copied();
        let unsigned = declared.contains("unsigned");
        let integer = |bytes| Self::Integer { bytes, unsigned };
        let text =
            |characters_max, bytes| Self::Text { characters_max, bytes_max: is_utf8mb4.then_some(bytes) };
        let blob = |bytes| Self::Binary { bytes_max: Some(bytes), is_fixed: false };
        let fraction = first.unwrap_or(0) as u8;
        match &declared[..name_end] {
            "tinyint" if first == Some(1) && !unsigned => Self::Boolean,
            "tinyint" => integer(1),
            "smallint" => integer(2),
            "mediumint" => integer(3),
            "int" => integer(4),
            "bigint" => integer(8),
            // FLOAT(7,4) rounds quietly.
            "float" if first.is_none() => Self::Float,
            "double" if first.is_none() => Self::Double,
            "decimal" => Self::Decimal {
                precision: first.unwrap_or(10) as u8,
                scale: arguments.get(1).copied().unwrap_or(0) as u8,
            },
            "char" => Self::Char { characters_max: first.unwrap_or(1) },
            "varchar" => Self::Text { characters_max: first, bytes_max: None },
            "tinytext" => text(None, 255),
            "text" => text(None, 65_535),
            "mediumtext" => text(None, 16_777_215),
            "longtext" => text(None, 4_294_967_295),
            "binary" => Self::Binary { bytes_max: first, is_fixed: true },
            "varbinary" => Self::Binary { bytes_max: first, is_fixed: false },
            "tinyblob" => blob(255),
            "blob" => blob(65_535),
            "mediumblob" => blob(16_777_215),
            "longblob" => blob(4_294_967_295),
            "bit" => Self::Bit { bits: first.unwrap_or(1) as u8 },
            "year" => Self::Year,
            "date" => Self::Date,
            "time" => Self::Time { fraction },
            "datetime" => Self::DateTime { fraction },
            "timestamp" => Self::Timestamp { fraction },
            "json" => Self::Json,
            kind @ ("enum" | "set") => Self::Words { words: words(as_declared), is_set: kind == "set" },
            "uuid" => Self::Spelled(Spelling::Uuid),
            "inet4" => Self::Spelled(Spelling::Inet4),
            "inet6" => Self::Spelled(Spelling::Inet6),
            _ => Self::Other(declared),
        }
    }

    /// Reads a declared type of SQLite: names this program writes, then the rules of affinity
    /// (<https://www.sqlite.org/datatype3.html#determination_of_column_affinity>). SQLite ignores lengths.
    pub fn parse_sqlite(declared: &str) -> Self {
        let declared = declared.trim().to_ascii_uppercase();
        let arguments = arguments(&declared);
        let decimal = match arguments[..] {
            [precision @ 1..=76] => Some((precision as u8, 0)),
            [precision @ 1..=76, scale] if scale <= precision => Some((precision as u8, scale as u8)),
            _ => None,
        };
        let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        match declared.as_str() {
            "" => Self::Any,
            "JSON" => Self::Json,
            _ if declared.starts_with("BOOL") => Self::Boolean,
            _ if declared.starts_with(SQLITE_DECIMAL) => match decimal {
                Some((precision, scale)) => Self::Decimal { precision, scale },
                None => Self::Text { characters_max: None, bytes_max: None },
            },
            "DATE" => Self::Date,
            _ if declared.starts_with("DATETIME") || declared.starts_with("TIMESTAMP") => {
                Self::DateTime { fraction: 6 }
            }
            _ if declared == "TIME" || declared.starts_with("TIME(") => Self::Time { fraction: 6 },
            _ if has(&["INT"]) => Self::Integer { bytes: 8, unsigned: false },
            _ if has(&["CHAR", "CLOB", "TEXT"]) => Self::Text { characters_max: None, bytes_max: None },
            _ if has(&["BLOB"]) => Self::Binary { bytes_max: None, is_fixed: false },
            _ if has(&["REAL", "FLOA", "DOUB"]) => Self::Double,
            _ => Self::Numeric { decimal },
        }
    }
}

/// How many columns a key has, for the room each gets in its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyShape {
    /// Text and binary columns, at least one.
    pub texts: usize,
    /// All others.
    pub others: usize,
}

impl KeyShape {
    /// The shape of a key with columns of these types.
    pub fn of<'a>(key: impl IntoIterator<Item = &'a DataType>) -> Self {
        let mut shape = Self { texts: 0, others: 0 };
        for arrow in key {
            match ColumnType::for_arrow(arrow, Dialect::MySql, None) {
                Ok(ColumnType::Text { .. } | ColumnType::Binary { .. }) => shape.texts += 1,
                _ => shape.others += 1,
            }
        }
        shape.texts = shape.texts.max(1);
        shape
    }

    fn characters_max(self) -> u64 {
        let room = INDEX_BYTES_MAX.saturating_sub(self.others * KEY_FIXED_BYTES_MAX);
        (room / UTF8MB4_BYTES_MAX / self.texts).clamp(1, KEY_CHARACTERS_MAX) as u64
    }
}

/// The numbers in the parentheses of a type: `decimal(10,2)`. Empty where they are no numbers.
fn arguments(declared: &str) -> Vec<u64> {
    let Some((_, rest)) = declared.split_once('(') else { return Vec::new() };
    let Some((inside, _)) = rest.split_once(')') else { return Vec::new() };
    inside.split(',').map(|text| text.trim().parse()).collect::<Result<_, _>>().unwrap_or_default()
}

fn decimal(precision: u8, scale: i8, dialect: Dialect) -> Result<ColumnType, Finding> {
    // A negative scale means zeros before the point.
    let digits = if scale < 0 { precision.saturating_add(scale.unsigned_abs()) } else { precision };
    let scale = u8::try_from(scale).unwrap_or(0);
    let digits = digits.max(scale);
    if dialect.is_mysql() && (digits > MYSQL_DECIMAL_DIGITS_MAX || scale > MYSQL_DECIMAL_SCALE_MAX) {
        let message = format!(
            "a decimal of {digits} digits with {scale} behind the point is above MySQL's \
             {MYSQL_DECIMAL_DIGITS_MAX} and {MYSQL_DECIMAL_SCALE_MAX}"
        );
        return Err(Finding::new(message).with_hint("CAST it to a smaller DECIMAL in the view"));
    }
    Ok(ColumnType::Decimal { precision: digits, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mysql_types_are_read() {
        let parse = |text: &str| ColumnType::parse_mysql(text, true);
        assert_eq!(parse("tinyint(1)"), ColumnType::Boolean);
        assert_eq!(parse("tinyint(4)"), ColumnType::Integer { bytes: 1, unsigned: false });
        assert_eq!(parse("tinyint(1) unsigned"), ColumnType::Integer { bytes: 1, unsigned: true });
        assert_eq!(parse("bigint(20) unsigned"), ColumnType::Integer { bytes: 8, unsigned: true });
        assert_eq!(parse("decimal(10,2)"), ColumnType::Decimal { precision: 10, scale: 2 });
        assert_eq!(parse("varchar(40)"), ColumnType::Text { characters_max: Some(40), bytes_max: None });
        assert_eq!(parse("char(3)"), ColumnType::Char { characters_max: 3 });
        assert_eq!(parse("double(10,2)"), ColumnType::Other("double(10,2)".into()));
        assert_eq!(parse("datetime"), ColumnType::DateTime { fraction: 0 });
        assert_eq!(parse("timestamp(3)"), ColumnType::Timestamp { fraction: 3 });
        let words = |words: &[&str], is_set| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            ColumnType::Words { words, is_set }
        };
        assert_eq!(parse("enum('a(1)','it''s','b,C')"), words(&["a(1)", "it's", "b,C"], false));
        assert_eq!(parse("SET('A','')"), words(&["A", ""], true));
        assert_eq!(parse("uuid"), ColumnType::Spelled(Spelling::Uuid));
        assert_eq!(parse("point"), ColumnType::Other("point".into()));
    }

    #[test]
    fn what_sqlite_is_given_is_read_back_as_the_same() {
        for arrow in [
            DataType::Boolean,
            DataType::Int64,
            DataType::Float64,
            DataType::Utf8,
            DataType::Binary,
            DataType::Date32,
            DataType::Decimal128(20, 4),
            DataType::Decimal256(60, 0),
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ] {
            let column = ColumnType::for_arrow(&arrow, Dialect::Sqlite, None).expect("has a place");
            assert_eq!(ColumnType::parse_sqlite(&column.ddl(Dialect::Sqlite)).arrow(), arrow);
        }
    }

    #[test]
    fn texts_are_folded_as_the_server_compares_them() {
        let letters = |text| Equality::Letters.folded(text);
        // The server ignores control characters, and spaces at the end of what is left.
        assert_eq!(letters(" \0"), letters("\0 "));
        assert_eq!(letters("A\u{1} "), Some("a".into()));
        assert_eq!(letters("é"), None);
        let text = ColumnType::Text { characters_max: None, bytes_max: None };
        let equality = |collation| Dialect::MySql.equality(&text, Some(collation));
        assert_eq!(equality("utf8mb4_general_ci"), Equality::Letters);
        for odd in ["macce_general_ci", "koi8u_general_ci", "geostd8_general_ci", "utf8mb4_de_pb_0900_ai_ci"]
        {
            assert_eq!(equality(odd), Equality::Language, "{odd}");
        }
        let set = ColumnType::parse_mysql("set('a','b')", true);
        assert_eq!(Dialect::MySql.equality(&set, Some("utf8mb4_0900_bin")), Equality::Language);
    }

    #[test]
    fn a_column_keeps_what_it_gives_back() {
        let keeps = |declared: &str, arrow: &DataType| ColumnType::parse_mysql(declared, true).keeps(arrow);
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
        assert!(
            keeps("datetime(6)", &micros)
                && keeps("timestamp(3)", &millis)
                && keeps("longtext", &DataType::Utf8)
        );
        assert!(
            !keeps("datetime", &micros) && !keeps("timestamp(3)", &micros) && !keeps("datetime(2)", &millis)
        );
        assert!(!keeps("time", &DataType::Time32(TimeUnit::Millisecond)) && keeps("date", &DataType::Date32));
        for declared in ["json", "enum('a')", "set('a')", "uuid", "inet6", "inet4"] {
            assert!(!keeps(declared, &DataType::Utf8), "{declared}");
        }
    }

    #[test]
    fn keys_fit_the_index() {
        let types = [DataType::Utf8, DataType::Utf8, DataType::Utf8, DataType::Utf8, DataType::Int64];
        let shape = KeyShape::of(&types);
        let characters = shape.characters_max() as usize;
        assert!(characters * 4 * 4 + 8 <= INDEX_BYTES_MAX, "{characters}");
        assert_eq!(KeyShape::of(&types[..1]).characters_max(), 255);
    }

    #[test]
    fn decimals_above_the_limit_have_no_place() {
        let created = |p, s| ColumnType::for_arrow(&DataType::Decimal256(p, s), Dialect::MySql, None);
        assert!(created(66, 0).is_err());
        assert!(created(40, 31).is_err());
        assert_eq!(created(5, -2), Ok(ColumnType::Decimal { precision: 7, scale: 0 }));
        assert_eq!(created(3, 5), Ok(ColumnType::Decimal { precision: 5, scale: 5 }));
    }
}
