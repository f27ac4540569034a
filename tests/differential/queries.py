"""Whole queries, made from the seed and a number: SELECTs with every clause, set operations, WITH, LIMIT with a total order.

Only queries with one right answer are made: what depends on an order has one that is total, and nothing asks for the time.
"""

import random

from .expressions import COMPARED, TYPES, Expressions, Scope, clone, literal
from .sources import Sources
from .tree import expression, items, part, walk, write

CATEGORIES = (
    "joins",
    "windows",
    "grouping",
    "subqueries",
    "sets",
    "ctes",
    "dates",
    "text",
    "case",
    "arrays",
    "json",
    "rows",
    "precedence",
    "distinct",
    "limits",
    "extremes",
)
DEPTH = 3
# Subqueries in one query, at most.
NESTED_MAX = 4


def query_of(seed, number, only=None):
    """The query of this number, and its category."""
    chance = random.Random(f"query {seed} {number}")
    category = chance.choice(CATEGORIES)
    return Queries(chance, only or category).whole(), only or category


class Queries:
    """Makes one query."""

    sources_of = Sources

    def __init__(self, chance, category):
        self.chance = chance
        self.category = category
        self.expressions = Expressions(chance, category, self)
        self.sources = self.sources_of(chance, category, self)
        self.nested = 0

    def is_(self, category):
        return self.category == category

    def coin(self, likely):
        return self.chance.random() < likely

    def may_nest(self):
        return self.nested < NESTED_MAX

    def whole(self):
        types = None
        names = []
        if self.coin(0.9 if self.is_("ctes") else 0.08):
            for index in range(1, self.chance.randint(1, 3) + 1):
                names.append(self.with_query(index))
        query, _ = self.query(types, DEPTH)
        if names:
            return part("WITH {0} {1}", items(names), query, kind="query")
        return query

    def with_query(self, index):
        name = f"q{index}"
        if self.coin(0.08):
            self.sources.named[name] = {"k": "int"}
            step = part(
                f"{name}(k) AS (SELECT CAST(1 AS BIGINT) UNION ALL SELECT k + 1 FROM {name} WHERE k < 4)", kind="with"
            )
            return part("RECURSIVE {0}", step) if index == 1 else part(f"{name} AS (SELECT CAST(1 AS BIGINT) AS k)")
        query, columns = self.query(None, DEPTH - 1, is_source=True)
        if self.coin(0.2):
            renamed = [f"w{number}" for number in range(1, len(columns) + 1)]
            columns = dict(zip(renamed, columns.values(), strict=True))
            made = part(f"{name}({', '.join(renamed)}) AS ({{0}})", query, kind="with")
        else:
            made = part(f"{name} AS ({{0}})", query, kind="with")
        self.sources.named[name] = columns
        return made

    # Queries.

    def query(self, types, depth, is_source=False, outer=None):
        """A query, and its columns by name; `types` are those it must have."""
        self.nested += 1
        if types is None:
            types = [self.chance.choice(TYPES) for _ in range(self.chance.choice((1, 2, 2, 3)))]
        names = self.names(len(types), is_source)
        if outer is None and depth > 0 and self.coin(0.8 if self.is_("sets") and not is_source else 0.05):
            made = self.set_operation(types, names, depth)
        else:
            made = self.select(types, names, depth, outer)
        if self.coin(0.7 if self.is_("limits") and not is_source else 0.06):
            made = self.limited(made, names)
        return made, dict(zip(names, types, strict=True))

    def names(self, count, is_source):
        """Names of output columns: those of a source are the names of other tables too, now and then."""
        if is_source and self.coin(0.5):
            return self.chance.sample(("k", "g", "n", "id", "s", "d", "b"), count)
        return [f"c{index}" for index in range(1, count + 1)]

    def limited(self, query, names):
        order = items(
            [part(f"{index}{{0}}", self.direction()) for index in range(1, len(names) + 1)],
            least=len(names),
            kind="total",
        )
        limit = part(
            self.chance.choices(
                (" LIMIT 3", " LIMIT 1", " LIMIT 5 OFFSET 2", " OFFSET 1", " FETCH FIRST 2 ROWS ONLY"), (4, 4, 4, 4, 1)
            )[0]
        )
        return part("SELECT * FROM ({0}) AS l ORDER BY {1}{2}", query, order, limit, kind="query")

    def direction(self):
        return part(
            self.chance.choice(("", "", " DESC", " DESC NULLS LAST", " ASC NULLS FIRST", " NULLS LAST")), optional=True
        )

    def set_operation(self, types, names, depth):
        word = self.chance.choice(
            ("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL", "UNION ALL")
        )
        one = self.operand(types, names, depth - 1)
        other = self.operand(types, names, depth - 1)
        made = part(f"{{0}} {word} {{1}}", one, other, kind="set")
        if self.coin(0.3):
            again = self.chance.choice(("UNION", "UNION ALL", "INTERSECT", "EXCEPT"))
            third = self.operand(types, names, depth - 2)
            form = self.chance.choice((f"{{0}} {again} {{1}}", f"{{1}} {again} {{0}}", f"({{0}}) {again} {{1}}"))
            made = part(form, made, third, kind="set")
        return made

    def operand(self, types, names, depth):
        made = self.select(types, names, depth, None)
        return part("({0})", made, kind="query") if "ORDER BY" in made.template else made

    def select(self, types, names, depth, outer):
        chance = self.chance
        scope, source = self.sources.make(outer, depth)
        clauses = []
        if self.coin(0.55):
            clauses.append(part(" WHERE {0}", self.conditions(scope, depth), optional=True))
        if self.coin(0.9 if self.is_("grouping") else 0.15):
            return self.grouped(types, names, depth, scope, source, clauses)
        scope.windows = self.coin(1.0 if self.is_("windows") else 0.1)
        if scope.windows and self.coin(0.4):
            self.name_windows(scope)
        columns = self.columns(types, names, scope, depth)
        window = self.window_clause(scope)
        draw = chance.random()
        if draw < (0.3 if self.is_("distinct") else 0.06):
            template = "SELECT DISTINCT {0} FROM {1}{2}{3}"
        elif draw < (0.8 if self.is_("distinct") else 0.08):
            return self.distinct_on(columns, scope, source, clauses, window)
        else:
            template = "SELECT {0} FROM {1}{2}{3}"
        return part(template, columns, source, items(clauses, "", least=0), window, kind="query")

    def distinct_on(self, columns, scope, source, clauses, window):
        leaves = self.chance.sample(scope.leaves, min(len(scope.leaves), self.chance.randint(1, 2)))
        keys = [clone(leaf) for leaf in leaves if leaf.type in COMPARED] or [clone(scope.order[0])]
        order = [part("{0}{1}", clone(key), self.direction()) for key in keys]
        if self.coin(0.1):
            order.append(clone(keys[0]))
        order += [clone(one) for one in scope.order]
        return part(
            "SELECT DISTINCT ON ({4}) {0} FROM {1}{2}{3} ORDER BY {5}",
            columns,
            source,
            items(clauses, "", least=0),
            window,
            items(keys),
            items(order, kind="total"),
            kind="query",
        )

    def columns(self, types, names, scope, depth):
        made = []
        for type_, name in zip(types, names, strict=True):
            made.append(part(f"{{0}} AS {name}", self.value(type_, scope, depth), kind="column"))
        return items(made, kind="columns")

    def conditions(self, scope, depth):
        made = [self.value("bool", scope, depth) for _ in range(self.chance.choice((1, 1, 2)))]
        return self.sources.conjunction(made)

    def value(self, type_, scope, depth):
        """A column or a condition: an expression, or a subquery, which stands alone more often than within."""
        if self.coin(0.4 if self.is_("subqueries") else 0.05) and scope.rows is None and depth > 0 and self.may_nest():
            return self.subquery(type_, scope, depth)
        return self.expressions.make(type_, scope, depth)

    # Groups.

    def grouped(self, types, names, depth, scope, source, clauses):
        chance = self.chance
        keys = []
        columns = {leaf.template for leaf in scope.leaves}
        for _ in range(chance.choice((0, 1, 1, 2, 2))):
            type_ = chance.choice(("int", "text", "bool", "date", "decimal", "double", "text"))
            key = (
                self.expressions.column(type_, scope)
                if self.coin(0.7)
                else self.expressions.make(type_, Scope(scope.leaves, scope.order), 1)
            )
            if key is None or not any(one.template in columns for one in walk(key)):
                continue
            if write(key, "ours") not in [write(other, "ours") for other in keys]:
                keys.append(key)
        leaves = [clone(key) for key in keys]
        for leaf in leaves:
            if leaf.level < 100:
                # A key that is an operation stands in parentheses wherever it is used.
                leaf.bare = False
        groups = Scope(leaves, [clone(key) for key in keys], None, rows=scope)
        groups.windows = self.is_("windows") and self.coin(0.5)
        columns = self.columns(types, names, groups, depth)
        group = self.group_by(keys)
        having = []
        if self.coin(0.3):
            groups.windows = False
            having.append(part(" HAVING {0}", self.expressions.make("bool", groups, 2), optional=True))
        return part(
            "SELECT {0} FROM {1}{2}{3}{4}",
            columns,
            source,
            items(clauses, "", least=0),
            group,
            items(having, "", least=0),
            kind="query",
        )

    def group_by(self, keys):
        chance = self.chance
        if not keys:
            return part(" GROUP BY ()", optional=True) if self.coin(0.03) else part("", optional=True)
        nodes = [clone(key) for key in keys]
        draw = chance.random()
        if draw < 0.55:
            again = [clone(chance.choice(keys))] if self.coin(0.1) else []
            return part(" GROUP BY {0}", items(nodes + again), optional=True)
        if draw < 0.7:
            return part(" GROUP BY ROLLUP ({0})", items(nodes), optional=True)
        if draw < 0.85:
            return part(" GROUP BY CUBE ({0})", items(nodes), optional=True)
        sets = [part("({0})", items([clone(key) for key in keys]))]
        sets += [part("({0})", items([clone(key)])) for key in keys if self.coin(0.5)]
        if self.coin(0.6):
            sets.append(part("()"))
        return part(" GROUP BY GROUPING SETS ({0})", items(sets), optional=True)

    def aggregate(self, type_, scope, depth, over=False):
        """An aggregate of the rows, of the type; None where there is none."""
        make = self.expressions.make
        rows = Scope(scope.leaves, scope.order, qualified=scope.qualified)
        inner = min(depth - 1, 1)
        chance = self.chance
        simple = ["min({0})", "max({0})"]
        ordered = items([clone(one) for one in rows.order], kind="total")
        if type_ == "int":
            template = chance.choice(
                ("count(*)", "count(*)", "count({0})", "sum({0})", "sum({0})", "count(DISTINCT {0})", *simple)
            )
            if template in ("count({0})", "count(DISTINCT {0})"):
                argument = make(chance.choice(TYPES), rows, inner)
            else:
                argument = make("int", rows, inner)
            if over and "DISTINCT" in template:
                template = "count({0})"
        elif type_ == "decimal":
            template = chance.choice(("sum({0})", *simple, "round(avg({0}), 2)"))
            if over and template.startswith("round"):
                template = "sum({0})"
            argument = make("decimal", rows, inner)
        elif type_ == "double":
            template = chance.choice(
                (
                    "sum({0})",
                    "sum({0})",
                    "avg({0})",
                    "avg(CAST({0} AS DOUBLE))",
                    *simple,
                    "stddev_samp({0})",
                    "var_pop({0})",
                )
            )
            argument = make("int" if "CAST" in template else "double", rows, inner)
        elif type_ == "bool":
            template = chance.choice(("bool_and({0})", "bool_or({0})"))
            argument = make("bool", rows, inner)
        elif type_ == "text":
            template = chance.choice((*simple, "string_agg({0}, ',' ORDER BY {1})"))
            if over and template.startswith("string"):
                template = "max({0})"
            argument = make("text", rows, inner)
        elif type_ == "ints" and not over:
            template = "array_agg({0} ORDER BY {1})"
            argument = make("int", rows, inner)
        elif type_ in ("timestamp", "date"):
            template = chance.choice(simple)
            argument = make(type_, rows, inner)
        else:
            return None
        made = expression(type_, template, argument, ordered)
        if template.startswith("round("):
            return made
        if not over and self.coin(0.15):
            return expression(type_, "{0} FILTER (WHERE {1})", made, make("bool", rows, 1))
        return made

    # Windows.

    def name_windows(self, scope):
        """Names a window; and a second that starts from it, now and then."""
        scope.named.append(("w1", [self.partition(scope)]))
        if self.coin(0.3):
            order = [part("{0}{1}", clone(self.chance.choice(scope.order)), self.direction())]
            order += [clone(one) for one in scope.order]
            scope.named.append(("w2", [part("w1"), part("ORDER BY {0}", items(order, kind="total"))]))

    def window_clause(self, scope):
        if not scope.named:
            return part("")
        named = [
            part(f"{name} AS ({{0}})", items([one for one in made if one is not None], " ", least=0))
            for name, made in scope.named
        ]
        return part(" WINDOW {0}", items(named), optional=True)

    def partition(self, scope):
        keys = [leaf for leaf in scope.leaves if leaf.type in ("int", "text", "bool", "double", "date")]
        if not keys:
            return None
        key = self.computed(scope, ("bool", "bool", "int", "text")) if self.coin(0.25) else None
        return part("PARTITION BY {0}", items([key or clone(self.chance.choice(keys))]), optional=True)

    def computed(self, scope, types):
        """A key of a window that is more than a column; None where it reads none."""
        if scope.rows is not None:
            return None
        key = self.expressions.make(self.chance.choice(types), Scope(scope.leaves, scope.order), 2)
        columns = {leaf.template for leaf in scope.leaves}
        return key if any(one.template in columns for one in walk(key)) else None

    def window(self, type_, scope, depth):
        chance = self.chance
        plain = Scope(scope.leaves, scope.order, scope.outer, rows=scope.rows)
        make = self.expressions.make
        total = True
        argument = part("")
        if scope.order == []:
            return None
        draw = chance.random()
        frame = "rows"
        if type_ in ("int", "double") and draw < 0.4:
            if type_ == "int":
                template, total = chance.choice(
                    (("row_number()", True), ("rank()", False), ("dense_rank()", False), ("ntile(3)", True))
                )
            else:
                template, total = chance.choice((("percent_rank()", False), ("cume_dist()", False)))
            frame = "none"
        elif draw < 0.6 and type_ in TYPES:
            template = chance.choice(
                (
                    "lag({0})",
                    "lead({0}, 2)",
                    "lag({0}, 1, {1})",
                    "first_value({0})",
                    "last_value({0})",
                    "nth_value({0}, 2)",
                )
            )
            frame = "none" if template.startswith("l") and "value" not in template else "rows"
            argument = make(type_, plain, 1)
        else:
            made = (
                self.aggregate(type_, Scope(scope.leaves, scope.order, scope.outer), 1, over=True)
                if scope.rows is None
                else None
            )
            if made is None:
                return None
            template, argument = None, made
            frame = "any"
        default = literal(chance, type_) if type_ in TYPES else part("")
        if template is not None:
            argument = expression(type_, template, argument, default)
        over = self.over(scope, total, frame)
        return expression(type_, "{0} OVER {1}", argument, over)

    def over(self, scope, total, frame):
        chance = self.chance
        order_leaves = [leaf for leaf in scope.leaves if leaf.type in COMPARED]
        keys = [clone(chance.choice(order_leaves)) for _ in range(chance.choice((0, 1, 1, 2)))] if order_leaves else []
        if keys and self.coin(0.25):
            keys[0] = self.computed(scope, COMPARED) or keys[0]
        mode = ""
        if frame in ("rows", "any"):
            mode = chance.choice(("", "ROWS", "ROWS", "RANGE", "GROUPS"))
        if mode == "ROWS" or (mode == "" and frame == "rows"):
            total = True
        if frame == "rows" and mode in ("RANGE", "GROUPS"):
            total = True
        if frame == "any" and mode in ("RANGE", "GROUPS", ""):
            total = False
        bounds, keys = self.bounds(mode, keys, total, order_leaves)
        order = [part("{0}{1}", key, self.direction()) for key in keys]
        if total:
            order += [clone(one) for one in scope.order]
        elements = []
        name = ""
        if scope.named and self.coin(0.7):
            if len(scope.named) > 1 and self.coin(0.5):
                # It has an order, so no other can be added.
                return part(f"({scope.named[1][0]} {{0}})", part(bounds, optional=True)) if bounds else part("w2")
            name = scope.named[0][0]
            if not order and not bounds and self.coin(0.5):
                return part(name)
        elif self.coin(0.6):
            elements.append(self.partition(scope))
        if order:
            elements.append(part("ORDER BY {0}", items(order, kind="total"), optional=mode == "" and not total))
        if bounds:
            elements.append(part(bounds, optional=True))
        elements = [one for one in elements if one is not None]
        if name:
            elements.insert(0, part(name))
        return part("({0})", items(elements, " ", least=0))

    def bounds(self, mode, keys, total, order_leaves):
        """The frame, and the keys of the order, which a RANGE with an offset wants to be one number or time."""
        chance = self.chance
        if not mode:
            return "", keys
        offset = {"ROWS": "1", "GROUPS": "1"}.get(mode)
        if mode == "GROUPS" and not keys and not total:
            keys = [clone(chance.choice(order_leaves))] if order_leaves else keys
            if not keys:
                return "", keys
        if mode == "RANGE":
            ranged = [leaf for leaf in order_leaves if leaf.type in ("int", "timestamp")]
            if ranged and not total and self.coin(0.6):
                key = clone(chance.choice(ranged))
                keys = [key]
                offset = (
                    chance.choice(("1", "2"))
                    if key.type == "int"
                    else f"INTERVAL '{chance.choice(('1 day', '2 hours'))}'"
                )
        starts = ["UNBOUNDED PRECEDING", "CURRENT ROW"]
        ends = ["CURRENT ROW", "UNBOUNDED FOLLOWING"]
        if offset:
            starts += [f"{offset} PRECEDING", f"{offset} PRECEDING"]
            ends += [f"{offset} FOLLOWING", f"{offset} FOLLOWING"]
            if mode != "RANGE" and self.coin(0.2):
                return self.chance.choice(
                    (f"{mode} BETWEEN 3 PRECEDING AND 1 PRECEDING", f"{mode} BETWEEN 1 FOLLOWING AND 2 FOLLOWING")
                ), keys
        start = chance.choice(starts)
        if self.coin(0.3):
            return f"{mode} {start}", keys
        return f"{mode} BETWEEN {start} AND {chance.choice(ends)}", keys

    # Subqueries.

    def subquery(self, type_, scope, depth):
        """A subquery in an expression; of the rows around it, correlated or not."""
        outer = scope.as_outer() if self.coin(0.5) else None
        depth = min(depth - 1, 1)
        if type_ == "bool":
            return self.subquery_condition(scope, outer, depth)
        if type_ not in TYPES:
            return None
        return self.scalar(type_, outer, depth)

    def scalar(self, type_, outer, depth):
        self.nested += 1
        scope, source = self.sources.make(outer, depth)
        clauses = []
        if self.coin(0.7) or outer is not None:
            clauses.append(part(" WHERE {0}", self.correlation(scope, outer, depth), optional=True))
        made = self.aggregate(type_, scope, depth + 1)
        if made is not None and self.coin(0.75):
            having = []
            if self.coin(0.15):
                groups = Scope([], [], None, rows=scope)
                having.append(part(" HAVING {0}", self.expressions.make("bool", groups, 1), optional=True))
            return expression(
                type_,
                "(SELECT {0} FROM {1}{2}{3})",
                made,
                source,
                items(clauses, "", least=0),
                items(having, "", least=0),
            )
        made = self.expressions.make(type_, scope, depth)
        order = items([clone(one) for one in scope.order], kind="total")
        return expression(
            type_, "(SELECT {0} FROM {1}{2} ORDER BY {3} LIMIT 1)", made, source, items(clauses, "", least=0), order
        )

    def correlation(self, scope, outer, depth):
        """Conditions of a subquery, of which one is about the outer row where there is one."""
        made = []
        if outer is not None:
            pairs = [
                (one, other)
                for one in scope.leaves
                for other in outer.leaves
                if one.type == other.type and one.type in ("int", "text", "date")
            ]
            if pairs:
                one, other = self.chance.choice(pairs)
                operator = self.chance.choice(("=", "=", "=", "=", "<", "<>"))
                made.append(expression("bool", f"{{0}} {operator} {{1}}", clone(one), clone(other), level=5))
        if not made or self.coin(0.4):
            made.append(self.expressions.make("bool", scope, depth))
        return self.sources.conjunction(made)

    def subquery_condition(self, scope, outer, depth):
        chance = self.chance
        draw = chance.random()
        if draw < 0.3:
            self.nested += 1
            inner, source = self.sources.make(outer, depth)
            where = part(" WHERE {0}", self.correlation(inner, outer, depth), optional=True)
            chosen = "1" if self.coin(0.7) else chance.choice(("*", "NULL", "count(*)"))
            word = chance.choice(("EXISTS", "NOT EXISTS"))
            return expression("bool", f"{word} (SELECT {chosen} FROM {{0}}{{1}})", source, where)
        type_ = chance.choice(("int", "int", "text", "decimal", "date"))
        self.nested += 1
        inner, source = self.sources.make(outer, depth)
        where = (
            [part(" WHERE {0}", self.correlation(inner, outer, depth), optional=True)]
            if outer or self.coin(0.5)
            else []
        )
        column = self.expressions.column(type_, inner) or literal(chance, type_)
        if self.coin(0.2):
            column = self.expressions.make(type_, inner, 1)
        query = part("SELECT {0} FROM {1}{2}", column, source, items(where, "", least=0), kind="query")
        value = self.expressions.make(type_, Scope(scope.leaves, scope.order, scope.outer), 1)
        if draw < 0.85:
            word = chance.choice(("IN", "NOT IN", "NOT IN"))
            return expression("bool", f"{{0}} {word} ({{1}})", value, query, level=6)
        if draw < 0.9:
            operator = chance.choice(("=", "<", ">="))
            word = chance.choice(("ANY", "ALL"))
            return expression("bool", f"{{0}} {operator} {word} ({{1}})", value, query, level=5)
        if draw < 0.95:
            two = part(
                "SELECT {0}, {1} FROM {2}{3}",
                column,
                clone(inner.leaves[0]),
                source,
                items(where, "", least=0),
                kind="query",
            )
            first = self.expressions.make(inner.leaves[0].type, Scope(scope.leaves, scope.order, scope.outer), 1)
            word = chance.choice(("IN", "NOT IN"))
            return expression("bool", f"({{0}}, {{1}}) {word} ({{2}})", value, first, two, level=6)
        number = self.scalar("int", outer, depth)
        return expression(
            "bool",
            "{0} > {1}",
            self.expressions.make("int", Scope(scope.leaves, scope.order, scope.outer), 1),
            number,
            level=5,
        )
