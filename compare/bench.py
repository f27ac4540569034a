"""What the measurements share: servers, both programs, the rows that were found, and the figures so far."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from compare import topic as topics
from compare.load_data import Client
from compare.processes import Children
from compare.run import Failed
from compare.tables import Tables


@dataclass
class Bench:
    kafka: str
    tables: Tables
    children: Children
    seed: int
    messages: int
    runs: int
    latency_seconds: int
    # How often a table is doubled that is to be large: ten times make a thousand times the rows.
    doublings: int
    folder: Path
    client: Client
    say: Callable
    # By name: "ours", and "spark" unless it is left out.
    sides: dict = field(default_factory=dict)
    figures: dict = field(default_factory=lambda: defaultdict(list))
    # What the rows of a topic are, as the first program to write them had them.
    contents: dict = field(default_factory=dict)
    # What else a reader should know.
    notes: dict = field(default_factory=dict)

    def seeded(self, messages, **options):
        return topics.seeded(self.kafka, self.seed, messages, self.say, **options)

    def ends(self, topic):
        return topics.ends(self.kafka, topic)

    def add(self, figure, value):
        self.figures[figure].append(value)
        self.say(f"  {figure}: {value:,.4g}" if value < 1000 else f"  {figure}: {value:,.0f}")

    def compare_rows(self, topic, count):
        """All rows are there, once, and are those that every other program has written."""
        content = self.tables.content()
        if content[0] != count:
            raise Failed(f"{content[0]} rows, expected {count}")
        expected = self.contents.setdefault(topic, content)
        if content != expected:
            raise Failed(f"the rows differ: count and sums are {content}, before they were {expected}")

    def rounds(self, variants):
        """Each variant in turn, as often as there are runs: (its name, it)."""
        for number in range(self.runs):
            for name, variant in variants.items():
                self.say(f"run {number + 1} of {self.runs}: {name}")
                begun = time.monotonic()
                yield name, variant
                self.say(f"  took {time.monotonic() - begun:.0f} s")
