"""Expressions of a wanted type, made at random from what a scope offers.

FORMS is the grammar: for each type, templates with the types of their slots. A slot in capitals is a literal of its own kind
(a pattern, the name of a unit). Operators have their precedence, and parentheses are left out now and then even where
they are needed to keep the shape: then the engines must agree on what the text means.
"""

from dataclasses import dataclass, field

from .dialects import SPELLINGS
from .tree import ATOM, Node, expression, items, part, with_slots

TYPES = ("int", "decimal", "double", "text", "bool", "timestamp", "date")
SQL_TYPES = {
    "int": "BIGINT",
    "decimal": "DECIMAL(18, 4)",
    "double": "DOUBLE",
    "text": "VARCHAR",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
}

# Precedence, from the loosest.
OR, AND, NOT, IS, COMPARE, LIKE, OTHER, ADD, MULTIPLY, NEGATE = range(1, 11)


@dataclass(slots=True)
class Scope:
    """What an expression may read. `leaves` are columns (or keys of a group); `order` puts the rows in one order;
    `rows` is what an aggregate reads, where one may stand."""

    leaves: list
    order: list
    outer: "Scope | None" = None
    rows: "Scope | None" = None
    windows: bool = False
    # Names of WINDOW, and the windows they stand for.
    named: list = field(default_factory=list)
    # The columns as subqueries read them, where `leaves` are names alone.
    qualified: list | None = None

    def as_outer(self):
        """What a subquery sees of it."""
        return Scope(self.qualified or self.leaves, self.order)


@dataclass(frozen=True, slots=True)
class Form:
    template: str
    slots: tuple
    level: int = ATOM
    weight: float = 2
    # The part of the SQL that it belongs to, for --only.
    category: str = ""


def form(template, slots="", level=ATOM, weight=2, category=""):
    return Form(template, tuple(slots.split()), level, weight, category)


COMPARED = ("int", "decimal", "double", "text", "timestamp", "date")
OPERATORS = ("=", "<>", "<", "<=", ">", ">=")

