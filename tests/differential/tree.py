"""A query as a tree: it can be written for each engine, and made smaller without knowing what it means.

A node is a template with slots (`{0} + {1}`) and the nodes in the slots. What the templates of other engines are is
known to `dialects` alone. Parentheses are set when a node is written: around each operand that is an operation itself,
unless it is `bare`; then the engines' own precedence decides, as it does for people.
"""

import re
from dataclasses import dataclass, field

from .dialects import template_for

ATOM = 100
SLOT = re.compile(r"\{(\d)\}")


@dataclass(eq=False, slots=True)
class Node:
    """`type` is the SQL type of an expression (`int`, `text` ...), or None for everything else.

    `level` is the operator's precedence, ATOM if it is no operation. `separator` is set for lists: any number of
    nodes, of which at least `least` stay. `optional` nodes may be left out.
    """

    template: str
    slots: list = field(default_factory=list)
    type: str | None = None
    level: int = ATOM
    bare: bool = False
    separator: str | None = None
    least: int = 1
    optional: bool = False
    kind: str = ""


def expression(type_, template, *slots, level=ATOM, kind=""):
    return Node(template, list(slots), type_, level, kind=kind)


def part(template, *slots, optional=False, kind=""):
    return Node(template, list(slots), optional=optional, kind=kind)


def items(nodes, separator=", ", least=1, kind=""):
    return Node("", list(nodes), separator=separator, least=least, kind=kind)


NOTHING = Node("")


def write(node, engine):
    """The SQL of a node for an engine: `ours`, `duckdb`, `postgres` or `wide`."""
    if node.separator is not None:
        return node.separator.join(write(slot, engine) for slot in node.slots)
    template = template_for(node.template, engine)
    if not node.slots:
        return template

    def fill(match):
        slot = node.slots[int(match[1])]
        text = write(slot, engine)
        if node.level < ATOM and slot.level < ATOM and not slot.bare:
            return f"({text})"
        return text

    return SLOT.sub(fill, template)


def walk(node):
    """The node and all below it, from the top."""
    yield node
    for slot in node.slots:
        yield from walk(slot)


def size(node):
    return sum(1 for _ in walk(node))


def replaced(node, old, new):
    """A copy of the tree in which the node `old` is `new`; parts that did not change are shared."""
    if node is old:
        return new
    slots = [replaced(slot, old, new) for slot in node.slots]
    if all(now is before for now, before in zip(slots, node.slots, strict=True)):
        return node
    return with_slots(node, slots)


def with_slots(node, slots):
    return Node(
        node.template, slots, node.type, node.level, node.bare, node.separator, node.least, node.optional, node.kind
    )
