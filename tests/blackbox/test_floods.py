"""Floods of every shape: the peak of memory stays within `memory_max` and 50 MiB.

FULL=1 sends ten times as much. A debug build's code takes more memory: what an idle job takes beyond 30 MiB is allowed on top.
"""

import os

import pytest
from confluent_kafka import Producer

from avro import MOVEMENT, string, varint
from harness import Resident

MEMORY_MAX_MIB = 256
OVER_MEMORY_MAX_MIB = 50
IDLE_MIB = 30
TEXT = {"type": "record", "name": "T", "fields": [{"name": "n", "type": "long"}, {"name": "text", "type": "string"}]}
COUNT = "SELECT count(*) AS messages FROM batch"


def send(topic, messages, **options):
    """Sends (partition, payload, key, headers), by a producer with these options."""
    known = {"bootstrap.servers": topic.server, "message.max.bytes": 10_000_000, "linger.ms": 50, "log_level": 2}
    undelivered = []
    reports = {"on_delivery": lambda error, _message: undelivered.append(str(error)), "delivery.report.only.error": True}
    producer = Producer({**known, **reports, **options})
    count = 0
    for partition, payload, key, headers in messages:
        while True:
            try:
                producer.produce(topic.name, payload, key=key, headers=headers, partition=partition)
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
    assert producer.flush(300) == 0
    # A message that waits too long for a slow broker is given up.
    assert not undelivered, f"{len(undelivered)} messages were not delivered: {undelivered[0]}"
    return count


def idle_mib(new_job, topic):
    """What the program takes before it has read anything."""
    job = new_job(topic, reference_tables={}, state_tables={})
    job.write("schema.avsc", MOVEMENT)
    job.view("idle", COUNT)
    process = job.start("--until-caught-up")
    resident = Resident(process)
    assert resident.until_exit(60) == 0, process.stderr_text()
    return resident.peak_mib


def assert_bounded(job, count, figure, allowed, dead_letters=0):
    process = job.start("--until-caught-up")
    resident = Resident(process)
    assert resident.until_exit(600) == 0, process.stderr_text()
    figure(f"peak {resident.peak_mib:.0f} MiB, allowed {allowed:.0f}")
    assert job.database.value("SELECT COUNT(*) FROM dead_letters") == dead_letters
    assert job.database.value("SELECT SUM(messages) FROM counts") == count - dead_letters
    assert resident.peak_mib < allowed


@pytest.fixture
def allowed(new_job, new_topic):
    """MiB that a job may take at most."""
    idle = idle_mib(new_job, new_topic(partitions=1))
    return MEMORY_MAX_MIB + OVER_MEMORY_MAX_MIB + max(0, idle - IDLE_MIB)


def flood_job(new_job, topic, schema=TEXT, view=COUNT, **config):
    job = new_job(
        topic,
        memory_max=f"{MEMORY_MAX_MIB}MiB",
        reference_tables={},
        state_tables={},
        outputs={"counts": {"table": "counts", "mode": "append"}},
        dead_letters_max_ratio=1,
        **config,
    )
    job.write("schema.avsc", schema)
    job.view("counts", view)
    return job


def many(full):
    return 10 if full else 1


def test_headers(new_job, new_topic, allowed, full, figure):
    topic = new_topic(partitions=4, **{"max.message.bytes": "10000000"})
    value = os.urandom(1 << 20)
    payload = varint(1) + string("x")
    count = send(topic, ((n % 4, payload, None, {"trace": value}) for n in range(700 * many(full))))
    assert_bounded(flood_job(new_job, topic), count, figure, allowed)


def test_many_small_headers(new_job, new_topic, allowed, full, figure):
    topic = new_topic(partitions=4)
    payload, headers = varint(1) + string("x"), [(f"h{n}", b"") for n in range(1000)]
    count = send(topic, ((n % 4, payload, None, headers) for n in range(5_000 * many(full))))
    assert_bounded(flood_job(new_job, topic), count, figure, allowed)


def test_keys(new_job, new_topic, allowed, full, figure):
    topic = new_topic(partitions=4)
    payload, key = varint(1) + string("x"), os.urandom(900_000)
    count = send(topic, ((n % 4, payload, key, None) for n in range(400 * many(full))))
    assert_bounded(flood_job(new_job, topic), count, figure, allowed)


def test_payloads(new_job, new_topic, allowed, full, figure):
    topic = new_topic(partitions=4)
    payload = varint(1) + string(os.urandom(450_000).hex())
    count = send(topic, ((n % 4, payload, None, None) for n in range(400 * many(full))))
    assert_bounded(flood_job(new_job, topic), count, figure, allowed)


@pytest.mark.parametrize("compression", ["gzip", "lz4", "zstd"])
def test_compressed_fetches_over_many_partitions(new_job, new_topic, allowed, full, figure, compression):
    topic = new_topic(partitions=100)
    payload = varint(1) + string(("a bank's movement, much like the one before; " * 25)[:1000])
    messages = ((n % 100, payload, None, None) for n in range(600_000 * many(full)))
    count = send(topic, messages, **{"compression.type": compression, "batch.size": 100_000})
    assert_bounded(flood_job(new_job, topic), count, figure, allowed)