FORMS = {
    "int": [
        form("{0} + {1}", "int int", ADD, 4),
        form("{0} - {1}", "int int", ADD, 4),
        form("{0} * {1}", "int int", MULTIPLY, 3),
        form("{0} / nullif({1}, 0)", "int int", MULTIPLY, 2),
        form("{0} % nullif({1}, 0)", "int int", MULTIPLY, 2),
        form("- {0}", "int", NEGATE, 2),
        form("abs({0})", "int", weight=1),
        form("{0} & {1}", "int int", OTHER, 1),
        form("{0} | {1}", "int int", OTHER, 1),
        form("length({0})", "text", category="text"),
        form("char_length({0})", "text", weight=1, category="text"),
        form("ascii({0})", "text", weight=1, category="text"),
        form("strpos({0}, {1})", "text PART", category="text"),
        form("position({1} IN {0})", "text PART", weight=1, category="text"),
        form("CAST({0} AS INT)", "bool", weight=1),
        form("CAST({0} AS BIGINT)", "int", weight=1),
        form("CAST({0} AS INT)", "int", weight=1),
        form("CAST(trunc({0}) AS BIGINT)", "decimal", weight=1),
        form("CAST({0} AS BIGINT)", "DIGITS", weight=1),
        *(
            form(f"extract({unit} FROM {{0}})", moment, weight=1, category="dates")
            for unit in ("year", "month", "day", "quarter", "dow", "doy", "week")
            for moment in ("timestamp", "date")
        ),
        *(form(f"extract({unit} FROM {{0}})", "timestamp", weight=1, category="dates") for unit in ("hour", "minute")),
        form("{0} - {1}", "date date", ADD, 2, "dates"),
        form("array_length({0})", "ints", category="arrays"),
        form("cardinality({0})", "texts", category="arrays"),
        form("{0}[{1}]", "ints INDEX", category="arrays"),
        form("json_get_int({0}, {1})", "json KEY", category="json"),
    ],
    "decimal": [
        form("{0} + {1}", "decimal decimal", ADD, 4),
        form("{0} - {1}", "decimal decimal", ADD, 4),
        form("{0} * {1}", "decimal decimal", MULTIPLY, 3),
        form("{0} * {1}", "decimal SMALL", MULTIPLY, 2),
        form("{0} + {1}", "decimal int", ADD, 1),
        form("{0} % nullif({1}, 0)", "decimal decimal", MULTIPLY, 1),
        form("- {0}", "decimal", NEGATE, 2),
        form("abs({0})", "decimal", weight=1),
        form("round({0}, {1})", "decimal PLACES"),
        form("ceil({0})", "decimal", weight=1),
        form("floor({0})", "decimal", weight=1),
        form("CAST({0} AS DECIMAL(20, 1))", "decimal"),
        form("CAST({0} AS DECIMAL(12, 2))", "SMALL", weight=1),
        form("CAST({0} / nullif({1}, 0) AS DECIMAL(24, 4))", "decimal decimal", weight=1),
    ],
    "double": [
        form("{0} + {1}", "double double", ADD, 3),
        form("{0} - {1}", "double double", ADD, 3),
        form("{0} * {1}", "double double", MULTIPLY, 2),
        form("{0} / nullif({1}, CAST(0 AS DOUBLE PRECISION))", "double double", MULTIPLY, 2),
        form("{0} + {1}", "double SMALL", ADD, 1),
        form("- {0}", "double", NEGATE, 1),
        form("abs({0})", "double", weight=1),
        form("floor({0})", "double", weight=1),
        form("ceil({0})", "double", weight=1),
        form("round({0} / 10)", "double", weight=1),
        form("sqrt(abs({0}))", "double", weight=1),
        form("power({0}, {1})", "double POWER", weight=1),
        form("CAST({0} AS DOUBLE)", "int", weight=2),
        form("CAST({0} AS DOUBLE)", "decimal", weight=2),
        form("extract(epoch FROM {0})", "timestamp", weight=1, category="dates"),
        form("extract(epoch FROM {0} - {1})", "timestamp timestamp", weight=2, category="dates"),
    ],
    "text": [
        form("{0} || {1}", "text text", OTHER, 4),
        form("{0} || {1}", "text int", OTHER, 1),
        form("upper({0})", "text"),
        form("lower({0})", "text"),
        form("trim({0})", "text"),
        form("ltrim({0})", "text", weight=1),
        form("rtrim({0})", "text", weight=1),
        form("btrim({0}, {1})", "text PART", weight=1),
        form("substr({0}, {1}, {2})", "text POSITION POSITION"),
        form("substring({0} FROM {1} FOR {2})", "text POSITION POSITION", weight=1),
        form("left({0}, {1})", "text POSITION", weight=1),
        form("right({0}, {1})", "text POSITION", weight=1),
        form("replace({0}, {1}, {2})", "text PART PART"),
        form("reverse({0})", "text", weight=1),
        form("repeat({0}, {1})", "text POSITION", weight=1),
        form("lpad({0}, {1}, {2})", "text WIDTH PAD", weight=1),
        form("rpad({0}, {1}, {2})", "text WIDTH PAD", weight=1),
        form("concat({0}, {1})", "text text", weight=1),
        form("concat_ws({2}, {0}, {1})", "text text PAD", weight=1),
        form("split_part({0}, {1}, {2})", "text PAD POSITION", weight=1),
        form("translate({0}, {1}, {2})", "text PART PART", weight=1),
        form("regexp_replace({0}, {1}, {2})", "text REGEX REPLACEMENT", weight=1),
        form("CAST({0} AS VARCHAR)", "int"),
        form("CAST({0} AS VARCHAR)", "bool", weight=1),
        form("CAST({0} AS VARCHAR)", "date", weight=1),
        form("CAST({0} AS VARCHAR)", "decimal", weight=1),
        form("md5({0})", "text", weight=1),
        form("array_to_string({0}, {1})", "texts PAD", category="arrays"),
        form("json_get_str({0}, {1})", "json KEY", category="json"),
        form("{0} ->> {1}", "json KEY", OTHER, category="json"),
    ],
    "bool": [
        form("{0} AND {1}", "bool bool", AND, 12),
        form("{0} OR {1}", "bool bool", OR, 12),
        form("NOT {0}", "bool", NOT, 6),
        *(
            form(f"{{0}} {operator} {{1}}", f"{type_} {type_}", COMPARE, 2)
            for type_ in COMPARED
            for operator in OPERATORS
        ),
        form("{0} = {1}", "bool bool", COMPARE, 1),
        *(form(f"{{0}} {operator} {{1}}", "decimal SMALL", COMPARE, 2) for operator in OPERATORS),
        *(form(f"{{0}} {operator} {{1}}", "int decimal", COMPARE, 1) for operator in OPERATORS),
        form("{0} < {1}", "double decimal", COMPARE, 1),
        *(form("{0} IS NULL", type_, IS, 1) for type_ in TYPES),
        *(form("{0} IS NOT NULL", type_, IS, 1) for type_ in TYPES),
        *(form("{0} IS DISTINCT FROM {1}", f"{type_} {type_}", IS, 1) for type_ in TYPES),
        *(form("{0} IS NOT DISTINCT FROM {1}", f"{type_} {type_}", IS, 1) for type_ in TYPES),
        form("{0} IS TRUE", "bool", IS),
        form("{0} IS NOT TRUE", "bool", IS),
        form("{0} IS FALSE", "bool", IS),
        form("{0} IS NOT FALSE", "bool", IS),
        form("{0} IS UNKNOWN", "bool", IS, 1),
        *(form("{0} BETWEEN {1} AND {2}", f"{type_} {type_} {type_}", LIKE, 1) for type_ in COMPARED),
        *(form("{0} NOT BETWEEN {1} AND {2}", f"{type_} {type_} {type_}", LIKE, 1) for type_ in COMPARED),
        *(form("{0} IN ({1})", f"{type_} {type_}+", LIKE, 1) for type_ in COMPARED),
        *(form("{0} NOT IN ({1})", f"{type_} {type_}+", LIKE, 1) for type_ in COMPARED),
        form("{0} IN ({1})", "decimal SMALL+", LIKE, 1),
        form("{0} IN ({1})", "int SMALL+", LIKE, 1),
        form("{0} LIKE {1}", "text PATTERN", LIKE, 3, "text"),
        form("{0} NOT LIKE {1}", "text PATTERN", LIKE, 2, "text"),
        form("{0} ILIKE {1}", "text PATTERN", LIKE, 1, "text"),
        form("{0} LIKE {1} ESCAPE '!'", "text ESCAPED", LIKE, 0.3, "text"),
        form("{0} SIMILAR TO {1}", "text SIMILAR", LIKE, 2, "text"),
        form("{0} NOT SIMILAR TO {1}", "text SIMILAR", LIKE, 1, "text"),
        form("regexp_like({0}, {1})", "text REGEX", weight=1, category="text"),
        form("{0} ~ {1}", "text REGEX", COMPARE, 1, "text"),
        form("{0} !~ {1}", "text REGEX", COMPARE, 1, "text"),
        form("{0} ~* {1}", "text REGEX", COMPARE, 1, "text"),
        form("starts_with({0}, {1})", "text PART", weight=1, category="text"),
        form("({0}, {1}) < ({2}, {3})", "int int int int", weight=1, category="rows"),
        form("({0}, {1}) >= ({2}, {3})", "text int text int", weight=1, category="rows"),
        form("({0}, {1}) = ({2}, {3})", "int text int text", weight=1, category="rows"),
        form("({0}, {1}) IN (({2}, {3}), ({4}, {5}))", "int text int text int text", weight=1, category="rows"),
        form("{0} = ANY({1})", "int ints", COMPARE, 2, "arrays"),
        form("{0} = ANY({1})", "text texts", COMPARE, 1, "arrays"),
        form("{0} <> ALL({1})", "int ints", COMPARE, 1, "arrays"),
        form("{0} > ANY({1})", "int ints", COMPARE, 1, "arrays"),
        form("array_has({0}, {1})", "ints int", weight=1, category="arrays"),
        form("json_contains({0}, {1})", "json KEY", weight=1, category="json"),
        *(
            form(f"{{0}} - {{1}} {operator} {{2}}", "timestamp timestamp SPAN", COMPARE, 2, "dates")
            for operator in "<>="
        ),
        form("{0} - {1} BETWEEN {2} AND {3}", "timestamp timestamp SPAN SPAN", LIKE, 1, "dates"),
    ],
    "timestamp": [
        form("{0} + {1}", "timestamp INTERVAL", ADD, 4),
        form("{0} - {1}", "timestamp INTERVAL", ADD, 4),
        form("{0} + {1}", "date INTERVAL", ADD, 2),
        form("{0} + {1} * {2}", "date POSITION INTERVAL", ADD, 1, "dates"),
        form("{0} - {1} * {2}", "timestamp INTERVAL POSITION", ADD, 1, "dates"),
        form("date_trunc({1}, {0})", "timestamp UNIT", weight=4),
        form("date_trunc({1}, {0})", "date UNIT", weight=1),
        form("date_bin({1}, {0}, TIMESTAMP '2001-01-01 00:00:00')", "timestamp BIN", weight=2),
        form("CAST({0} AS TIMESTAMP)", "date", weight=2),
        form("CAST({0} AS TIMESTAMP)", "MOMENT", weight=1),
    ],
    "date": [
        form("CAST({0} AS DATE)", "timestamp", weight=4),
        form("CAST({0} AS DATE)", "DAY", weight=1),
        form("{0} + {1}", "date POSITION", ADD, 2),
        form("{0} - {1}", "date POSITION", ADD, 1),
        form("make_date({0}, {1}, {2})", "YEAR MONTH MONTH", weight=1),
    ],
    "ints": [
        form("ARRAY[{0}]", "int+", weight=6, category="arrays"),
        form("array_append({0}, {1})", "ints int", category="arrays"),
        form("array_concat({0}, {1})", "ints ints", category="arrays"),
    ],
    "texts": [
        form("ARRAY[{0}]", "text+", weight=6, category="arrays"),
        form("array_append({0}, {1})", "texts text", category="arrays"),
    ],
}

