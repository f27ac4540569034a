"""FROM clauses: tables, subqueries, names of WITH, VALUES, arrays as rows, and joins of every kind."""

from . import tables
from .expressions import AND, COMPARE, SQL_TYPES, Scope, clone, literal
from .tree import expression, items, part

JOINS = ("JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")
# Columns that tables are joined by, with those that have equal values now and then.
KEYS = ("k", "k", "k", "g", "id", "n", "s")


class Source:
    """What FROM offers: its text, the columns by alias, and an order that is the same for equal rows only."""

    def __init__(self, node, columns, order):
        self.node = node
        # Per alias: (alias, {name: type}). Merged columns of USING have the alias None.
        self.columns = columns
        self.order = order

    def leaves(self, bare=False):
        return [
            expression(type_, name if bare or alias is None else f"{alias}.{name}")
            for alias, names in self.columns
            for name, type_ in names.items()
        ]


class Sources:
    """Makes FROM clauses. `queries` makes the subqueries."""

    def __init__(self, chance, category, queries):
        self.chance = chance
        self.category = category
        self.queries = queries
        # Queries of WITH that can be read: name -> {column: type}.
        self.named = {}
        self.aliases = 0

    def alias(self):
        self.aliases += 1
        return f"a{self.aliases}"

    def make(self, outer, depth):
        """A Scope over a FROM clause, and the clause."""
        joins = self.chance.choices((0, 1, 2), (2, 6, 4) if self.category == "joins" else (6, 3, 1))[0]
        source = self.one(outer, depth)
        for _ in range(joins):
            source = self.join(source, self.one(outer, depth, is_joined=True), outer, depth)
        bare = joins == 0 and outer is None and self.chance.random() < 0.5
        return Scope(source.leaves(bare), source.order, outer, qualified=source.leaves()), source.node

    def one(self, outer, depth, is_joined=False):
        draw = self.chance.random()
        if self.named and draw < (0.7 if self.category == "ctes" else 0.5):
            return self.named_query()
        if depth > 0 and draw > 0.85 and self.queries.may_nest():
            return self.derived(outer, depth)
        if draw > 0.97:
            return self.values()
        if draw > (0.6 if self.category == "arrays" and not is_joined else 0.995):
            return self.array()
        return self.table()

    def table(self):
        is_extreme = self.chance.random() < (0.4 if self.category == "extremes" else 0.03)
        return self.table_named(tables.EXTREME if is_extreme else self.chance.choice(tables.USUAL))

    def table_named(self, name):
        alias = self.alias()
        names = {column.name: column.type for column in tables.COLUMNS}
        return Source(part(f"{name} AS {alias}", kind="table"), [(alias, names)], [expression("int", f"{alias}.id")])

    def named_query(self):
        name = self.chance.choice(list(self.named))
        alias = self.alias()
        columns = self.named[name]
        return Source(part(f"{name} AS {alias}", kind="table"), [(alias, columns)], self.all_of(alias, columns))

    def derived(self, outer, depth):
        query, columns = self.queries.query(None, depth - 1, is_source=True)
        alias = self.alias()
        if self.chance.random() < 0.2:
            renamed = [f"r{index}" for index in range(1, len(columns) + 1)]
            columns = dict(zip(renamed, columns.values(), strict=True))
            node = part(f"({{0}}) AS {alias}({', '.join(renamed)})", query, kind="table")
        else:
            node = part(f"({{0}}) AS {alias}", query, kind="table")
        return Source(node, [(alias, columns)], self.all_of(alias, columns))

    def values(self):
        alias = self.alias()
        columns = {"k": "int", "g": "text", "v": self.chance.choice(("int", "decimal", "bool", "date"))}
        first = items(
            [part(f"CAST({{0}} AS {SQL_TYPES[type_]})", literal(self.chance, type_)) for type_ in columns.values()]
        )
        rows = [
            items([literal(self.chance, type_) for type_ in columns.values()]) for _ in range(self.chance.randint(0, 3))
        ]
        lines = items([part("({0})", row) for row in (first, *rows)])
        node = part(f"(VALUES {{0}}) AS {alias}({', '.join(columns)})", lines, kind="table")
        return Source(node, [(alias, columns)], self.all_of(alias, columns))

    def array(self):
        alias = self.alias()
        type_ = self.chance.choice(("int", "text"))
        array = literal(self.chance, type_ + "s")
        return Source(
            part(f"unnest({{0}}) AS {alias}(k)", array, kind="table"),
            [(alias, {"k": type_})],
            [expression(type_, f"{alias}.k")],
        )

    @staticmethod
    def all_of(alias, columns):
        return [expression(type_, f"{alias}.{name}") for name, type_ in columns.items()]

    def join(self, left, right, outer, depth):
        chance = self.chance
        word = chance.choice(JOINS)
        # What USING has merged can be named alone only as long as no other table has the name.
        theirs = {name for _, names in right.columns for name in names}
        left.columns = [one for one in left.columns if one[0] is not None or not theirs & set(one[1])]
        order = [*left.order, *right.order]
        shared = self.shared(left, right)
        draw = chance.random()
        if shared and draw < 0.25:
            return self.join_using(
                left, right, word, chance.sample(shared, 1 if chance.random() < 0.7 else min(2, len(shared)))
            )
        if draw < 0.33:
            return Source(
                part("{0} CROSS JOIN {1}", left.node, right.node, kind="join"), left.columns + right.columns, order
            )
        both = Scope(left.leaves() + right.leaves(), order, outer)
        conditions = self.conditions(left, right, both)
        node = part(f"{{0}} {word} {{1}} ON {{2}}", left.node, right.node, self.conjunction(conditions), kind="join")
        return Source(node, left.columns + right.columns, order)

    def conditions(self, left, right, both):
        """What rows of two sides are joined by."""
        pairs = self.pairs(left, right)
        if pairs:
            one, other = self.chance.choice(pairs)
            conditions = [expression("bool", "{0} = {1}", one, other, level=COMPARE)]
        else:
            conditions = [self.queries.expressions.make("bool", both, 1)]
        while self.chance.random() < 0.3:
            conditions.append(self.queries.expressions.make("bool", both, 2))
        return conditions

    @staticmethod
    def conjunction(conditions):
        """Conditions joined by AND, each of which may go."""
        return items([part("({0})", one) if one.level <= AND else one for one in conditions], " AND ")

    def join_using(self, left, right, word, names):
        merged = {name: self.once(left)[name] for name in names}
        node = part(f"{{0}} {word} {{1}} USING ({', '.join(names)})", left.node, right.node, kind="join")
        return Source(node, [*left.columns, *right.columns, (None, merged)], [*left.order, *right.order])

    @staticmethod
    def once(source):
        """The names that stand once, with their types."""
        found = {}
        for _, names in source.columns:
            for name, type_ in names.items():
                found.setdefault(name, []).append(type_)
        return {name: types[0] for name, types in found.items() if len(types) == 1}

    def shared(self, left, right):
        """Names that stand once on each side, with one type, so that USING can take them."""
        one, other = self.once(left), self.once(right)
        return [name for name in one if name in KEYS and other.get(name) == one[name]]

    @staticmethod
    def pairs(left, right):
        """Columns of one name and type, one from each side."""
        ones = [leaf for leaf in left.leaves() if leaf.template.partition(".")[2] in KEYS]
        return [
            (clone(one), clone(other))
            for one in ones
            for other in right.leaves()
            if one.type == other.type and one.template.partition(".")[2] == other.template.partition(".")[2]
        ]
