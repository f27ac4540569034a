"""The one place that knows how the engines spell the same thing.

A template is written as this program takes it. Where another engine needs other words for the same meaning, SPELLINGS has
them: by engine, where `duckdb` counts for `wide` too. `wide` is DuckDB over the same rows with integers of 128 bits: it
knows what integer arithmetic that overflows in the others would have been.
"""

ENGINES = ("ours", "duckdb", "postgres", "wide")

TEXT_OF_KEY = "CAST({0} AS json) ->> {1}"


def _json_number(engine):
    if engine == "postgres":
        is_number = "json_typeof(CAST({0} AS json) -> {1}) = 'number'"
        return f"(CASE WHEN {is_number} THEN CAST({TEXT_OF_KEY} AS BIGINT) END)"
    is_number = "json_type({0}, '$.' || {1}) IN ('BIGINT', 'UBIGINT')"
    return f"(CASE WHEN {is_number} THEN CAST(({{0}} ->> ('$.' || {{1}})) AS BIGINT) END)"


def _json_text(engine):
    if engine == "postgres":
        return f"(CASE WHEN json_typeof(CAST({{0}} AS json) -> {{1}}) = 'string' THEN {TEXT_OF_KEY} END)"
    return "(CASE WHEN json_type({0}, '$.' || {1}) = 'VARCHAR' THEN {0} ->> ('$.' || {1}) END)"


SPELLINGS = {
    # Numbers.
    "CAST({0} AS DOUBLE)": {"postgres": "CAST({0} AS DOUBLE PRECISION)"},
    "CAST({0} AS INT)": {"wide": "CAST({0} AS HUGEINT)"},
    "CAST({0} AS BIGINT)": {"wide": "CAST({0} AS HUGEINT)"},
    "CAST(trunc({0}) AS BIGINT)": {"wide": "CAST(trunc({0}) AS HUGEINT)"},
    "{0} # {1}": {"ours": "{0} ^ {1}", "duckdb": "xor({0}, {1})"},
    "power({0}, {1})": {"postgres": "power(CAST({0} AS DOUBLE PRECISION), {1})"},
    # Averages of numbers that are not doubles have a type of their own in each engine.
    "avg(CAST({0} AS DOUBLE))": {"postgres": "avg(CAST({0} AS DOUBLE PRECISION))"},
    # Text.
    "regexp_like({0}, {1})": {"duckdb": "regexp_matches({0}, {1})", "postgres": "({0} ~ {1})"},
    "{0} ~ {1}": {"duckdb": "regexp_matches({0}, {1})"},
    "{0} !~ {1}": {"duckdb": "NOT regexp_matches({0}, {1})"},
    "{0} ~* {1}": {"duckdb": "regexp_matches({0}, {1}, 'i')"},
    "btrim({0}, {1})": {"duckdb": "trim({0}, {1})"},
    "{0} SIMILAR TO {1}": {"duckdb": "{0} SIMILAR TO replace(replace({1}, '%', '(.|\\n)*'), '_', '.')"},
    "{0} NOT SIMILAR TO {1}": {"duckdb": "{0} NOT SIMILAR TO replace(replace({1}, '%', '(.|\\n)*'), '_', '.')"},
    # Times. What `extract` is of a number, it is of an integer here.
    **{
        f"extract({unit} FROM {{0}})": {"postgres": f"CAST(floor(extract({unit} FROM {{0}})) AS BIGINT)"}
        for unit in ("year", "month", "day", "hour", "minute", "quarter", "dow", "doy", "week", "isodow")
    },
    "extract(epoch FROM {0})": {"postgres": "CAST(extract(epoch FROM {0}) AS DOUBLE PRECISION)"},
    "extract(epoch FROM {0} - {1})": {"postgres": "CAST(extract(epoch FROM {0} - {1}) AS DOUBLE PRECISION)"},
    "date_bin({1}, {0}, TIMESTAMP '2001-01-01 00:00:00')": {
        "duckdb": "time_bucket({1}, {0}, TIMESTAMP '2001-01-01 00:00:00')"
    },
    "to_local_time({0} AT TIME ZONE {1})": {
        "duckdb": "(({0} AT TIME ZONE 'UTC') AT TIME ZONE {1})",
        "postgres": "(({0} AT TIME ZONE 'UTC') AT TIME ZONE {1})",
    },
    # Arrays.
    "array_concat({0}, {1})": {"postgres": "array_cat({0}, {1})"},
    "array_has({0}, {1})": {"postgres": "({1} = ANY({0}))"},
    "{0}[{1}]": {"postgres": "({0})[{1}]", "duckdb": "({0})[{1}]"},
    "cardinality({0})": {"duckdb": "len({0})"},
    "array_length({0})": {"duckdb": "len({0})", "postgres": "cardinality({0})"},
    # JSON.
    "json_get_int({0}, {1})": {engine: _json_number(engine) for engine in ("duckdb", "postgres")},
    "json_get_str({0}, {1})": {engine: _json_text(engine) for engine in ("duckdb", "postgres")},
    # It says of NULL that it has no field.
    "json_contains({0}, {1})": {
        "duckdb": "coalesce(json_exists({0}, '$.' || {1}), false)",
        "postgres": "coalesce(CAST({0} AS jsonb) ? {1}, false)",
    },
    "{0} ->> {1}": {"duckdb": "({0} ->> ('$.' || {1}))", "postgres": f"({TEXT_OF_KEY})"},
    # DuckDB compares rows with NULL as it sorts them; this is what SQL says.
    "({0}, {1}) < ({2}, {3})": {"duckdb": "({0} < {2} OR ({0} = {2} AND {1} < {3}))"},
    "({0}, {1}) >= ({2}, {3})": {"duckdb": "({0} > {2} OR ({0} = {2} AND {1} >= {3}))"},
    "({0}, {1}) = ({2}, {3})": {"duckdb": "({0} = {2} AND {1} = {3})"},
    "({0}, {1}) IN (({2}, {3}), ({4}, {5}))": {
        "duckdb": "(({0} = {2} AND {1} = {3}) OR ({0} = {4} AND {1} = {5}))",
    },
}


def template_for(template, engine):
    spellings = SPELLINGS.get(template)
    if spellings is None:
        return template
    if engine == "wide" and "wide" not in spellings:
        engine = "duckdb"
    return spellings.get(engine, template)
