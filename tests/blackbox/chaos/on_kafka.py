"""Faults of Kafka and of what it holds: outages, partitions, transactions, retention, and messages that no sensible
producer sends."""

import random
import time

from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import NewPartitions

from chaos.traffic import BURST
from chaos.world import NotDone
from harness import unique
from ledger import UNREADABLE_HEADERS_KEY
from raw import produce

PARTITIONS_MAX = 8
# Kafka answers late when it was killed a moment ago.
TRANSACTION_SECONDS_MAX = 60
ABORTED_RATIO = 0.4
TRANSACTION_MESSAGES_MAX = 60

HOSTILE_MESSAGES = 30
READABLE_NAMES = (b"", b"\0", "ключ".encode(), b"n" * 5_000)
UNREADABLE_NAMES = (b"\xff\xfe", b"\xc3", b"\xed\xa0\x80")
HEADER_VALUES = (None, b"", b"\0\xff", "значение".encode(), b"v" * 100_000)
KEYS = (None, b"", b"\0\xff", b"\0", "ключ".encode(), b"k" * 200_000)
# Milliseconds. The database knows the years 1 to 9999.
YEAR_1, YEAR_10000 = -62_135_596_800_000, 253_402_300_800_000
PAST = (-1, 0, 1, -5, YEAR_1, YEAR_1 - 1, -(1 << 62), -(1 << 63))
FUTURE = (YEAR_10000 - 1, YEAR_10000, 1 << 53, 1 << 62, (1 << 63) - 1)
TEN_YEARS = 315_360_000_000

LARGE_HEADERS = 100
LARGE_HEADER_BYTES = 1 << 20


def kafka_kill(world, fault):
    return world.outage("kafka", "kill", fault.seconds)


def kafka_stop(world, fault):
    return world.outage("kafka", "stop", fault.seconds)


def add_partition(world, _):
    count = world.topic.partitions + 1
    if count > PARTITIONS_MAX:
        raise NotDone(f"there are {world.topic.partitions} already")
    made = world.topic.admin.create_partitions([NewPartitions(world.topic.name, count)])
    made[world.topic.name].result(timeout=60)
    world.topic.grown(count)
    return f"there are {count} now"


def bad_messages(world, _):
    world.traffic.bad_due += BURST
    return f"{BURST} messages in a row"


def hostile_messages(world, fault):
    """Headers, keys and times of any kind, on messages that can be processed and on others."""
    rng = random.Random(fault.which)
    movements = world.movements(fault.which)
    for _ in range(HOSTILE_MESSAGES):
        is_bad = rng.random() < 0.4
        payload, partition, _ = movements.next(world.topic.partitions, is_bad)
        time_ms = hostile_time(world, rng, is_bad)
        key, headers = rng.choice(KEYS), hostile_headers(rng)
        if any(name in UNREADABLE_NAMES for name, _ in headers):
            key = UNREADABLE_HEADERS_KEY
        try:
            produce(world.topic, payload, key, headers, time_ms, partition)
        except AssertionError as error:
            # The broker was stopped meanwhile.
            raise NotDone(str(error)) from error
    return f"{HOSTILE_MESSAGES} messages"


def hostile_headers(rng):
    names = READABLE_NAMES + (UNREADABLE_NAMES if rng.random() < 0.3 else ())
    if rng.random() < 0.05:
        return tuple((name, b"") for name in names[:3] * 600)
    return tuple((rng.choice(names), rng.choice(HEADER_VALUES)) for _ in range(rng.randrange(4)))


def hostile_time(world, rng, is_bad):
    now = int(time.time() * 1000)
    times = (now, now + TEN_YEARS, *FUTURE)
    # A row of state that a message of long ago has written last may expire.
    return rng.choice(times if world.has_ttl and not is_bad else (*times, *PAST))


def large_headers(world, fault):
    """A flood of headers behind small payloads."""
    movements = world.movements(fault.which)
    for _ in range(LARGE_HEADERS):
        payload, partition, key = movements.next(world.topic.partitions)
        world.topic.send(payload, partition=partition, key=key, headers=[("large", b"h" * LARGE_HEADER_BYTES)])
    return f"{LARGE_HEADERS} messages with a header of {LARGE_HEADER_BYTES >> 10} KiB"


def transactional(world, name):
    producer = Producer(
        {
            "bootstrap.servers": world.topic.server,
            "transactional.id": name,
            "transaction.timeout.ms": TRANSACTION_SECONDS_MAX * 1000,
            "linger.ms": 5,
            "log_level": 2,
        }
    )
    producer.init_transactions(TRANSACTION_SECONDS_MAX)
    return producer


