"""Latency at an even pace: from the time Kafka has for a message to the moment another connection sees its row."""

import json
import subprocess
import sys
import time
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime

from compare import topic as topics
from compare.ours import Project
from compare.run import Failed, Watch, until_seen
from compare.tables import TABLE
from harness import unique

# Sent before at the same pace and not counted: a JVM needs it.
WARM_UP_SECONDS = 10
FIRST_ROW_SECONDS_MAX = 120
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True)
class Pace:
    """How messages are sent, and how closely their rows are watched."""

    rate: int
    # How long the producer lets a message wait for others. Of many, each sent alone would cost the broker and the sender
    # more than all that is measured; 5 ms is librdkafka's default.
    linger_ms: int
    # The pause of the watcher between two looks: shorter ones cost the server so much that all rows are later.
    poll_seconds: float


CALM = Pace(rate=1_000, linger_ms=0, poll_seconds=0.0005)
BUSY = Pace(rate=20_000, linger_ms=5, poll_seconds=0.001)


def latency(bench, side, pace, seconds, project=None):
    """Milliseconds by quantile, and how fine the watcher looked, in milliseconds at the median and at 99 %."""
    name = unique("compare-latency")
    topics.create(bench.kafka, name)
    try:
        return _latency(bench, side.project(name, project or Project()), name, pace, seconds)
    finally:
        topics.delete(bench.kafka, name)


def _latency(bench, job, topic, pace, seconds):
    bench.tables.empty()
    process = job.start()
    send_first(bench, topic, process, job)
    total = pace.rate * (WARM_UP_SECONDS + seconds)
    watch = Watch(bench, "follow", pace.poll_seconds, table=TABLE, total=total + 1)
    sent = {"topic": topic, "rate": pace.rate, "linger_ms": pace.linger_ms, "total": total, "seed": bench.seed}
    sender = bench.children.start(
        [sys.executable, "-m", "compare.send", json.dumps(sent)], stdout=subprocess.PIPE, text=True
    )
    until_seen(watch, process, job)
    seen = watch.answer()
    late = json.loads(sender.stdout.read())["late_max_ms"]
    bench.children.end(sender)
    bench.children.end(process)
    content = bench.tables.content()
    if content[0] != total + 1:
        raise Failed(f"{content[0]} rows, expected {total + 1}")
    job.forget()
    found = quantiles(arrivals(seen["steps"], bench.tables.arrivals()))
    bench.say(f"  looked every {seen['resolution_ms'][0]} ms; the sender was late by {late} ms at most")
    return found, seen["resolution_ms"]


def send_first(bench, topic, process, job):
    """One message, and wait for its row: from here on the program is at work."""
    sender = topics.producer(bench.kafka)
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    partition, key, payload = topics.Movements(bench.seed).next(date)
    sender.produce(topic, payload, key=key, partition=partition)
    sender.flush(30)
    deadline = time.monotonic() + FIRST_ROW_SECONDS_MAX
    while not bench.tables.database.value(f"SELECT COUNT(*) FROM {TABLE}"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise Failed(f"no first row\n{job.log.read_text(encoding='utf-8')[-3000:]}")
        time.sleep(0.05)


def arrivals(steps, rows):
    """(Kafka's timestamp, sent at, seen at) of each row that came after the warm-up, in seconds since 1970."""
    times = [at for at, _ in steps]
    by_partition = [[ends[p] for _, ends in steps] for p in range(topics.PARTITIONS)]
    messages = []
    for partition, offset, stamped, sent in rows:
        step = bisect_left(by_partition[partition], offset + 1)
        messages.append((float(stamped), float(sent), times[step] if step < len(times) else None))
    # The first message is the one before all others.
    messages.sort()
    counted_from = messages[1][0] + WARM_UP_SECONDS
    return [message for message in messages if message[0] >= counted_from]


def quantiles(messages):
    """Milliseconds from Kafka's timestamp, and from the moment of sending (`sent_...`), which has microseconds."""
    found = {}
    for prefix, column in (("", 0), ("sent_", 1)):
        took = sorted((message[2] - message[column]) * 1000 for message in messages)
        for name, share in QUANTILES.items():
            found[prefix + name] = took[min(len(took) - 1, int(len(took) * share))]
    return found
