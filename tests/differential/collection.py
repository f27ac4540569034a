"""Queries with expected rows, by category: the files of `collection/`.

An entry is a comment that names it, a query on one line, and a line `--=` for each expected row, as JSON: numbers with an exponent are
doubles, all others are exact. `--duckdb` and `--postgres` are other spellings of the query; `--! reason` says that it may be refused, and why; `--? reason` that its answer is
known to be wrong, until that is mended.
The rows come from PostgreSQL and DuckDB where they agree (`--update`); they stand in the file so that a run needs neither.
"""

import datetime
import json
import re
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from . import compare, tables
from .engines import DuckDB, Ours, Postgres
from .judge import DATA, kinds_of

FOLDER = Path(__file__).parent / "collection"
MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?)?")


@dataclass
class Entry:
    file: Path
    name: str
    query: str = ""
    spellings: dict = field(default_factory=dict)
    refusal: str | None = None
    fault: str | None = None
    rows: list = field(default_factory=list)

    def of(self, engine):
        return self.spellings.get(engine, self.query)


def entries(only=None):
    """All entries, or those of one category."""
    return [entry for file in sorted(FOLDER.glob("*.sql")) if only in (None, file.stem) for entry in read(file)]


def read(file):
    made = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("-- "):
            made.append(Entry(file, line[3:]))
        elif line.startswith("--= "):
            made[-1].rows.append(line[4:])
        elif line.startswith("--! "):
            made[-1].refusal = line[4:]
        elif line.startswith("--? "):
            made[-1].fault = line[4:]
        elif spelling := re.match(r"--(duckdb|postgres) (.*)", line):
            made[-1].spellings[spelling[1]] = spelling[2]
        elif line.endswith(";"):
            made[-1].query = line[:-1]
        elif line:
            raise ValueError(f"{file.name}:{number}: expected a comment or a query that ends with a semicolon")
    return made


def write(file, made):
    lines = []
    for entry in made:
        lines.append(f"-- {entry.name}")
        lines += [f"--{engine} {text}" for engine, text in entry.spellings.items()]
        lines += [f"--! {entry.refusal}"] if entry.refusal else []
        lines += [f"--? {entry.fault}"] if entry.fault else []
        lines.append(f"{entry.query};")
        lines += [f"--= {row}" for row in entry.rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def update(address, only=None):
    """Writes the rows that PostgreSQL and DuckDB agree on; gives what they do not agree on."""
    rows = tables.fixed_alone()
    duck, postgres = DuckDB(rows), Postgres(address, rows)
    faults = []
    for file in sorted(FOLDER.glob("*.sql")):
        if only not in (None, file.stem):
            continue
        made = read(file)
        for entry in made:
            answers = [duck.answer(entry.of("duckdb")), postgres.answer(entry.of("postgres"))]
            wrong = next((answer.error for answer in answers if not answer.answered), None)
            if wrong:
                faults.append(f"{file.name}: {entry.name}: {wrong}")
                continue
            kinds = kinds_of(answers)
            one, other = (compare.canonical_rows(answer.rows, kinds) for answer in answers)
            if not compare.same(one, other, is_loose=True):
                faults.append(f"{file.name}: {entry.name}: {compare.shown(one)} and {compare.shown(other)}")
                continue
            entry.rows = sorted(json.dumps([encoded(value) for value in row], ensure_ascii=False) for row in one)
            entry.rows = [re.sub(r'"#([^"]*)"', r"\1", row) for row in entry.rows]
        write(file, made)
    return faults


def encoded(value):
    """A value as JSON; what starts with # loses its quotes."""
    if isinstance(value, float):
        return f"#{value:.17e}" if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, Decimal):
        return f"#{value:f}"
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [encoded(item) for item in value]
    return value


def number(text):
    return float(text) if "e" in text.lower() else Decimal(text)


def decoded(value, other):
    """A value of either side, so that the two can be compared; `other` is the expected one."""
    if isinstance(value, str) and isinstance(other, str) and MOMENT.fullmatch(value) and MOMENT.fullmatch(other):
        return compare.canonical(datetime.datetime.fromisoformat(value), "time")
    if isinstance(value, list):
        others = other if isinstance(other, list) and len(other) == len(value) else [None] * len(value)
        return tuple(decoded(*pair) for pair in zip(value, others, strict=True))
    if isinstance(other, float) and value is not None:
        return float(value)
    return compare.canonical(value, "other")


def check(binary, only=None):
    """Runs the entries in this program. Gives faults as text, the entries that are refused, as they may be, and those
    that are known to be wrong."""
    found = entries(only)
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(binary, folder, tables.fixed_alone())
        answers = ours.answers([entry.query for entry in found])
    faults, refused, known = [], [], []
    for entry, answer in zip(found, answers, strict=True):
        place = f"{entry.file.name}: {entry.name}\n  {entry.query}"
        if entry.fault and not (answer.answered and is_right(entry, answer.rows)):
            known.append(entry)
        elif not answer.answered:
            if entry.refusal and answer.outcome == "error" and not DATA.search(answer.error):
                refused.append(entry)
            else:
                faults.append(f"{place}\n  {answer.outcome}: {answer.error}")
        elif not is_right(entry, answer.rows):
            right = " ".join(entry.rows) or "none"
            came = " ".join(line.strip() for line in answer.rows) or "none"
            faults.append(f"{place}\n  right: {right}\n  ours:  {came}")
    return faults, refused, known


def is_right(entry, lines):
    expected = [json.loads(row, parse_float=number, parse_int=Decimal) for row in entry.rows]
    came = [list(json.loads(line, parse_float=Decimal, parse_int=Decimal).values()) for line in lines]
    if len(expected) != len(came):
        return False
    left = list(came)
    for row in expected:
        for candidate in left:
            if len(candidate) == len(row) and all(is_same(*pair) for pair in zip(candidate, row, strict=True)):
                left.remove(candidate)
                break
        else:
            return False
    return True


def is_same(value, expected):
    try:
        return compare.near(decoded(value, expected), decoded(expected, expected), is_loose=True)
    except (ValueError, TypeError):
        return False