# For each type.
ANY_TYPE = [
    form("CASE WHEN {0} THEN {1} ELSE {2} END", "bool T T", weight=4),
    form("CASE WHEN {0} THEN {1} WHEN {2} THEN {3} END", "bool T bool T", weight=2),
    form("CASE {0} WHEN {1} THEN {2} ELSE {3} END", "int int T T", weight=1),
    form("CASE {0} WHEN {1} THEN {2} WHEN {3} THEN {4} END", "text text T text T", weight=1),
    form("coalesce({0}, {1})", "T T", weight=4),
    form("nullif({0}, {1})", "T T", weight=2),
    form("greatest({0}, {1})", "T T", weight=1),
    form("least({0}, {1})", "T T", weight=1),
]
# Of the expressions of a type, these are so many of a hundred.
ANY_TYPE_SHARE = 25


def _with_any_type(type_, forms):
    own = sum(one.weight for one in forms)
    made = []
    for one in ANY_TYPE:
        if type_ == "bool" and one.template.startswith(("greatest", "least")):
            continue
        slots = tuple(type_ if slot == "T" else slot for slot in one.slots)
        weight = one.weight / sum(other.weight for other in ANY_TYPE) * own * ANY_TYPE_SHARE / (100 - ANY_TYPE_SHARE)
        made.append(Form(one.template, slots, one.level, weight, "case"))
    return [*forms, *made]


