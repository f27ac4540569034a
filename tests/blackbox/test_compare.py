"""A small run of `scripts/compare` without Spark, and what its figures and its watcher must say."""

import json
import os
import subprocess
import sys
from collections import defaultdict

import pytest

from harness import ROOT

sys.path.append(str(ROOT))

from compare import latency, report, topic, watch  # noqa: E402

MESSAGES = 20_000
SECONDS_MAX = 280


def compared(binary, *options):
    """The figures of a comparison."""
    if not {"SERVICES_DIR", "MYSQL_URL"} <= os.environ.keys():
        pytest.skip("needs the servers of scripts/services")
    environment = {
        **os.environ,
        "REALTIME_PROCESSOR": str(binary),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'blackbox'}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "compare", *options],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)["figures"]


def test_a_quick_comparison(binary, kafka_server, tmp_path):
    words = ("start", "idle", "latency", "catch-up", "load-data", "state", "million", "nothing")
    options = ["--quick", "--without-spark", "--seed", "97", "--messages", str(MESSAGES), "--format", "json"]
    figures = compared(binary, *options, "--out", tmp_path / "out.md", "--only", *words)
    wanted = {"ours.rate", "load_data.rate", "state.rate", "ours.nothing", "ours.million", "ours.start", "ours.idle"}
    assert {*wanted, "ours.p50", "ours.max", "ours.peak_mib", "ours.cpu"} <= figures.keys()
    assert all(len(values) == 1 and values[0] >= 0 for name, values in figures.items() if not name.startswith("watch"))
    assert figures["ours.p50"][0] <= figures["ours.p99"][0] <= figures["ours.max"][0]
    assert "This is no result" in (tmp_path / "out.md").read_text()
    assert sum(topic.ends(kafka_server, f"compare-97-{MESSAGES}")) == MESSAGES


def test_a_quick_comparison_of_ids_from_a_registry_and_from_files(binary, kafka_server, registry):
    options = ["--quick", "--without-spark", "--seed", "97", "--messages", str(MESSAGES), "--format", "json"]
    found = compared(binary, *options, "--only", "registry")
    assert {"registry.rate", "files.rate", "registry.rate_with_start", "files.rate_with_start"} <= found.keys()


def test_messages_follow_from_the_seed():
    def first(seed):
        movements = topic.Movements(seed)
        return [movements.next() for _ in range(100)]

    assert first(1) == first(1) != first(2)
    assert list(topic.accounts(1, 10)) == list(topic.accounts(1, 10))


class Visible:
    """A session that sees the first rows of each partition."""

    def __init__(self, ends):
        self.ends = ends

    def are_there(self, offsets):
        return [offset < end for offset, end in zip(offsets, self.ends, strict=True)]


@pytest.mark.parametrize("ends", [[0, 0, 0, 0], [5, 0, 7, 1], [9, 9, 9, 9]])
def test_visible_rows_are_found_by_single_looks(ends):
    rows = watch.Rows(None, "t")
    rows.are_there = Visible(ends).are_there
    assert rows.bisected_ends([9, 9, 9, 9]) == ends


def test_a_row_arrives_when_the_watcher_first_sees_it():
    steps = [[100.5, [2, 0, 0, 0]], [120.0, [3, 1, 0, 0]]]
    rows = [(0, 0, 100.0, 100.0), (0, 1, 100.4, 100.4), (0, 2, 119.9, 119.9), (1, 0, 119.7, 119.8)]
    found = latency.arrivals(steps, rows)
    assert found == [(119.7, 119.8, 120.0), (119.9, 119.9, 120.0)], "the others are the warm-up"
    quantiles = latency.quantiles(found)
    assert quantiles["max"] == pytest.approx(300)
    assert quantiles["sent_max"] == pytest.approx(200)


def test_ratios_say_how_many_times_better_and_goals_are_judged_by_medians():
    figures = defaultdict(list)
    figures["ours.rate"] = [500, 400, 10]
    figures["spark.rate"] = [100, 100, 100]
    figures["ours.million"] = [4, 4, 4]
    figures["spark.million"] = [20, 20, 20]
    figures["ours.start"] = [0.7]
    found = {row.line.ours: (row.ratio, row.holds) for row in report.rows(figures)}
    assert found == {"ours.rate": (4, False), "ours.million": (5, False), "ours.start": (None, True)}
    assert "| 400 (10 - 500) | Spark | 100 (100 - 100) | 4 | ratio >= 5 | **no** |" in report.markdown(figures, [])


def test_numbers_of_a_row_of_the_text_protocol():
    assert watch.fields(b"\x01\x31\xfb\x03-42") == [1, None, -42]
