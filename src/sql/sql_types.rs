//! Messages of the engine below in the words of SQL: `BIGINT` for `Int64`, `'a'` for `Utf8("a")`.

/// The text with SQL's names of types, and literals as they are written.
pub(super) fn in_sql(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !is_word(first) {
            written.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        rest = &rest[word.len()..];
        let arguments = rest.starts_with('(').then(|| in_parentheses(rest)).flatten();
        let found = of_word(word, arguments);
        if let (Some(_), Some(arguments)) = (&found, arguments) {
            rest = &rest[arguments.len() + 2..];
        }
        written.push_str(found.as_deref().unwrap_or(word));
    }
    written
}

/// What a type of Arrow is in SQL, or the literal that is told with its type.
fn of_word(word: &str, arguments: Option<&str>) -> Option<String> {
    let simple = match word {
        "Int8" => "TINYINT",
        "Int16" => "SMALLINT",
        "Int32" => "INT",
        "Int64" => "BIGINT",
        "UInt8" => "TINYINT UNSIGNED",
        "UInt16" => "SMALLINT UNSIGNED",
        "UInt32" => "INT UNSIGNED",
        "UInt64" => "BIGINT UNSIGNED",
        "Float16" | "Float32" => "REAL",
        "Float64" => "DOUBLE",
        "Utf8" | "LargeUtf8" | "Utf8View" => "VARCHAR",
        "Boolean" => "BOOLEAN",
        "Date32" | "Date64" => "DATE",
        "Binary" | "LargeBinary" | "BinaryView" => "BINARY",
        _ => "",
    };
    if !simple.is_empty() {
        return Some(arguments.map_or_else(|| simple.to_owned(), |literal| literal.replace('"', "'")));
    }
    let arguments = arguments?;
    let all = || arguments.split(',').map(str::trim);
    Some(match word {
        "Decimal32" | "Decimal64" | "Decimal128" | "Decimal256" => match all().collect::<Vec<_>>()[..] {
            [digits, scale] => format!("DECIMAL({digits}, {scale})"),
            [literal, ..] => literal.trim_start_matches("Some(").trim_end_matches(')').to_owned(),
            [] => return None,
        },
        "Timestamp" => "TIMESTAMP".to_owned(),
        "Time32" | "Time64" => match arguments {
            "s" => "TIME(0)".to_owned(),
            "ms" => "TIME(3)".to_owned(),
            "ns" => "TIME(9)".to_owned(),
            _ => "TIME".to_owned(),
        },
        "Struct" => format!("STRUCT({})", fields(arguments)),
        "Map" => {
            let entries = arguments.split_once("Struct(").map_or("", |(_, entries)| entries);
            let entries = entries.rsplit_once(')').map_or(entries, |(entries, _)| entries);
            format!("MAP({})", fields(entries).replace("key ", "").replace("value ", ""))
        }
        "Interval" | "Duration" => "INTERVAL".to_owned(),
        "FixedSizeBinary" => "BINARY".to_owned(),
        "List" | "LargeList" | "ListView" => {
            let item = arguments.trim_start_matches("non-null ").trim_start_matches("nullable ");
            format!("{}[]", in_sql(item))
        }
        "Dictionary" => in_sql(all().next_back()?),
        _ => return None,
    })
}

/// The fields of a record: `"x": Int32, "y": non-null Utf8`.
fn fields(arguments: &str) -> String {
    in_sql(&arguments.replace("non-null ", "").replace("\": ", " ").replace('"', ""))
}

/// What is between the parenthesis that a text starts with and the one that closes it.
fn in_parentheses(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for (index, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text.get(1..index);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::in_sql;

    #[test]
    fn types_and_literals_are_told_in_sql() {
        for (text, expected) in [
            ("cannot cast string 'x' to value of Int32 type", "cannot cast string 'x' to value of INT type"),
            ("Timestamp(ms, \"UTC\") * Int64", "TIMESTAMP * BIGINT"),
            ("Decimal128(18, 2) < Decimal256(40, 3)", "DECIMAL(18, 2) < DECIMAL(40, 3)"),
            ("array_has(List(Int64), Utf8)", "array_has(BIGINT[], VARCHAR)"),
            ("List(non-null List(Utf8))", "VARCHAR[][]"),
            ("a + Int64(2) || Utf8(\"x (y)\")", "a + 2 || 'x (y)'"),
            ("Decimal128(Some(25),2,1)", "25"),
            ("Dictionary(Int32, Utf8)", "VARCHAR"),
            ("Time32(ms) = Time64(µs)", "TIME(3) = TIME"),
            (
                "Struct(\"x\": Int32, \"y\": non-null List(Utf8)) || Int64",
                "STRUCT(x INT, y VARCHAR[]) || BIGINT",
            ),
            (
                "Map(\"entries\": non-null Struct(\"key\": non-null Utf8, \"value\": Binary), unsorted)",
                "MAP(VARCHAR, BINARY)",
            ),
            ("Interval(MonthDayNano), Date32, Time64(µs)", "INTERVAL, DATE, TIME"),
            ("Int64x and my_Int64 stay, so does Timestamp", "Int64x and my_Int64 stay, so does Timestamp"),
        ] {
            assert_eq!(in_sql(text), expected);
        }
    }
}