def test_wide_rows(new_job, new_topic, allowed, full, figure):
    """Two thousand decimals of 32 bytes, none of which has a value: two kilobytes as Avro."""
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 76, "scale": 2}
    fields = [{"name": f"f{n}", "type": ["null", decimal]} for n in range(2000)]
    topic = new_topic(partitions=4)
    schema = {"type": "record", "name": "W", "fields": [{"name": "n", "type": "long"}, *fields]}
    payload = varint(1) + varint(0) * 2000
    count = send(topic, ((n % 4, payload, None, None) for n in range(10_000 * many(full))))
    assert_bounded(flood_job(new_job, topic, schema), count, figure, allowed)


def test_nested_rows(new_job, new_topic, allowed, full, figure):
    """Lists of records, each of which takes a byte a field as Avro and many more as columns."""
    fixed = {"type": "fixed", "name": "F", "size": 200}
    item = {"type": "record", "name": "I", "fields": [{"name": "a", "type": ["null", fixed]}, {"name": "b", "type": ["null", "F"]}]}
    fields = [{"name": "n", "type": "long"}, {"name": "items", "type": {"type": "array", "items": item}}]
    topic = new_topic(partitions=4)
    payload = varint(1) + varint(2_000) + varint(0) * 4_000 + varint(0)
    count = send(topic, ((n % 4, payload, None, None) for n in range(2_000 * many(full))))
    job = flood_job(new_job, topic, {"type": "record", "name": "N", "fields": fields})
    assert_bounded(job, count, figure, allowed)
    # A thousand messages at once would take too much as columns.
    shown = job.run("consume", "--count", "300")
    assert shown.returncode == 0 and shown.stdout.count("\n") == 300, shown.stderr


@pytest.mark.parametrize(
    "call",
    [
        "length(repeat(text, n * 1000000))",
        "length(lpad(text, n * 1000000))",
        "length(replace(text, 'x', repeat('y', n * 1000000)))",
        "array_length(range(n * 1000000))",
        "array_length(array_repeat(text, n * 1000000))",
    ],
)
def test_functions_that_multiply_text(new_job, new_topic, allowed, figure, call):
    """Every tenth message asks for two gigabytes, which makes it a dead letter; the others pass."""
    topic = new_topic(partitions=4)
    count = send(topic, ((n % 4, varint(2000 if n % 10 == 0 else 0) + string("x"), None, None) for n in range(100)))
    view = f"SELECT count(*) AS messages, sum({call}) AS total FROM batch"
    assert_bounded(flood_job(new_job, topic, view=view), count, figure, allowed, dead_letters=10)


@pytest.mark.parametrize(
    "view",
    [
        "SELECT count(*) AS messages, sum(length(t)) AS total FROM (SELECT text || text || text || text AS t FROM batch)",
        "SELECT count(DISTINCT kafka_offset) AS messages, max(length(t)) AS total FROM"
        " (SELECT a.kafka_offset, a.text || 'x' AS t FROM batch a JOIN batch b ON a.n = b.n)",
        "SELECT count(*) AS messages, max(length(t)) AS total FROM (SELECT max(text) OVER (PARTITION BY n) AS t FROM batch)",
    ],
)
def test_operators_that_copy_text(new_job, new_topic, allowed, full, figure, view):
    """A long text beside many short ones."""
    topic = new_topic(partitions=1)
    long, short = varint(1) + string("x" * 500_000), varint(1) + string("x")
    count = send(topic, ((0, long if n % 100 == 0 else short, None, None) for n in range(1_000 * many(full))))
    assert_bounded(flood_job(new_job, topic, view=view), count, figure, allowed)


def test_lists_that_become_rows(new_job, new_topic, allowed, full, figure):
    """A message whose text would be copied for thousands of items is a dead letter; shorter ones pass."""
    fields = [
        {"name": "text", "type": "string"},
        {"name": "items", "type": {"type": "array", "items": "int"}},
    ]
    topic = new_topic(partitions=4)
    ends = varint(20_000) + varint(7) * 20_000 + varint(0)
    long, short = string("x" * 60_000) + ends, string("x" * 100) + ends
    count = send(topic, ((n % 4, long if n % 50 == 0 else short, None, None) for n in range(500 * many(full))))
    view = (
        "SELECT count(DISTINCT kafka_partition * 1000000 + kafka_offset) AS messages, max(length(text)) AS total FROM"
        " (SELECT kafka_partition, kafka_offset, text, unnest(items) AS item FROM batch)"
    )
    job = flood_job(new_job, topic, {"type": "record", "name": "L", "fields": fields}, view)
    assert_bounded(job, count, figure, allowed, dead_letters=count // 50)
