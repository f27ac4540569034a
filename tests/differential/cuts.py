"""Queries as views of a job: random SQL whose rows do not depend on where batches are cut, as outputs of a project with a test.

`realtime-processor test` runs each test as one batch, with its messages one at a time, and cut in two at each place; all must give the
rows that the other engines agree on. Such a view reads `batch` row by row: expressions, inner and left joins with reference tables,
conditions, and subqueries over reference tables, alone or about the row.
"""

import json
import random
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import compare, known, tables
from .collection import encoded
from .engines import DuckDB, Postgres
from .expressions import Scope
from .judge import kinds_of
from .queries import Queries
from .run import Difference, Tally
from .sources import Source, Sources
from .tree import items, part, walk, write

# Views in one project: each test computes all of them, for each cut.
VIEWS = 12
SECONDS_MAX = 300
REFUSALS_MAX = 20
# The rows that are messages, and the tables that are reference tables.
MESSAGES = "t"
REFERENCES = ("u", "v", "y", "z")


class CutFreeSources(Sources):
    """Reads `batch` first, then only reference tables."""

    def __init__(self, chance, category, queries):
        super().__init__(chance, category, queries)
        self.names = REFERENCES

    def table(self):
        return self.table_named(self.chance.choice(self.names))

    def over_batch(self, depth):
        source = self.table_named("batch")
        for _ in range(self.chance.choice((0, 1, 1, 2))):
            source = self.join_row(source, self.one(None, depth - 1, is_joined=True))
        return Scope(source.leaves(), source.order, qualified=source.leaves()), source.node

    def join_row(self, left, right):
        """A join that is decided by each row of the left side alone."""
        both = Scope(left.leaves() + right.leaves(), [])
        conditions = self.conditions(left, right, both)
        word = self.chance.choice(("JOIN", "LEFT JOIN", "LEFT JOIN"))
        node = part(f"{{0}} {word} {{1}} ON {{2}}", left.node, right.node, self.conjunction(conditions), kind="join")
        return Source(node, left.columns + right.columns, left.order + right.order)


class CutFree(Queries):
    sources_of = CutFreeSources

    def view(self):
        scope, source = self.sources.over_batch(2)
        types = [
            self.chance.choice(("int", "decimal", "text", "bool", "timestamp", "date", "double")) for _ in range(3)
        ]
        columns = self.columns(types, self.names(3, False), scope, 2)
        where = [part(" WHERE {0}", self.conditions(scope, 2), optional=True)] if self.coin(0.6) else []
        return part("SELECT {0} FROM {1}{2}", columns, source, items(where, "", least=0), kind="query")


def view_of(seed, number):
    return CutFree(random.Random(f"view {seed} {number}"), "subqueries" if number % 3 == 0 else "joins").view()


def run(options, seed):
    """Views of one seed; a Tally."""
    tally = Tally()
    rows = tables.of_seed(seed)
    rows = {**rows, "batch": rows[MESSAGES]}
    duck = DuckDB(rows, names=tuple(rows))
    postgres = Postgres(options.postgres, rows, names=tuple(rows)) if options.postgres else None
    views = {}
    for number in range(options.queries):
        query = view_of(seed, number)
        answers = [duck.answer(write(query, "duckdb"))]
        answers += [postgres.answer(write(query, "postgres"))] if postgres else []
        tally.asked += 1
        right = agreed(answers)
        if right is None:
            tally.aside["the other engines disagree, or refuse"] += 1
            continue
        views[number] = (query, right)
        if len(views) == VIEWS:
            project(options, seed, rows, views, tally)
            views = {}
    if views:
        project(options, seed, rows, views, tally)
    return tally


def agreed(answers):
    """The rows, or None; NaN and infinities cannot be stored, so they are no rows of an output."""
    if not all(answer.answered for answer in answers):
        return None
    kinds = kinds_of(answers)
    found = [compare.canonical_rows(answer.rows, kinds) for answer in answers]
    if any(not compare.same(found[0], other, is_loose=True) for other in found[1:]):
        return None
    if any(isinstance(value, float) and not abs(value) < float("inf") for row in found[0] for value in row):
        return None
    return found[0]


def project(options, seed, rows, views, tally):
    """Runs one project; views that are refused are counted, and left out."""
    options.folder.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"cuts-{seed}-", dir=options.folder))
    try:
        (folder / "sql" / "tests").mkdir(parents=True)
        (folder / "row.avsc").write_text(tables.avro_schema(is_one_table=True), encoding="utf-8")
        views = dict(views)
        for _ in range(REFUSALS_MAX):
            for old in (folder / "sql").glob("*.sql"):
                old.unlink()
            for number, (query, _) in views.items():
                (folder / "sql" / f"q{number}.sql").write_text(write(query, "ours") + "\n", encoding="utf-8")
            # A test may give rows only of tables that a view reads.
            read = [name for name in REFERENCES if any(reads(query, name) for query, _ in views.values())]
            (folder / "config.yaml").write_text(configuration(read), encoding="utf-8")
            (folder / "sql" / "tests" / "cuts.yaml").write_text(test_file(rows, read, views), encoding="utf-8")
            done = subprocess.run(
                [options.binary, "test"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=SECONDS_MAX,
                check=False,
            )
            refused = sorted({int(number) for number in re.findall(r"sql/q(\d+)\.sql:", done.stderr)})
            if done.returncode != 78 or not refused:
                break
            for number in refused:
                views.pop(number, None)
                tally.compared += 1
                tally.refused["a view"] += 1
        judge_tests(options, seed, rows, views, done, tally)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def judge_tests(options, seed, rows, views, done, tally):
    """What the test of a project says. Views that fail together are run alone: one of them may be to blame for all."""
    if done.returncode == 0 or not views:
        tally.compared += len(views)
    elif len(views) > 1:
        for number, view in views.items():
            project(options, seed, rows, {number: view}, tally)
    else:
        tally.compared += 1
        [(number, (query, right))] = views.items()
        sql = write(query, "ours")
        told = f"{done.stderr}{done.stdout}"[:3000]
        entry = known.find(sql, "", options.listed) or known.find(sql, told, options.listed)
        tally.differences.append(
            Difference(
                seed,
                number,
                "cuts",
                "a view",
                sql,
                sql,
                "",
                compare.shown(right),
                told,
                known=entry.name if entry else "",
            )
        )


def reads(query, name):
    return any(node.template.startswith(f"{name} AS ") for node in walk(query))


def configuration(read):
    references = "".join(f"  {name}: {{ table: {name} }}\n" for name in read)
    return "kafka_server: 127.0.0.1:1\nkafka_topic: rows\navro_schema: row.avsc\ndatabase: sqlite://rows.db\n" + (
        "reference_tables:\n" + references if read else ""
    )


def test_file(rows, read, views):
    """JSON is YAML."""
    shared = {}
    columns = {column.name: column.declared for column in tables.COLUMNS}
    for name in read:
        shared[name] = {"columns": columns, "rows": [tables.named(row) for row in rows[name]]}
    messages = [tables.named(row) for row in rows["batch"]]
    expected = {
        f"q{number}": {
            "rows": [{f"c{index}": encoded(value) for index, value in enumerate(row, 1)} for row in right],
            "tolerance": 1e-6,
        }
        for number, (_, right) in views.items()
    }
    tests = [{"name": "all", "messages": messages, "expect": expected}]
    text = json.dumps({"tables": shared, "tests": tests}, ensure_ascii=False)
    return re.sub(r'"#([^"]*)"', r"\1", text) + "\n"
