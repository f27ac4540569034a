"""The engines: a query in, an Answer out. Each has the same tables.

This program answers through its prompt: one process reads many queries from a pipe and prints JSON. A query that fails
ends the process, so it is started again for the next one; that takes some hundredths of a second.
"""

import datetime
import json
import re
import subprocess
import threading
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import psycopg

from . import tables

# A query of the generator takes milliseconds: after this time it hangs.
QUERY_SECONDS_MAX = 20
START_SECONDS_MAX = 60
# Queries are sent ahead of their answers, so that none waits for the other side of the pipe.
LINES_WAITING_MAX = 4096
MARK = "end of answer"
OVERFLOW = re.compile(r"overflow|out of range|too large|does not fit|exceeds|numeric field", re.I)


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows with the kinds of their columns, or what went wrong."""

    rows: list | None = None
    kinds: tuple = ()
    error: str = ""
    # `rows`, `error`, `panic` or `hang`.
    outcome: str = "rows"

    @property
    def answered(self):
        return self.outcome == "rows"

    @property
    def is_overflow(self):
        return self.outcome == "error" and bool(OVERFLOW.search(self.error))


def failed(error, outcome="error"):
    return Answer(None, (), str(error).strip(), outcome)


class Ours:
    """This program's prompt over the tables, in a folder of its own."""

    def __init__(self, binary, folder, rows):
        self.binary = str(binary)
        self.folder = Path(folder)
        self.process = None
        self.failures = 0
        self.load(rows)

    def load(self, rows):
        """Takes other rows: a dict of lists by table."""
        self.close()
        views = self.folder / "sql"
        views.mkdir(parents=True, exist_ok=True)
        (self.folder / "row.avsc").write_text(tables.avro_schema(), encoding="utf-8")
        (self.folder / "config.yaml").write_text(
            "kafka_server: 127.0.0.1:1\nkafka_topic: rows\navro_schema: row.avsc\ndatabase: sqlite://rows.db\n",
            encoding="utf-8",
        )
        with (self.folder / "rows.jsonl").open("w", encoding="utf-8") as file:
            for name in tables.ALL:
                (views / f"{name}.sql").write_text(tables.view(name), encoding="utf-8")
                for row in rows[name]:
                    file.write(json.dumps(tables.message(name, row)) + "\n")

    def start(self):
        self.close()
        self.process = subprocess.Popen(
            [self.binary, "sql", "--format", "json"],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def close(self):
        if self.process is None:
            return
        process, self.process = self.process, None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    def answer(self, query):
        return self.answers([query])[0]

    def answers(self, queries):
        """An answer for each query. The process ends with the first that fails; the others go to the next process."""
        made = []
        while len(made) < len(queries):
            made += self.some(queries[len(made) :])
        return made

    def some(self, queries):
        """Answers up to the first failure, that one with it."""
        self.start()
        process = self.process
        writer = threading.Thread(target=send, args=(process.stdin, queries), daemon=True)
        errors = []
        listener = threading.Thread(target=listen, args=(process.stderr, errors), daemon=True)
        writer.start()
        listener.start()
        watch = Watch(process)
        made = []
        rows = []
        for line in process.stdout:
            if MARK in line and line == f'{{"mark":"{MARK} {len(made)}"}}\n':
                made.append(Answer(rows))
                rows = []
                watch.seen()
                if len(made) == len(queries):
                    break
            else:
                rows.append(line)
        hangs = watch.stop()
        if len(made) < len(queries):
            process.wait()
            listener.join(5)
            text = "".join(line for line in errors if "rows from rows.jsonl" not in line)
            if hangs:
                made.append(failed(f"no answer after {QUERY_SECONDS_MAX} s\n{text}", "hang"))
            elif "panicked at" in text or process.returncode not in (0, 1):
                made.append(failed(text or f"exit code {process.returncode}", "panic"))
            else:
                made.append(failed(text))
        process.kill()
        # It writes to a pipe that is closed next.
        writer.join()
        self.close()
        return made


class Watch:
    """Ends a process that gives no answer for too long."""

    def __init__(self, process):
        self.process = process
        self.moved = threading.Event()
        self.stopped = threading.Event()
        self.hangs = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopped.is_set():
            if self.moved.wait(QUERY_SECONDS_MAX):
                self.moved.clear()
            elif not self.stopped.is_set():
                self.hangs = True
                self.process.kill()
                return

    def seen(self):
        self.moved.set()

    def stop(self):
        self.stopped.set()
        self.moved.set()
        self.thread.join()
        return self.hangs


def listen(pipe, errors):
    try:
        errors.extend(pipe)
    except ValueError:
        # It was closed with the process.
        pass


def send(pipe, queries):
    try:
        pipe.write("\\load rows.jsonl\n")
        for index, query in enumerate(queries):
            pipe.write(f"{query};\nSELECT '{MARK} {index}' AS mark;\n")
        pipe.close()
    except (BrokenPipeError, ValueError):
        # The process has ended with an error, which its stderr says.
        pass


class DuckDB:
    def __init__(self, rows, is_wide=False, names=tables.ALL):
        self.is_wide = is_wide
        self.names = names
        self.connection = duckdb.connect(config={"threads": 1, "memory_limit": "1GB"})
        # As PostgreSQL, Spark's ANSI mode and this program have it.
        self.connection.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
        self.connection.execute("SET integer_division = true")
        self.connection.execute("SET TimeZone = 'UTC'")
        self.load(rows)

    def load(self, rows):
        for name in self.names:
            self.connection.execute(f"DROP TABLE IF EXISTS {name}")
            self.connection.execute(tables.declare(name, self.is_wide))
            if rows[name]:
                self.connection.execute(tables.insert(name, rows[name]))

    def answer(self, query):
        timer = threading.Timer(QUERY_SECONDS_MAX, self.connection.interrupt)
        timer.start()
        try:
            result = self.connection.execute(query)
            kinds = tuple(kind_of(str(column[1])) for column in result.description)
            return Answer(result.fetchall(), kinds)
        except duckdb.InterruptException as error:
            return failed(error, "hang")
        except (duckdb.Error, ValueError, OverflowError, UnicodeDecodeError) as error:
            return failed(error)
        finally:
            timer.cancel()

    def close(self):
        self.connection.close()


class Postgres:
    """A connection with temporary tables."""

    def __init__(self, address, rows, names=tables.ALL):
        self.names = names
        self.connection = psycopg.connect(address, autocommit=True)
        self.cursor = self.connection.cursor()
        self.cursor.execute("SET TimeZone = 'UTC'")
        self.cursor.execute("SET jit = off")
        self.cursor.execute(f"SET statement_timeout = '{QUERY_SECONDS_MAX}s'")
        self.load(rows)

    def load(self, rows):
        for name in self.names:
            self.cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{name}")
            self.cursor.execute(tables.declare(name).replace("CREATE TABLE", "CREATE TEMP TABLE"))
            if rows[name]:
                self.cursor.execute(tables.insert(name, rows[name]))

    def answer(self, query):
        try:
            self.cursor.execute(query)
            kinds = tuple(POSTGRES_KINDS.get(column.type_code, "other") for column in self.cursor.description)
            return Answer(self.cursor.fetchall(), kinds)
        except psycopg.errors.QueryCanceled as error:
            return failed(error, "hang")
        except (psycopg.Error, ValueError, OverflowError) as error:
            return failed(error)

    def close(self):
        self.connection.close()


# PostgreSQL's numbers of its types.
POSTGRES_KINDS = {
    16: "bool",
    20: "number",
    21: "number",
    23: "number",
    1700: "number",
    700: "double",
    701: "double",
    25: "text",
    1043: "text",
    1082: "time",
    1114: "time",
    1184: "time",
}


def kind_of(duckdb_type):
    """What a column of DuckDB is compared as."""
    name = duckdb_type.upper().strip('"')
    if name in ("DOUBLE", "FLOAT"):
        return "double"
    if name == "BOOLEAN":
        return "bool"
    if name == "VARCHAR":
        return "text"
    if name in ("DATE",) or name.startswith("TIMESTAMP"):
        return "time"
    if name.startswith("DECIMAL") or name.endswith("INT") or name == "INTEGER":
        return "number"
    return "other"


def read_ours(line, kinds):
    """A row that this program printed, as the values of these kinds. Raises ValueError where it cannot be."""
    values = list(json.loads(line, parse_float=Decimal, parse_constant=float).values())
    if len(values) != len(kinds):
        raise ValueError(f"{len(values)} columns instead of {len(kinds)}")
    return tuple(read_value(value, kind) for value, kind in zip(values, kinds, strict=True))


def read_value(value, kind):
    if value is None:
        return None
    if kind == "double":
        if isinstance(value, str):
            return float(value)
        return float(value) if not isinstance(value, bool) else value
    if kind == "time":
        if value.startswith("+"):
            # Beyond what Python's dates hold; DuckDB's driver gives such moments as text.
            return value.removeprefix("+").removesuffix("Z").replace("T", " ")
        if value.startswith(("0000-", "-")):
            # ISO 8601 has a year 0, and other years before 1 with a minus.
            moment, _, time = value.removeprefix("-").removesuffix("Z").partition("T")
            year, _, day = moment.partition("-")
            return f"{int(year) + 1:04}-{day} (BC) {time}".strip()
        return datetime.datetime.fromisoformat(value)
    return value
