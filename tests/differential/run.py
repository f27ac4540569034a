"""Many queries in several processes, and the report.

A seed's queries are cut into shares; each share is answered in one worker, which has the tables of the seed in all engines.
"""

import multiprocessing
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from . import compare, known, shrink, tables
from .engines import DuckDB, Ours, Postgres
from .judge import form_of, judge
from .queries import query_of
from .tree import walk, write

# After so many shares a worker makes way for a new one.
SHARES_OF_A_WORKER = 20
# Workers that were killed are gone after this time.
END_SECONDS_MAX = 5
# Of an error, which may be a panic with its backtrace.
ERROR_LINES_MAX = 25
# Forms that are refused, and reasons to set a query aside, in the report.
FORMS_SHOWN_MAX = 20
# Queries that one worker answers with one set of processes.
SHARE_MAX = 250
# More differences than this in a share are not made small: something is wrong with all of them.
SHRUNK_MAX = 40


@dataclass
class Options:
    binary: str
    folder: Path
    postgres: str | None
    queries: int = 1000
    only: str | None = None
    listed: Path = known.FILE
    with_rows: bool = True


@dataclass
class Difference:
    seed: int
    number: int
    category: str
    detail: str
    query: str
    whole: str
    ours: str
    right: str
    error: str
    rows: str = ""
    known: str = ""


@dataclass
class Tally:
    """What came of queries."""

    compared: int = 0
    asked: int = 0
    aside: Counter = field(default_factory=Counter)
    refused: Counter = field(default_factory=Counter)
    examples: dict = field(default_factory=dict)
    differences: list = field(default_factory=list)
    unshrunk: int = 0

    def add(self, other):
        self.compared += other.compared
        self.asked += other.asked
        self.aside += other.aside
        self.refused += other.refused
        for form, example in other.examples.items():
            self.examples.setdefault(form, example)
        self.differences += other.differences
        self.unshrunk += other.unshrunk


class Bench:
    """All engines with the same tables."""

    def __init__(self, options, seed):
        self.options = options
        self.rows = tables.of_seed(seed)
        options.folder.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"seed-{seed}-", dir=options.folder))
        self.ours = Ours(options.binary, self.folder, self.rows)
        self.duck = DuckDB(self.rows)
        self.wide = DuckDB(self.rows, is_wide=True)
        self.postgres = Postgres(options.postgres, self.rows) if options.postgres else None

    def load(self, rows):
        for engine in (self.ours, self.duck, self.wide, self.postgres):
            if engine is not None:
                engine.load(rows)

    def verdict(self, query, ours=None):
        """The verdict on one query; `ours` is this program's answer where it is known."""
        duck = self.duck.answer(write(query, "duckdb"))
        postgres = self.postgres.answer(write(query, "postgres")) if self.postgres else None
        if ours is None:
            answered = duck.answered or duck.is_overflow
            ours = self.ours.answer(write(query, "ours")) if answered else None
            if ours is None:
                return judge(query, duck, duck, postgres, lambda: duck)
        return judge(query, ours, duck, postgres, lambda: self.wide.answer(write(query, "wide")))

    def close(self):
        for engine in (self.ours, self.duck, self.wide, self.postgres):
            if engine is not None:
                engine.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def share(task):
    """Answers the queries of one share."""
    options, seed, numbers = task
    tally = Tally()
    try:
        with Bench(options, seed) as bench:
            made = [query_of(seed, number, options.only) for number in numbers]
            answers = bench.ours.answers([write(query, "ours") for query, _ in made])
            different = []
            for number, (query, category), ours in zip(numbers, made, answers, strict=True):
                verdict = bench.verdict(query, ours)
                tally.asked += 1
                if verdict.kind == "same":
                    tally.compared += 1
                elif verdict.kind == "aside":
                    tally.aside[verdict.detail] += 1
                elif verdict.kind == "refused":
                    tally.compared += 1
                    tally.refused[verdict.detail] += 1
                    tally.examples.setdefault(verdict.detail, (seed, number))
                else:
                    tally.compared += 1
                    different.append((number, category, query, verdict))
            for index, (number, category, query, verdict) in enumerate(different):
                if index < SHRUNK_MAX:
                    tally.differences.append(small(bench, options, seed, number, category, query, verdict))
                else:
                    tally.unshrunk += 1
    except Exception:
        # Why: the traceback of a worker is lost otherwise.
        traceback.print_exc()
        raise
    return tally


def small(bench, options, seed, number, category, query, verdict):
    """The difference, made small."""
    whole = write(query, "ours")
    detail = verdict.detail
    query = shrink.smaller(query, lambda candidate: is_alike(bench.verdict(candidate), verdict))
    text = write(query, "ours")
    final = bench.verdict(query)
    if not final.differs:
        # Not the same twice: that is told too.
        final, text, detail = verdict, whole, f"{detail}, not each time"
    entry = known.find(text, final.error if detail != "types" else "", options.listed)
    rows = ""
    if entry is None and options.with_rows:
        used = [name for name in tables.ALL if any(is_table(node, name) for node in walk(query))]

        def differs_with(rows):
            bench.load(rows)
            return is_alike(bench.verdict(query), final)

        fewer = shrink.fewer_rows(bench.rows, used, differs_with)
        bench.load(fewer)
        again = bench.verdict(query)
        final = again if again.differs else final
        rows = "\n".join(f"    {name}: {compact(row)}" for name in used for row in fewer[name])
        bench.load(bench.rows)
    return Difference(
        seed,
        number,
        category,
        detail,
        text,
        whole,
        compare.shown(final.ours) if final.ours is not None and detail != "types" else str(final.ours or "")[:300],
        compare.shown(final.right) if final.right is not None else "",
        final.error,
        rows,
        entry.name if entry else "",
    )