FORMS = {type_: _with_any_type(type_, forms) if type_ in TYPES else forms for type_, forms in FORMS.items()}


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


INTERVALS = ("1 day", "1 month", "2 hours", "90 minutes", "1 year", "36 hours", "10 seconds", "7 days", "1 day 2 hours")
SPANS = tuple(text for text in INTERVALS if not text.endswith(("month", "year")))
WORDS = {
    "PART": [quoted(text) for text in ("a", "x", "", "ç", "b", "日", " ", "zz")],
    "PAD": [quoted(text) for text in (",", "-", "xy", " ", "é")],
    "PATTERN": [quoted(text) for text in ("a%", "%x%", "_", "%", "", "a_b", "%ção", "_%_")],
    "ESCAPED": [quoted(text) for text in ("a!%b", "a!_%", "%!!%")],
    "SIMILAR": [quoted(text) for text in ("a%", "(x|a)%", "%b", "_", "x", "[a-z]+", "[x&&a]%")],
    "REGEX": [quoted(text) for text in ("a", "^a", "x$", "^[a-z]+$", "a.b", "(x|zz)", "ç")],
    "REPLACEMENT": [quoted(text) for text in ("-", "", "$1", "a$", "\\\\")],
    "DIGITS": [quoted(text) for text in ("1", "-12", "0", "42")],
    "KEY": [quoted(text) for text in ("a", "b")],
    "POSITION": ["1", "2", "3", "0", "5"],
    "INDEX": ["1", "2", "4"],
    "WIDTH": ["1", "3", "6", "-1"],
    "PLACES": ["0", "1", "2"],
    "POWER": ["2", "3", "0"],
    "SMALL": ["0.5", "1.1", "0.1", "2.50", "-0.01", "100.0", "1.15"],
    "UNIT": [quoted(text) for text in ("day", "month", "year", "hour", "week", "quarter", "minute")],
    "INTERVAL": [f"INTERVAL '{text}'" for text in INTERVALS],
    # Intervals that can be compared; a month has no fixed length, so this program refuses it, and it is rare here.
    "SPAN": [f"INTERVAL '{text}'" for text in SPANS * 3 + ("1 month",)],
    "BIN": [f"INTERVAL '{text}'" for text in ("15 minutes", "1 hour", "1 day", "7 days")],
    "MOMENT": [quoted(text) for text in ("2024-03-31 01:30:00", "2024-10-27 02:30:00.5", "1969-12-31 23:59:59")],
    "DAY": [quoted(text) for text in ("2024-02-29", "1970-01-01", "2024-10-27")],
    "YEAR": ["1999", "2024"],
    "MONTH": ["1", "2", "12"],
}
LITERALS = {
    "int": ["0", "1", "2", "3", "-1", "5", "7", "10", "100"],
    "decimal": ["1.10", "0.5", "-2.50", "0.01", "2.5"],
    "double": [
        f"CAST({value} AS DOUBLE PRECISION)"
        for value in ("0.5", "-1", "0", "2.5", "100", "1", "-0.5", "3", "'NaN'", "'Infinity'")
    ],
    "text": [quoted(text) for text in ("a", "b", "x", "", "ação", "X", "zz", "1")],
    "bool": ["true", "false"],
    "timestamp": [
        f"TIMESTAMP '{moment}'"
        for moment in ("2024-03-31 01:30:00", "2024-01-01 00:00:00", "2024-10-27 02:30:00", "1970-01-01 00:00:00")
    ],
    "date": [f"DATE '{day}'" for day in ("2024-02-29", "2024-01-01", "1970-01-01", "2024-10-27")],
    "json": [quoted(text) for text in ('{"a": 1}', '{"a": "x", "b": [1]}', "{}")],
}


