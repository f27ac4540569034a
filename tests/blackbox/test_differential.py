"""A short run of `scripts/differential`, its collection, and what must hold of its parts."""

import sys

import pytest

from harness import ROOT

sys.path.append(str(ROOT / "tests"))

from differential import collection, compare, cuts, judge, known, run, shrink, tables  # noqa: E402
from differential.engines import Answer  # noqa: E402
from differential.queries import query_of  # noqa: E402
from differential.server import Server, find  # noqa: E402
from differential.tree import expression, items, part, size, walk, write  # noqa: E402

SEEDS = (1, 2)
QUERIES = 250
VIEWS = 24
REFUSED_MAX = 0.05


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """The address of a PostgreSQL, or None where it is not installed: then DuckDB alone is compared with."""
    if find() is None:
        yield None
        return
    with Server(tmp_path_factory.mktemp("postgres"), None) as address:
        yield address


def test_the_collection(binary):
    faults, refused, _ = collection.check(binary)
    assert not faults, "\n".join(faults)
    assert len(refused) <= REFUSED_MAX * len(collection.entries()), [entry.query for entry in refused]


def test_random_queries(binary, tmp_path, postgres, figure):
    options = run.Options(str(binary), tmp_path, postgres, QUERIES)
    tallies = run.run(options, SEEDS, jobs=2, progress=False)
    compared = sum(tally.compared for tally in tallies.values())
    refused = sum(tally.refused.total() for tally in tallies.values())
    wrong = [run.told(one) for tally in tallies.values() for one in tally.differences if not one.known]
    figure(f"{compared} queries compared, {refused} refused")
    assert not wrong, "\n\n".join(wrong)
    assert compared > 0.8 * QUERIES * len(SEEDS)


def test_views_of_a_job_in_all_cuts(binary, tmp_path, postgres):
    tally = cuts.run(run.Options(str(binary), tmp_path, postgres, VIEWS), SEEDS[0])
    wrong = [run.told(one) for one in tally.differences if not one.known]
    assert not wrong, "\n\n".join(wrong)
    assert tally.compared - tally.refused.total() > VIEWS / 3


def test_queries_and_tables_follow_from_the_seed():
    assert write(query_of(7, 3)[0], "ours") == write(query_of(7, 3)[0], "ours")
    assert write(query_of(7, 3)[0], "ours") != write(query_of(7, 4)[0], "ours")
    tables.of_seed.cache_clear()
    once = tables.of_seed(7)
    tables.of_seed.cache_clear()
    assert once == tables.of_seed(7) != tables.of_seed(8)


def test_rows_are_compared_as_multisets():
    def same(one, other, is_loose=False):
        kinds = ("double" if any(isinstance(value, float) for value in (*one, *other)) else "number",)
        rows = [compare.canonical_rows([(value,) for value in values], kinds) for values in (one, other)]
        return compare.same(*rows, is_loose)

    assert same([1, 2, 2], [2, 1, 2])
    assert not same([1, 2], [1, 2, 2])
    assert not same([1, 1, 2], [1, 2, 2])
    assert not same([None], [0])
    assert same([-0.0], [0.0])
    assert same([float("nan")], [float("nan")])
    assert same([0.1 + 0.2], [0.3])
    assert not same([0.3], [0.300001])
    assert not same([1e300], [float("inf")], is_loose=True)
    assert same([1.0], [1.0 + 1e-12], is_loose=True)


def test_a_wrong_answer_is_a_difference():
    query = part("SELECT 1 AS c1", kind="query")
    two = Answer([(1,)], ("number",))

    def verdict(ours, duck=two, postgres=two):
        return judge.judge(query, ours, duck, postgres, lambda: two)

    overflow = Answer(None, (), "Out of Range Error: Overflow", "error")
    assert verdict(Answer(['{"c1":1}'])).kind == "same"
    assert verdict(Answer(['{"c1":2}'])).differs
    assert verdict(Answer([])).differs
    assert verdict(Answer(None, (), "error: no such form", "error")).kind == "refused"
    assert verdict(Answer(None, (), "error: divide by zero", "error")).differs
    assert verdict(Answer(None, (), "panicked at", "panic")).differs
    assert verdict(Answer(['{"c1":1}']), postgres=Answer([(2,)], ("number",))).kind == "aside"
    # Both say that a number leaves its type: then it must be the right one, or an error.
    assert verdict(Answer(['{"c1":1}']), overflow, overflow).kind == "same"
    assert verdict(Answer(['{"c1":-1}']), overflow, overflow).differs
    assert verdict(Answer(None, (), "error: overflow", "error"), overflow, overflow).kind == "aside"


def test_a_difference_is_made_small():
    """The query differs where it has a product: nothing else is left of it."""
    query = next(
        query
        for query, _ in (query_of(1, number) for number in range(1000))
        if "*" in templates(query) and size(query) > 60
    )
    small = shrink.smaller(query, lambda candidate: "{0} * {1}" in [node.template for node in walk(candidate)])
    assert "*" in templates(small)
    assert size(small) < 20, write(small, "ours")


def templates(query):
    return " ".join(node.template for node in walk(query) if node.template in ("{0} * {1}",))


def test_rows_are_left_out_as_long_as_it_differs():
    rows = {"t": [(number,) for number in range(16)], "u": [(1,)]}
    fewer = shrink.fewer_rows(rows, ["t", "u"], lambda rows: (5,) in rows["t"] and (11,) in rows["t"])
    assert fewer == {"t": [(5,), (11,)], "u": []}


def test_parentheses_are_set_unless_an_operand_is_bare():
    add = expression("int", "{0} + {1}", expression("int", "1"), expression("int", "2"), level=8)
    product = expression("int", "{0} * {1}", add, expression("int", "3"), level=9)
    assert write(product, "ours") == "(1 + 2) * 3"
    add.bare = True
    assert write(product, "ours") == "1 + 2 * 3"
    assert write(items([product, add]), "ours") == "1 + 2 * 3, 1 + 2"


def test_the_list_of_known_differences_has_a_reason_for_each():
    for entry in known.listed():
        assert entry.kind in ("dialect", "fault"), entry
        assert len(entry.reason) > 20, entry
        assert entry.query or entry.error, entry
