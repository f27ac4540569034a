"""The figures as one table: medians, the least and the most, ratios of medians, the goals and whether they hold."""

import json
from dataclasses import asdict, dataclass
from statistics import median

# How far a ratio may be from 1 where nothing should change.
NOISE = 0.1


@dataclass(frozen=True)
class Line:
    """One comparison. The ratio says how many times better this program is, so 2 is better than 1 in every line."""

    label: str
    ours: str
    # The figure it is compared with, and what the reader calls that.
    other: str | None = None
    other_name: str = ""
    is_less_better: bool = False
    # At least this ratio; or at most (at least, where more is better) this value.
    ratio_min: float | None = None
    value_max: float | None = None
    digits: int = 0


AGAINST_LIMIT = ("ours.rate", "load_data.rate")

SPARK = {"other_name": "Spark"}
LIMIT = {"other": "load_data.rate", "other_name": "LOAD DATA"}
PLAIN = {"other_name": "without"}
LESS = {"is_less_better": True}
THOUSAND = {"other_name": "a thousand"}
NONE = {"other_name": "none"}
ONCE = {"other_name": "in the first"}
SAME = {"ratio_min": 1 - NOISE}
FILES = {"other_name": "from files", "ratio_min": 0.95}
LINES = (
    Line("rows/s into MySQL, first to last commit", "ours.rate", "spark.rate", **SPARK, ratio_min=5),
    Line("rows/s into MySQL, first to last commit", "ours.rate", **LIMIT, ratio_min=0.9),
    Line("the same with two lanes", "lanes.rate", **LIMIT, ratio_min=1),
    Line("rows/s into MySQL, from the start", "ours.rate_with_start", "spark.rate_with_start", **SPARK),
    Line(
        "a million rows, start to last row, s", "ours.million", "spark.million", **SPARK, **LESS, ratio_min=7, digits=1
    ),
    Line("messages/s into nothing, without start and warm-up", "ours.nothing", "spark.nothing", **SPARK, ratio_min=8),
    Line("latency at 1,000/s, p50, ms", "ours.p50", "spark.p50", **SPARK, **LESS, value_max=3, digits=1),
    Line("latency at 1,000/s, p95, ms", "ours.p95", "spark.p95", **SPARK, **LESS, digits=1),
    Line("latency at 1,000/s, p99, ms", "ours.p99", "spark.p99", **SPARK, **LESS, value_max=15, digits=1),
    Line("latency at 1,000/s, max, ms", "ours.max", "spark.max", **SPARK, **LESS, digits=1),
    Line("latency at 20,000/s, p50, ms", "busy.ours.p50", **LESS, digits=1),
    Line("latency at 20,000/s, p99, ms", "busy.ours.p99", **LESS, value_max=100, digits=1),
    Line("start to first row, s", "ours.start", "spark.start", **SPARK, **LESS, value_max=0.7, digits=2),
    Line("peak memory of the catch-up, MiB", "ours.peak_mib", "spark.peak_mib", **SPARK, **LESS, value_max=100),
    Line("CPU seconds per million rows", "ours.cpu", "spark.cpu", **SPARK, **LESS, ratio_min=10, digits=2),
    Line("rows/s with the shipped state", "state.rate", "ours.rate", **PLAIN, ratio_min=0.5),
    Line("rows/s, a million accounts in the database", "accounts_many.rate", "accounts_few.rate", **THOUSAND, **SAME),
    Line("p50 at 1,000/s, the same, ms", "accounts_many.p50", "accounts_few.p50", **THOUSAND, **LESS, **SAME, digits=1),
    Line("rows/s, ten million keys of state", "keys_many.rate", "keys_none.rate", **NONE, **SAME),
    Line("p50 at 1,000/s, the same, ms", "keys_many.p50", "keys_none.p50", **NONE, **LESS, **SAME, digits=1),
    Line("us a message, in five times as many", "linear.after", "linear.first", **ONCE, **LESS, **SAME, digits=2),
    Line("rows/s of three versions, ids from a registry", "registry.rate", "files.rate", **FILES),
    Line("the same, from the start", "registry.rate_with_start", "files.rate_with_start", **FILES),
    Line("idle, % of a core", "ours.idle", **LESS, value_max=1, digits=2),
)
HEAD = ("", "realtime-processor", "against", "", "ratio", "goal", "holds")


@dataclass(frozen=True)
class Row:
    line: Line
    ours: list
    other: list

    @property
    def ratio(self):
        if not self.other:
            return None
        mine, theirs = median(self.ours), median(self.other)
        better, worse = (theirs, mine) if self.line.is_less_better else (mine, theirs)
        return better / worse if worse else None

    @property
    def goal(self):
        line = self.line
        if line.ratio_min is not None:
            return f"ratio >= {line.ratio_min:g}"
        return "" if line.value_max is None else f"<= {line.value_max:g}"

    @property
    def holds(self):
        """None where there is no goal, or nothing to compare with."""
        line = self.line
        if line.ratio_min is not None:
            return None if self.ratio is None else self.ratio >= line.ratio_min
        return None if line.value_max is None else median(self.ours) <= line.value_max

    def cells(self):
        holds = {None: "", True: "yes", False: "**no**"}[self.holds]
        ratio = "" if self.ratio is None else f"{self.ratio:.3g}"
        mine, theirs = (spread(values, self.line.digits) for values in (self.ours, self.other))
        return (self.line.label, mine, self.line.other_name if self.other else "", theirs, ratio, self.goal, holds)


def spread(values, digits):
    """`median (least to most)`."""
    if not values:
        return ""
    shown = [f"{value:,.{digits}f}" for value in (median(values), min(values), max(values))]
    return shown[0] if len(values) == 1 else f"{shown[0]} ({shown[1]} - {shown[2]})"


def rows(figures):
    return [
        Row(line, figures[line.ours], figures.get(line.other) or [])
        for line in LINES
        # Without the limit its line would only repeat the one before.
        if figures.get(line.ours) and ((line.ours, line.other) != AGAINST_LIMIT or figures.get(line.other))
    ]


def markdown(figures, facts):
    table = [HEAD, tuple("---" for _ in HEAD), *(row.cells() for row in rows(figures))]
    lines = [f"| {' | '.join(cells)} |" for cells in table]
    return "\n".join([*facts, "", *lines, ""])


def text(figures, facts):
    table = [HEAD, *(tuple(cell.replace("*", "") for cell in row.cells()) for row in rows(figures))]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([*facts, "", *lines, ""])


def as_json(figures, facts):
    found = [
        {**asdict(row.line), "median": median(row.ours), "ratio": row.ratio, "holds": row.holds}
        for row in rows(figures)
    ]
    return json.dumps({"facts": facts, "lines": found, "figures": figures}, indent=1) + "\n"