def literal(chance, type_):
    """A constant; NULL of the type now and then."""
    if type_ in ("ints", "texts"):
        inner = type_[:-1]
        return expression(type_, "ARRAY[{0}]", items([literal(chance, inner) for _ in range(chance.randint(1, 3))]))
    if type_ != "json" and chance.random() < 0.08:
        return null(type_)
    return expression(type_, chance.choice(LITERALS[type_]))


def null(type_):
    name = SQL_TYPES[type_]
    return expression(type_, "CAST(NULL AS DOUBLE PRECISION)" if type_ == "double" else f"CAST(NULL AS {name})")


def clone(node):
    """A copy that shares nothing, so that each place of the tree is a place of its own."""
    return with_slots(node, [clone(slot) for slot in node.slots])


class Expressions:
    """Makes expressions. `queries` is who makes subqueries; `category` is the part of SQL that is made more often."""

    def __init__(self, chance, category, queries):
        self.chance = chance
        self.category = category
        self.queries = queries
        self.weights = {}

    def make(self, type_, scope, depth):
        """An expression of the type."""
        if depth <= 0 or self.chance.random() < 0.25:
            if type_ == "bool" and self.chance.random() < 0.8:
                return self.comparison(scope)
            return self.leaf(type_, scope)
        if type_ == "json":
            return self.leaf(type_, scope)
        special = self.special(type_, scope, depth)
        if special is not None:
            return special
        chosen = self.choose(type_)
        # What stands in a row is a column or a constant.
        below = 0 if chosen.category == "rows" else depth - 1
        slots = [self.slot(slot, scope, below) for slot in chosen.slots]
        made = expression(type_, chosen.template, *slots, level=chosen.level)
        self.bare(made)
        return made

    def choose(self, type_):
        if type_ not in self.weights:
            self.weights[type_] = [
                one.weight * (6 if one.category and one.category == self.category else 1) for one in FORMS[type_]
            ]
        return self.chance.choices(FORMS[type_], self.weights[type_])[0]

    def special(self, type_, scope, depth):
        """An aggregate, a window function or a subquery, where one may stand."""
        draw = self.chance.random()
        if scope.rows is not None and draw < 0.45:
            made = self.queries.aggregate(type_, scope.rows, depth)
            if made is not None:
                return made
        if scope.windows and draw > (0.6 if self.category == "windows" else 0.93):
            made = self.queries.window(type_, scope, depth)
            if made is not None:
                return made
        if self.chance.random() < (0.06 if self.category == "subqueries" else 0.01) and self.queries.may_nest():
            return self.queries.subquery(type_, scope, depth)
        return None

    def slot(self, slot, scope, depth):
        if slot.endswith("+"):
            return items([self.slot(slot[:-1], scope, min(depth, 1)) for _ in range(self.chance.randint(1, 3))])
        if slot in WORDS:
            return part(self.chance.choice(WORDS[slot]))
        return self.make(slot, scope, depth)

    def bare(self, made):
        """Leaves parentheses out where precedence keeps the shape, and sometimes where it does not."""
        if made.level == ATOM:
            return
        free = 0.25 if self.category == "precedence" else 0.05
        for index, slot in enumerate(made.slots):
            keeps = slot.level > made.level or (slot.level == made.level and index == 0 and made.level != COMPARE)
            # Other engines have parentheses around what is written otherwise there.
            same = slot.type == made.type and slot.template not in SPELLINGS
            if self.chance.random() < (0.6 if keeps else free if same else 0):
                slot.bare = True

    def leaf(self, type_, scope):
        """A column, perhaps one of an outer query, or a constant."""
        found = [leaf for leaf in scope.leaves if leaf.type == type_]
        outer = scope.outer or (scope.rows.outer if scope.rows else None)
        if outer is not None and self.chance.random() < 0.3:
            found = [leaf for leaf in outer.leaves if leaf.type == type_] or found
        if found and self.chance.random() < 0.85:
            return clone(self.chance.choice(found))
        return literal(self.chance, type_)

    def comparison(self, scope):
        """A column compared with a constant or another column."""
        known = [leaf.type for leaf in scope.leaves if leaf.type in COMPARED]
        type_ = self.chance.choice(known or COMPARED)
        draw = self.chance.random()
        if draw < 0.15:
            return expression(
                "bool", self.chance.choice(("{0} IS NULL", "{0} IS NOT NULL")), self.leaf(type_, scope), level=IS
            )
        one, other = self.leaf(type_, scope), literal(self.chance, type_) if draw < 0.6 else self.leaf(type_, scope)
        operator = self.chance.choice(OPERATORS)
        return expression("bool", f"{{0}} {operator} {{1}}", one, other, level=COMPARE)

    def column(self, type_, scope):
        """A column of the type, or None."""
        found = [leaf for leaf in scope.leaves if leaf.type == type_]
        return clone(self.chance.choice(found)) if found else None


def is_leaf(node: Node):
    return not node.slots and node.type is not None