def transactions(world, fault):
    """A producer commits some transactions and aborts others."""
    rng = random.Random(fault.which)
    movements = world.movements(fault.which)
    name = unique("chaos")
    producer = transactional(world, name)
    committed = aborted = 0
    deadline = time.monotonic() + fault.seconds
    try:
        while time.monotonic() < deadline:
            begin(world, producer, movements, rng)
            time.sleep(rng.random() * 0.3)
            if rng.random() < ABORTED_RATIO:
                producer.abort_transaction(TRANSACTION_SECONDS_MAX)
                aborted += 1
            else:
                producer.commit_transaction(TRANSACTION_SECONDS_MAX)
                committed += 1
    except KafkaException:
        # The broker was away; what is open is aborted.
        end_transaction(world, name)
        aborted += 1
    return f"{committed} committed, {aborted} aborted"


def open_transaction(world, fault):
    """A producer leaves with a transaction open; after a while, its successor aborts that."""
    name = unique("chaos")
    producer = transactional(world, name)
    try:
        begin(world, producer, world.movements(fault.which), random.Random(fault.which))
        time.sleep(fault.seconds)
    finally:
        end_transaction(world, name)
    return f"one, aborted after {fault.seconds} s"


def last_transactions(world):
    """Every partition ends with messages that were aborted, and with the markers of transactions."""
    producer = transactional(world, unique("chaos"))
    movements = world.movements(world.topic.partitions)
    for is_kept in (True, False):
        producer.begin_transaction()
        for partition in range(world.topic.partitions):
            payload, home, key = movements.next(world.topic.partitions)
            # A customer keeps to its partition: others get a message only if it is aborted.
            if home == partition or not is_kept:
                producer.produce(world.topic.name, payload, partition=partition, key=key)
        producer.flush(TRANSACTION_SECONDS_MAX)
        if is_kept:
            producer.commit_transaction(TRANSACTION_SECONDS_MAX)
        else:
            producer.abort_transaction(TRANSACTION_SECONDS_MAX)
    return "the last one was aborted, in all partitions"


def begin(world, producer, movements, rng):
    """Begins a transaction and sends some messages in it. They are there before it ends: what waits is not sent if it is
    aborted."""
    producer.begin_transaction()
    for _ in range(rng.randrange(1, TRANSACTION_MESSAGES_MAX)):
        payload, partition, key = movements.next(world.topic.partitions)
        producer.produce(world.topic.name, payload, partition=partition, key=key)
    producer.flush(TRANSACTION_SECONDS_MAX)


def end_transaction(world, name):
    """Aborts what the producer of this name has left open. Nothing after an open transaction can be read, so this goes on
    until the broker has done it."""
    deadline = time.monotonic() + 3 * TRANSACTION_SECONDS_MAX
    while True:
        try:
            transactional(world, name)
            return
        except KafkaException:
            if time.monotonic() > deadline:
                raise


def retention(world, fault):
    """Kafka deletes messages that the job has committed on every server that the address may lead to."""
    rng = random.Random(fault.which)
    with world.alone_with("mysql"):
        stored = [dict(stored_offsets(world, copy)) for copy in world.pair.copies()]
        world.reader.read()
        places, count = [], 0
        for partition, low in world.reader.first_offsets(stored[0]).items():
            behind = min(of_server.get(partition, 0) for of_server in stored)
            before = behind if rng.random() < 0.6 else rng.randint(min(low, behind), behind)
            if low < before <= world.reader.next_offsets.get(partition, 0):
                places.append(TopicPartition(world.topic.name, partition, before))
                count += before - low
        if not places:
            raise NotDone("nothing can be deleted")
        for done in world.topic.admin.delete_records(places).values():
            done.result(timeout=30)
    return f"{count} offsets of {len(places)} partitions"


def stored_offsets(world, database):
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT kafka_partition, next_offset FROM realtime_offsets WHERE job = %s", (world.job,))
        return cursor.fetchall()


ON_KAFKA = {
    "kafka-kill": kafka_kill,
    "kafka-stop": kafka_stop,
    "add-partition": add_partition,
    "bad-messages": bad_messages,
    "hostile-messages": hostile_messages,
    "large-headers": large_headers,
    "transactions": transactions,
    "open-transaction": open_transaction,
    "retention": retention,
}
