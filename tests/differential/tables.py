"""The tables that queries read: four that are fixed, and three made from the seed. All have the same columns, so that
joins meet each name on both sides.

In this program the rows of all tables are the messages of one batch, and each table is a view that picks its rows:
`sql/t.sql`. So the types are those of Avro, exactly.
"""

import datetime
import json
import random
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

FIXED = Path(__file__).parent / "tables.jsonl"


@dataclass(frozen=True)
class Column:
    name: str
    # The type as `expressions` knows it.
    type: str
    # As DuckDB and PostgreSQL declare it, and where integers cannot overflow.
    declared: str
    wide: str
    # As the Avro schema has it.
    avro: object


def logical(base, name, **more):
    return {"type": base, "logicalType": name, **more}


COLUMNS = (
    Column("id", "int", "INT", "HUGEINT", "int"),
    Column("k", "int", "INT", "HUGEINT", "int"),
    Column("g", "text", "VARCHAR", "VARCHAR", "string"),
    Column("i", "int", "BIGINT", "HUGEINT", "long"),
    Column("n", "int", "INT", "HUGEINT", "int"),
    Column("d", "decimal", "DECIMAL(12, 2)", "DECIMAL(38, 2)", logical("bytes", "decimal", precision=12, scale=2)),
    Column("e", "decimal", "DECIMAL(18, 4)", "DECIMAL(38, 4)", logical("bytes", "decimal", precision=18, scale=4)),
    Column("f", "double", "DOUBLE PRECISION", "DOUBLE", "double"),
    Column("s", "text", "VARCHAR", "VARCHAR", "string"),
    Column("b", "bool", "BOOLEAN", "BOOLEAN", "boolean"),
    Column("ts", "timestamp", "TIMESTAMP", "TIMESTAMP", logical("long", "timestamp-micros")),
    Column("lt", "timestamp", "TIMESTAMP", "TIMESTAMP", logical("long", "local-timestamp-micros")),
    Column("dt", "date", "DATE", "DATE", logical("int", "date")),
    Column("j", "json", "VARCHAR", "VARCHAR", "string"),
)
NAMES = tuple(column.name for column in COLUMNS)

# The usual tables, and the one of extremes, which is read less often.
USUAL = ("t", "u", "v", "x", "y", "z")
EXTREME = "w"
ALL = (*USUAL, EXTREME)


@cache
def fixed():
    tables = {}
    for line in FIXED.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        tables.setdefault(row.pop("table"), []).append(tuple(row.get(name) for name in NAMES))
    return tables


def fixed_alone():
    """The fixed tables; the others are empty."""
    return {name: fixed().get(name, []) for name in ALL}


@cache
def of_seed(seed):
    """The rows of all tables, by name: text for decimals, dates and times, so that nothing is lost on the way."""
    made = dict(fixed())
    chance = random.Random(f"tables {seed}")
    for name, rows in (("x", chance.randint(5, 40)), ("y", chance.randint(3, 15)), ("z", chance.randint(0, 5))):
        made[name] = [_row(chance, number) for number in range(1, rows + 1)]
    return made


def _row(chance, number):
    if chance.random() < 0.05:
        return (number, *[None] * (len(NAMES) - 1))
    return (number, *[None if chance.random() < 0.15 else VALUES[name](chance) for name in NAMES[1:]])


TEXTS = (
    "",
    " ",
    "x",
    "X",
    "xy",
    "a",
    "ab",
    "a%b",
    "a_b",
    "Ação",
    "ação",
    "ñandú",
    "日本語",
    "😀é",
    " x ",
    "zz top",
    "1",
    "-12",
)
MOMENTS = (
    "2024-03-31T00:59:59.999999", "2024-03-31T01:00:00", "2024-03-31T01:30:00", "2024-03-31T02:30:00", "2024-10-27T00:30:00",
    "2024-10-27T01:00:00", "2024-10-27T02:30:00", "2024-02-29T00:00:00", "2023-12-31T23:59:59.999", "1969-12-31T23:59:59.5",
    "1970-01-01T00:00:00", "2000-02-29T12:00:00", "2025-12-29T00:00:00", "1900-03-01T00:00:00", "2021-01-03T08:00:00",
)  # fmt: skip
JSONS = (
    "{}", '{"a": 1}', '{"a": null}', '{"a": "x", "b": [1, 2, 3]}', '{"a": {"b": "y"}}', '{"a": -7, "b": []}',
    '{"b": "ação"}', '{"a": true}', '{"a": {"b": 2}, "b": [null, "z"]}',
)  # fmt: skip


def _moment(chance):
    if chance.random() < 0.6:
        return chance.choice(MOMENTS)
    seconds = chance.randint(0, 3600 * 24 * 800)
    moment = datetime.datetime(2023, 1, 1) + datetime.timedelta(
        seconds=seconds, microseconds=chance.choice((0, 0, 1, 500000))
    )
    return moment.isoformat()


def _decimal(chance, scale):
    digits = chance.choice((0, 1, -1, 5, 50, chance.randint(-300, 300), chance.randint(-(10**7), 10**7)))
    return str(Decimal(digits).scaleb(-scale))


# Doubles whose sums are exact in any order, but for the large one.
def _double(chance):
    return chance.choice((0.0, -0.0, 0.5, -0.5, 1.0, 2.5, -2.5, 0.25, 3.0, 1e17, chance.randint(-1000, 1000) / 16))


VALUES = {
    "k": lambda chance: chance.choice((-1, 0, 1, 1, 2, 2, 3, 4, 5)),
    "g": lambda chance: chance.choice(("a", "a", "b", "c", "")),
    "i": lambda chance: chance.choice((0, 1, -1, 5, 7, 10, 100, chance.randint(-(10**6), 10**6))),
    "n": lambda chance: chance.choice((0, 1, 2, 3, -3, chance.randint(-20, 20))),
    "d": lambda chance: _decimal(chance, 2),
    "e": lambda chance: _decimal(chance, 4),
    "f": _double,
    "s": lambda chance: chance.choice(TEXTS),
    "b": lambda chance: chance.random() < 0.5,
    "ts": _moment,
    "lt": _moment,
    "dt": lambda chance: _moment(chance)[:10],
    "j": lambda chance: chance.choice(JSONS),
}


def avro_schema(is_one_table=False):
    """The schema of the messages. Where they are the rows of several tables, `tab` says of which."""
    nullable = [{"name": column.name, "type": ["null", column.avro], "default": None} for column in COLUMNS]
    table = [] if is_one_table else [{"name": "tab", "type": "string"}]
    return json.dumps({"type": "record", "name": "row", "fields": [*table, *nullable]})


def named(row):
    """The values of a row by name, without those that are NULL."""
    return {name: value for name, value in zip(NAMES, row, strict=True) if value is not None}


def message(table, row):
    """A row as JSON for this program: the message that becomes it."""
    return {"tab": table, **named(row)}


def view(table):
    """The SQL of the view that is the table."""
    return f"SELECT {', '.join(NAMES)} FROM batch WHERE tab = '{table}'\n"


def declare(table, is_wide=False):
    columns = ", ".join(f"{column.name} {column.wide if is_wide else column.declared}" for column in COLUMNS)
    return f"CREATE TABLE {table} ({columns})"


def literal(value):
    """A value as SQL of DuckDB and PostgreSQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"CAST('{value!r}' AS DOUBLE PRECISION)"
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''") + "'"


def insert(table, rows):
    lines = ", ".join("(" + ", ".join(map(literal, row)) + ")" for row in rows)
    return f"INSERT INTO {table} VALUES {lines}"
