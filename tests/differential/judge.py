"""What the answers of one query mean.

Where the other engines agree, this program's rows must be theirs. Where they do not, the query is set aside: it says
nothing. Where both say that a number leaves its type, this program may say so too, or give the number that is right.
"""

import re
from dataclasses import dataclass

from . import compare
from .engines import Answer, read_ours
from .tree import walk, write

# What is an error of a row, and no refusal of the query.
DATA = re.compile(
    r"overflow|out of range|divide by zero|division by zero|cast error|cannot cast (string|value)|invalid argument|exceeds",
    re.I,
)
LOOSE = re.compile(r"\b(sum|avg|stddev_samp|var_pop|power|sqrt|ln|exp)\(", re.I)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kind` is same, aside, refused or different; `detail` the class of it."""

    kind: str
    detail: str = ""
    ours: object = None
    right: object = None
    error: str = ""

    @property
    def differs(self):
        return self.kind == "different"


def judge(query, ours, duck, postgres, wide):
    """The verdict on a query. `postgres` is None where it was not asked; `wide` is a function that asks DuckDB again."""
    others = [answer for answer in (duck, postgres) if answer is not None]
    if ours.outcome == "hang" and any(answer.outcome == "hang" for answer in others):
        return Verdict("aside", "too much for another engine, too")
    if ours.outcome in ("panic", "hang"):
        return Verdict("different", ours.outcome, error=ours.error)
    answered = [answer for answer in others if answer.answered]
    is_loose = bool(LOOSE.search(write(query, "ours")))
    if len(answered) < len(others):
        return unanswered(ours, others, answered, wide, is_loose)
    kinds = kinds_of(others)
    right = compare.canonical_rows(others[0].rows, kinds)
    if len(others) > 1 and not compare.same(right, compare.canonical_rows(others[1].rows, kinds), is_loose):
        return Verdict("aside", "the other engines disagree")
    if not ours.answered:
        if DATA.search(ours.error):
            return Verdict("different", "an error while it runs", right=right, error=ours.error)
        return Verdict("refused", form_of(ours.error), right=right, error=ours.error)
    return compared(ours, right, kinds, is_loose, "rows")


def compared(ours, right, kinds, is_loose, detail):
    try:
        rows = compare.canonical_rows([read_ours(line, kinds) for line in ours.rows], kinds)
    except (ValueError, TypeError) as error:
        return Verdict("different", "types", list(ours.rows), right, str(error))
    if compare.same(rows, right, is_loose):
        return Verdict("same")
    return Verdict("different", detail, rows, right)


def unanswered(ours, others, answered, wide, is_loose):
    """Not all other engines have rows."""
    if not any(answer.is_overflow for answer in others):
        first = next(answer for answer in others if not answer.answered)
        return Verdict("aside", form_of(first.error))
    if not ours.answered:
        return Verdict("aside", "a number leaves its type")
    # What has rows has the types to hold the numbers; otherwise the wide integers do.
    reference = answered[0] if answered else wide()
    if not reference.answered:
        return Verdict("aside", "a number leaves every type")
    kinds = reference.kinds
    return compared(
        ours, compare.canonical_rows(reference.rows, kinds), kinds, is_loose, "a number that leaves its type"
    )


def kinds_of(answers):
    """What columns are compared as: doubles where one engine says so."""
    columns = zip(*(answer.kinds for answer in answers), strict=False)
    return tuple(
        "double" if "double" in kinds else next((kind for kind in kinds if kind != "other"), "other")
        for kinds in columns
    )


def form_of(error):
    """An error without what is of this query alone."""
    line = error.strip().splitlines()[0] if error.strip() else "no message"
    line = re.sub(r"^query[:\d]*: (error: )?", "", line)
    line = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", "_", line)
    line = re.sub(r"\(.*\)", "(_)", line)
    line = re.sub(r"\b(\w+\.)?[acrwqk]\d+(\.\w+)?\b|-?\d[\d.:-]*", "_", line)
    return line[:110]


def aggregates(query):
    return any(LOOSE.search(node.template) for node in walk(query))


NOT_ASKED = Answer(None, (), "", "error")
