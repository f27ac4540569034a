"""The messages: movements that follow from a seed, keyed by customer, in a topic that is made once and used again.

A customer's movements keep to one partition, as keyed messages do. Payloads are put together from parts that are
encoded before, so two million take seconds.
"""

import random
from datetime import datetime, timedelta

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from avro import double, string, varint

PARTITIONS = 4
CUSTOMERS = 10_000
AGENCIES = 50
FIRST_DATE = datetime(2026, 1, 1)
MESSAGES_PER_SECOND_OF_DATE = 10
READY_SECONDS_MAX = 60
FLUSH_SECONDS_MAX = 300


class Movements:
    """An endless run of (partition, key, payload), the same for the same seed."""

    def __init__(self, seed, customers=CUSTOMERS):
        self.random = random.Random(seed).random
        self.customers = [(n % PARTITIONS, str(n).encode(), varint(n)) for n in range(1, customers + 1)]
        self.agencies = [string(f"{n:04}") for n in range(AGENCIES)]
        self.types = [varint(0), varint(1)]
        self.sent = 0
        self.date = b""

    def next(self, date=None):
        """One movement; `date` is the text of its date, where it is not counted from the first."""
        draw = self.random
        if self.sent % MESSAGES_PER_SECOND_OF_DATE == 0:
            at = FIRST_DATE + timedelta(seconds=self.sent // MESSAGES_PER_SECOND_OF_DATE)
            self.date = string(at.strftime("%Y-%m-%d %H:%M:%S"))
        self.sent += 1
        partition, key, customer = self.customers[int(draw() * len(self.customers))]
        payload = b"".join(
            (
                customer,
                self.agencies[int(draw() * AGENCIES)],
                double(int(draw() * 100_000) / 100),
                self.types[draw() < 0.5],
                self.date if date is None else string(date),
                double(int(draw() * 300_000) / 100),
            )
        )
        return partition, key, payload


def quiet(server):
    # What librdkafka says about queues that it leaves behind is not worth reading.
    return {"bootstrap.servers": server, "log_level": 2}


def producer(server, **settings):
    return Producer(
        {
            **quiet(server),
            "acks": "all",
            "enable.idempotence": True,
            "queue.buffering.max.messages": 1_000_000,
            **settings,
        }
    )


def ends(server, name):
    """The end offset of each partition, or None where there is no such topic or its beginning is gone."""
    consumer = Consumer({**quiet(server), "group.id": f"{name}-size"})
    try:
        if name not in consumer.list_topics(timeout=READY_SECONDS_MAX).topics:
            return None
        marks = [consumer.get_watermark_offsets(TopicPartition(name, p), timeout=10) for p in range(PARTITIONS)]
    except KafkaException:
        return None
    finally:
        consumer.close()
    return None if any(low for low, _ in marks) else [high for _, high in marks]


def create(server, name):
    topic = NewTopic(name, num_partitions=PARTITIONS, replication_factor=1, config={"retention.ms": "-1"})
    admin = AdminClient(quiet(server))
    admin.create_topics([topic])[name].result(READY_SECONDS_MAX)


def delete(server, name):
    admin = AdminClient(quiet(server))
    admin.delete_topics([name])[name].result(READY_SECONDS_MAX)


def seeded(server, seed, messages, say, customers=CUSTOMERS):
    """The name of a topic with this many messages of this seed, made now where it is not there yet."""
    name = f"compare-{seed}-{messages}" + ("" if customers == CUSTOMERS else f"-{customers}")
    movements = Movements(seed, customers)
    filled(server, name, messages, (movements.next() for _ in range(messages)), say)
    return name


def filled(server, name, messages, sent, say):
    """Makes a topic with this many messages, each a (partition, key, payload), where it is not there yet."""
    found = ends(server, name)
    if found is not None and sum(found) == messages:
        return
    if found is not None:
        delete(server, name)
    say(f"making topic {name}")
    create(server, name)
    sender = producer(server, **{"linger.ms": 20, "batch.size": 1_000_000})
    for number, (partition, key, payload) in enumerate(sent):
        while True:
            try:
                sender.produce(name, payload, key=key, partition=partition)
                break
            except BufferError:
                sender.poll(0.1)
        if number % 10_000 == 0:
            sender.poll(0)
    if sender.flush(FLUSH_SECONDS_MAX):
        raise RuntimeError(f"topic {name}: not every message was acknowledged")


FIRST_NAMES = ("Ana", "Bruno", "Carla", "Diego", "Elisa", "Fábio", "Glória", "Heitor", "Inês", "João")
LAST_NAMES = ("Almeida", "Barros", "Conceição", "Duarte", "Esteves", "Freitas", "Gonçalves", "Henriques")
ACCOUNT_COLUMNS = ("customer_id", "name", "age", "account_manager", "account_type", "credit_score")


def accounts(seed, customers=CUSTOMERS):
    """The rows of the reference table, in the order of `ACCOUNT_COLUMNS`."""
    draw = random.Random(seed)
    for customer in range(1, customers + 1):
        yield (
            customer,
            f"{draw.choice(FIRST_NAMES)} {draw.choice(LAST_NAMES)}",
            draw.randrange(18, 90),
            f"{draw.choice(FIRST_NAMES)} {draw.choice(LAST_NAMES)}",
            draw.choice(("basic", "plus", "premium")),
            draw.randrange(1001),
        )
