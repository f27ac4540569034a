"""Rows as multisets: exact for everything but doubles, which may be a few units in the last place apart."""

import datetime
import math
import re
from decimal import Decimal

ULPS_MAX = 4
# Sums, averages and functions of doubles, whose last digits depend on the order and the library.
RELATIVE_MAX = 1e-9
ABSOLUTE_MAX = 1e-9

# A date after the year 9999, which Python has no type for: a text, and one day is one moment as a timestamp, too.
FAR_DATE = re.compile(r"\d{5,}-\d\d-\d\d")


def canonical(value, kind):
    """One value, so that what is equal in SQL is equal in Python."""
    if value is None or isinstance(value, bool):
        return value
    if kind == "double":
        return float(value)
    if isinstance(value, float | int | Decimal):
        number = Decimal(value)
        return number.normalize() + 0 if number.is_finite() else float(value)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, str) and FAR_DATE.fullmatch(value):
        return f"{value} 00:00:00"
    if isinstance(value, list | tuple):
        return tuple(canonical(item, "other") for item in value)
    return value


def canonical_rows(rows, kinds):
    return [tuple(canonical(value, kind) for value, kind in zip(row, kinds, strict=True)) for row in rows]


def near(one, other, is_loose):
    if one is None or other is None:
        return one is other
    if not isinstance(one, float) or not isinstance(other, float):
        return one == other
    if one == other or (math.isnan(one) and math.isnan(other)):
        return True
    if math.isinf(one) or math.isinf(other) or math.isnan(one) or math.isnan(other):
        return False
    apart = abs(one - other)
    if is_loose:
        return apart <= max(RELATIVE_MAX * max(abs(one), abs(other)), ABSOLUTE_MAX)
    return apart <= ULPS_MAX * max(math.ulp(one), math.ulp(other))


def same(one, other, is_loose):
    """Whether two lists of canonical rows are the same multiset."""
    if len(one) != len(other):
        return False
    # Both are sorted by their doubles, so that a row is compared first with the one that is nearest to it.
    groups = {}
    for row in sorted(other, key=doubles):
        groups.setdefault(exact(row), []).append(row)
    for row in sorted(one, key=doubles, reverse=True):
        candidates = groups.get(exact(row), [])
        for index in reversed(range(len(candidates))):
            if all(near(a, b, is_loose) for a, b in zip(row, candidates[index], strict=True)):
                del candidates[index]
                break
        else:
            return False
    return True


def doubles(row):
    """What rows are sorted by."""
    numbers = [value for value in row if isinstance(value, float)]
    return [(True, 0.0) if math.isnan(number) else (False, number) for number in numbers]


def exact(row):
    """What of a row is compared exactly."""
    return tuple("double" if isinstance(value, float) else (type(value) is bool, value) for value in row)


def shown(rows, limit=8):
    """Rows for people."""
    lines = sorted(("(" + ", ".join(map(shown_value, row)) + ")" for row in rows), key=str)
    more = [f"... {len(lines) - limit} more"] if len(lines) > limit else []
    return " ".join(lines[:limit] + more) or "none"


def shown_value(value):
    if value is None:
        return "NULL"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    return repr(value) if isinstance(value, str) else str(value)
