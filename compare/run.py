"""One run of a program: started, watched from outside until all is there, weighed, ended, its rows compared."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass

from compare.processes import cpu_seconds, peak_mib
from compare.tables import TABLE
from harness import unique

RUN_SECONDS_MAX = 600
WATCH_READY_SECONDS_MAX = 30
WEIGH_SECONDS = 0.5
# Seldom enough to cost nothing while two million rows are written; often enough for a start.
CATCH_UP_POLL_SECONDS = 0.005
START_POLL_SECONDS = 0.001


class Failed(Exception):
    """A program ended by itself, took too long, or wrote other rows than it should."""


@dataclass(frozen=True)
class Weight:
    cpu_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class CatchUp:
    """Times are seconds from the start of the process."""

    rows: int
    first_seconds: float
    first_rows: int
    last_seconds: float
    weight: Weight

    @property
    def rate(self):
        """Rows a second from the first commit, without its rows, to the last."""
        return (self.rows - self.first_rows) / max(1e-9, self.last_seconds - self.first_seconds)

    @property
    def rate_with_start(self):
        return self.rows / self.last_seconds


class Watch:
    """The watcher's process."""

    def __init__(self, bench, watch, poll_seconds, **of):
        self.children, self.file = bench.children, bench.folder / f"{unique('watch')}.json"
        options = {
            "watch": watch,
            "database": bench.tables.database.name,
            "poll_seconds": poll_seconds,
            "of": of,
            "timeout_seconds": RUN_SECONDS_MAX,
            "answer": str(self.file),
        }
        self.process = bench.children.start(
            [sys.executable, "-m", "compare.watch", json.dumps(options)], stdout=subprocess.PIPE, text=True
        )
        if not self.process.stdout.readline():
            raise Failed("the watcher did not start")

    def is_over(self):
        return self.process.poll() is not None

    def answer(self):
        self.children.end(self.process)
        if self.process.returncode:
            raise Failed("the watcher gave up")
        return json.loads(self.file.read_text())


def until_seen(watch, process, job):
    """Waits until the watcher has seen everything, and weighs the program meanwhile."""
    peak = 0.0
    while not watch.is_over():
        if process.poll() is not None and process.returncode != 0:
            raise Failed(f"exit code {process.returncode}\n{job.log.read_text(encoding='utf-8')[-3000:]}")
        time.sleep(0.02)
        if time.monotonic() % WEIGH_SECONDS < 0.03:
            peak = max(peak, peak_mib(process.pid))
    return Weight(cpu_seconds(process.pid), max(peak, peak_mib(process.pid)))


def catch_up(bench, job, topic, poll_seconds=CATCH_UP_POLL_SECONDS, is_compared=True):
    """A program's way from its start to the last row of a topic that is full already."""
    bench.tables.empty()
    ends = bench.ends(topic)
    watch = Watch(bench, "catch_up", poll_seconds, table=TABLE, ends=ends)
    begun = time.time()
    process = job.start()
    weight = until_seen(watch, process, job)
    seen = watch.answer()
    bench.children.end(process)
    if is_compared:
        bench.compare_rows(topic, sum(ends))
    first, last = seen["first"], seen["last"]
    return CatchUp(sum(ends), first["at"] - begun, first["rows"], last["at"] - begun, weight)
