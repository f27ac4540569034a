"""A difference made as small as it gets: parts of the query are left out or put in place of what they are in, then rows are.

A step is kept where the query still differs in the same way. What a step means need not be known: a query that has become wrong is
an error in the other engines, and so no difference.
"""

import re
import time

from .expressions import LITERALS, null
from .tree import expression, replaced, size, walk, with_slots

STEPS_MAX = 600
# A query that hangs takes the time limit of every engine at each step.
SECONDS_MAX = 120
ROWS_STEPS_MAX = 60
ALIAS = re.compile(r" AS (a\d+)")
QUALIFIED = re.compile(r"^(a\d+)\.")


def smaller(query, differs):
    """The smallest query found for which `differs` holds."""
    steps = 0
    found = True
    end = time.monotonic() + SECONDS_MAX
    while found and steps < STEPS_MAX:
        found = False
        for candidate in candidates(query):
            if time.monotonic() > end:
                return query
            steps += 1
            if (size(candidate) < size(query) or is_simpler(candidate, query)) and differs(candidate):
                query = candidate
                found = True
                break
            if steps >= STEPS_MAX:
                break
    return query


def is_simpler(candidate, query):
    """Of the same size, with more constants: steps must end."""

    def rank(tree):
        return sum(1 for node in walk(tree) if node.type and not node.slots and node.template not in simple(node.type))

    return size(candidate) == size(query) and rank(candidate) < rank(query)


def simple(type_):
    """The constants that anything may become."""
    return {
        "int": ("1",),
        "text": ("'a'",),
        "bool": ("true", "false"),
        "decimal": ("1.10",),
        "double": (LITERALS["double"][0],),
        "timestamp": (LITERALS["timestamp"][0],),
        "date": (LITERALS["date"][0],),
    }.get(type_, ())


def candidates(query):
    """Trees with one thing less, the largest steps first."""
    nodes = list(walk(query))
    for node in nodes:
        if node.kind == "query" and node is not query:
            yield node
    yield from without_column(query, nodes)
    totals = {id(below) for node in nodes if node.kind == "total" for below in walk(node)}
    for node in sorted(nodes, key=size, reverse=True):
        if id(node) in totals:
            continue
        if node.kind in ("query", "set"):
            for slot in node.slots:
                if slot.kind in ("query", "set") and node is not query:
                    yield replaced(query, node, slot)
        if node.kind == "join":
            yield from without_side(query, node)
        if node.separator is not None and len(node.slots) > node.least and node.kind != "columns":
            for index in range(len(node.slots)):
                yield replaced(query, node, with_slots(node, node.slots[:index] + node.slots[index + 1 :]))
        if node.optional and (node.template or node.slots):
            yield replaced(query, node, with_slots(expression(None, ""), []))
        if node.type and node.slots:
            for below in walk(node):
                if below is not node and below.type == node.type:
                    yield replaced(query, node, below)
        if node.type and node.template not in simple(node.type):
            for constant in simple(node.type):
                yield replaced(query, node, expression(node.type, constant))
            if node.slots and node.type in LITERALS:
                yield replaced(query, node, null(node.type))


def without_column(query, nodes):
    """Without a column, in all lists of columns that are as long, and in the order by numbers."""
    lists = [node for node in nodes if node.kind == "columns"]
    for length in sorted({len(node.slots) for node in lists}, reverse=True):
        if length < 2:
            continue
        for index in range(length):
            tree = query
            for node in lists:
                if len(node.slots) == length:
                    tree = replaced(tree, node, with_slots(node, node.slots[:index] + node.slots[index + 1 :]))
            for node in nodes:
                if node.kind == "total" and len(node.slots) == length and node.slots[0].template.startswith("1"):
                    tree = replaced(tree, node, with_slots(node, node.slots[:-1]))
            yield tree
    for node in lists:
        for index in range(len(node.slots)):
            if len(node.slots) > 1:
                yield replaced(query, node, with_slots(node, node.slots[:index] + node.slots[index + 1 :]))


def without_side(query, join):
    """One side of a join in its place; what read the other is NULL, and gone from orders."""
    for kept, dropped in ((0, 1), (1, 0)):
        side = join.slots[dropped]
        aliases = {name for node in walk(side) for name in ALIAS.findall(node.template)}
        yield without_aliases(replaced(query, join, join.slots[kept]), aliases)


def without_aliases(node, aliases):
    def is_of(one):
        found = QUALIFIED.match(one.template)
        return bool(found) and found[1] in aliases

    if node.type and not node.slots and is_of(node):
        return null(node.type) if node.type in LITERALS and node.type != "json" else expression(node.type, "NULL")
    slots = node.slots
    if node.kind == "total":
        slots = [slot for slot in slots if not any(is_of(leaf) for leaf in walk(slot))] or slots
    made = [without_aliases(slot, aliases) for slot in slots]
    same = len(made) == len(node.slots) and all(a is b for a, b in zip(made, node.slots, strict=True))
    return node if same else with_slots(node, made)


def fewer_rows(rows, used, differs):
    """The smallest tables found for which `differs` holds."""
    steps = 0
    end = time.monotonic() + SECONDS_MAX
    for table in used:
        part = max(1, len(rows[table]) // 2)
        while part >= 1 and rows[table]:
            start = 0
            while start < len(rows[table]) and steps < ROWS_STEPS_MAX and time.monotonic() < end:
                fewer = {**rows, table: rows[table][:start] + rows[table][start + part :]}
                steps += 1
                if differs(fewer):
                    rows = fewer
                else:
                    start += part
            if part == 1 or steps >= ROWS_STEPS_MAX or time.monotonic() >= end:
                break
            part //= 2
    return rows
