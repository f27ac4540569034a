"""Differences that are listed, each with its reason and what it is recognised by: known.toml.

An entry counts for a difference whose query, made small, matches `query` (a regular expression over this program's SQL), and whose
error matches `error` where there is one. `kind` is `dialect` for what is meant to be so, `fault` for what is to be mended.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "known.toml"


@dataclass(frozen=True)
class Known:
    name: str
    kind: str
    reason: str
    query: str = ""
    error: str = ""

    def matches(self, query, error):
        if bool(self.error) != bool(error):
            return False
        return bool(re.search(self.query, query, re.I)) and bool(re.search(self.error, error, re.I | re.S))


@cache
def listed(file=FILE):
    entries = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    return tuple(Known(name, **entry) for name, entry in entries.items())


def find(query, error="", file=FILE):
    """The entry for a difference, or None."""
    return next((entry for entry in listed(file) if entry.matches(query, error)), None)