def is_alike(one, other):
    """Whether two verdicts are about the same fault, as far as one can see."""
    return (one.kind, one.detail, form_of(one.error)) == (other.kind, other.detail, form_of(other.error))


def is_table(node, name):
    return node.template.startswith(f"{name} AS ")


def compact(row):
    return ", ".join(f"{name} {value!r}" for name, value in zip(tables.NAMES, row, strict=True) if value is not None)


def run(options, seeds, jobs, progress=True):
    """Runs all queries of the seeds; a Tally for each seed."""
    length = max(1, min(SHARE_MAX, len(seeds) * options.queries // (2 * jobs)))
    tasks = [
        (options, seed, range(start, min(start + length, options.queries)))
        for seed in seeds
        for start in range(0, options.queries, length)
    ]
    tallies = {seed: Tally() for seed in seeds}
    started = time.monotonic()
    for done, (task, tally) in enumerate(answered(tasks, min(jobs, len(tasks))), 1):
        tallies[task[1]].add(tally)
        for difference in tally.differences:
            if not difference.known:
                print(told(difference), flush=True)
        if progress:
            seconds = time.monotonic() - started
            print(f"differential: {done} of {len(tasks)} shares, {seconds:.0f} s", file=sys.stderr)
    return tallies


def answered(tasks, jobs):
    """Each task and its tally, in the order of the tasks."""
    spawn = multiprocessing.get_context("spawn")
    # Why not `max_tasks_per_child`: the pool waits for ever when its last worker makes way for a new one.
    for begin in range(0, len(tasks), jobs * SHARES_OF_A_WORKER):
        some = tasks[begin : begin + jobs * SHARES_OF_A_WORKER]
        pool = ProcessPoolExecutor(jobs, spawn)
        try:
            yield from zip(some, pool.map(share, some), strict=True)
        except BaseException:
            # Why not the pool's own way: it waits for the shares that were begun.
            children = multiprocessing.active_children()
            for child in children:
                child.kill()
            for child in children:
                child.join(END_SECONDS_MAX)
            raise
        pool.shutdown()


def told(difference):
    lines = [
        f"difference {difference.seed}:{difference.number} ({difference.category}): {difference.detail}",
        f"  query: {difference.query}",
    ]
    if difference.right:
        lines.append(f"  right: {difference.right}")
    if difference.ours:
        lines.append(f"  ours:  {difference.ours}")
    if difference.error:
        lines.append("  error: " + "\n         ".join(difference.error.strip().splitlines()[:ERROR_LINES_MAX]))
    if difference.rows:
        lines.append("  rows:\n" + difference.rows)
    return "\n".join(lines)


def report(tallies, seconds, example=lambda form, seed, number: f"{seed}:{number}"):
    """Prints the sums; says whether nothing differs that is not listed. `example` shows a query of a form that is refused."""
    all_ = Tally()
    for tally in tallies.values():
        all_.add(tally)
    fresh = [one for one in all_.differences if not one.known]
    refused = all_.refused.total()
    print(f"queries {all_.asked}, compared {all_.compared}, set aside {all_.aside.total()}")
    share_ = refused / all_.compared if all_.compared else 0.0
    print(f"refused {refused} ({share_:.1%} of those compared)")
    for form, count in all_.refused.most_common(FORMS_SHOWN_MAX):
        print(f"  {count:6} {form}")
        if form in all_.examples:
            print("         " + example(form, *all_.examples[form]))
    print("set aside")
    for form, count in all_.aside.most_common(FORMS_SHOWN_MAX):
        print(f"  {count:6} {form}")
    names = Counter(one.known for one in all_.differences if one.known)
    print(f"listed differences {names.total()}")
    for name, count in names.most_common():
        print(f"  {count:6} {name}")
    print(f"other differences {len(fresh)}" + (f", and {all_.unshrunk} not looked at" if all_.unshrunk else ""))
    print(f"{seconds:.0f} s")
    return not fresh and not all_.unshrunk


def small_refusals(options):
    """An `example` for `report` that makes the query small."""

    def example(form, seed, number):
        with Bench(options, seed) as bench:
            query, _ = query_of(seed, number, options.only)
            verdict = bench.verdict(query)
            if verdict.detail == form:
                query = shrink.smaller(query, lambda candidate: is_alike(bench.verdict(candidate), verdict))
            return f"{seed}:{number} {write(query, 'ours')}"

    return example


def repeat(options, seed, number):
    """Runs one query again, and prints all that is known of it."""
    with Bench(options, seed) as bench:
        query, category = query_of(seed, number, options.only)
        for engine in ("ours", "duckdb", "postgres"):
            print(f"-- {engine}\n{write(query, engine)};")
        verdict = bench.verdict(query, bench.ours.answer(write(query, "ours")))
        print(f"{category}: {verdict.kind} {verdict.detail}")
        if not verdict.differs:
            if verdict.error:
                print(verdict.error)
            return verdict.kind != "different"
        difference = small(bench, options, seed, number, category, query, verdict)
        print(told(difference))
        if difference.known:
            print(f"listed as {difference.known}")
        return bool(difference.known)
