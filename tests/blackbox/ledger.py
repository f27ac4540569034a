"""What the shipped job must have written: calculated from what is in the topic, one message after the other.

A customer's movements that come by several partitions may be taken in any order that keeps each partition's. Which it
was, the rows themselves say (`movements_before`): it is checked to be such an order, and the calculation follows it.
"""

import math
import re
from collections import Counter, defaultdict
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, TopicPartition

import rules
from avro import Broken
from framing import Raw
from harness import ROOT, unique
from shipped import following, shipped_config, shipped_job

# What the table takes of an agency: the first is found before a statement is sent, the second by the server.
AGENCY_CHARACTERS_MAX = 8
REFUSED_AGENCY = "refused"

# An output that is written by key, beside those that ship.
LATEST_VIEW = """
SELECT customer, kafka_partition, kafka_offset, movements
FROM (
  SELECT a.*, row_number() OVER (
    PARTITION BY a.customer ORDER BY a.kafka_topic DESC, a.kafka_partition DESC, a.kafka_offset DESC) AS place
  FROM account_history a
)
WHERE place = 1
"""
LATEST_OUTPUT = "  latest_movements: { table: latest_movements, mode: upsert, key: customer }\n"

CLASSIFIED = (
    "SELECT kafka_partition, kafka_offset, customer, movements_before, refused_in_a_row_before, previous_movement,"
    " previous_balance, name, agency, operation_type, operation_value, account_balance, date, movement, reaction"
    " FROM classified_movements"
)
REACTIONS = "SELECT kafka_partition, kafka_offset, customer, date, movement, reaction FROM reactions"
STATE = (
    "SELECT customer, movements, deposits, deposited, withdrawals, withdrawn, refused, refused_in_a_row,"
    " last_movement, last_balance FROM account_state"
)
LATEST = "SELECT customer, kafka_partition, kafka_offset, movements FROM latest_movements"

EXAMPLES_MAX = 10
READ_SECONDS_MAX = 60


def audited_config(job, lanes=1, follows=None, ttl=None, **changes):
    """The text of a configuration of the job that can be audited. With several lanes its state follows the partitions;
    with one lane it does so if `follows` is true. `ttl` is that of the state."""
    text = shipped_config(job, write_connections=lanes, **changes) + LATEST_OUTPUT
    text = re.sub(r"(?m)^( *ttl:) null", rf"\1 {ttl or 'null'}", text)
    return following(text, follows=lanes > 1 if follows is None else follows)


def audited_job(new_job, topic, **changes):
    """The shipped job with an output by key, its tables made, and limits on one as an administrator may have set them."""
    job = shipped_job(new_job, topic)
    job.view("latest_movements", LATEST_VIEW)
    job.write("config.yaml", audited_config(job, **changes))
    job.catch_up()
    job.database.execute(
        f"ALTER TABLE classified_movements MODIFY agency VARCHAR({AGENCY_CHARACTERS_MAX}), "
        f"ADD CONSTRAINT served CHECK (agency <> '{REFUSED_AGENCY}')"
    )
    job.database.close()
    return job


def audit(job):
    """What differs between the job's tables and a calculation over its topic, as lines of text."""
    reader = TopicReader(job.topic.server, job.topic.name)
    ends = reader.read()
    return Ledger(reader.messages, ends).compare(job.database, job.name)


def partition_ends(consumer, name):
    """The end of each partition."""
    partitions = sorted(consumer.list_topics(name, timeout=30).topics[name].partitions)
    return {p: consumer.get_watermark_offsets(TopicPartition(name, p), timeout=30)[1] for p in partitions}


def topic_size(server, name):
    """The sum of the ends of all partitions."""
    return sum(topic_ends(server, name).values())


def topic_ends(server, name):
    """The end of each partition of a topic."""
    consumer = Consumer({"bootstrap.servers": server, "group.id": unique("ledger")})
    try:
        return partition_ends(consumer, name)
    finally:
        consumer.close()


class TopicReader:
    """Reads a topic piece by piece and keeps its messages, so that they are known after Kafka has deleted them."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        # (partition, offset) -> payload, and whether the names of all headers can be read
        self.messages = {}
        # Each partition was read up to here.
        self.next_offsets = {}

    @contextmanager
    def _consumer(self):
        # Why a new one each time: a client that did nothing while its broker was away may stay without a connection.
        consumer = Consumer(
            {
                "bootstrap.servers": self.server,
                "group.id": unique("ledger"),
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "log_level": 2,
            }
        )
        try:
            yield consumer
        finally:
            consumer.close()

    def first_offsets(self, partitions):
        """The first offset of each partition that Kafka still has."""
        with self._consumer() as consumer:
            first = {}
            for partition in partitions:
                place = TopicPartition(self.name, partition)
                first[partition], _ = consumer.get_watermark_offsets(place, timeout=30)
            return first

    def read(self):
        """Reads all partitions to their ends, or to the first message of a transaction that is open. Returns the ends."""
        with self._consumer() as consumer:
            return self._read(consumer)

    def _read(self, consumer):
        ends = partition_ends(consumer, self.name)
        starts = [TopicPartition(self.name, p, self.next_offsets.get(p, 0)) for p in ends]
        consumer.assign(starts)
        left = {p for p in ends if self.next_offsets.get(p, 0) < ends[p]}
        while left:
            message = consumer.poll(READ_SECONDS_MAX)
            if message is None:
                raise AssertionError(f"the topic could not be read to its end: {sorted(left)} are left")
            error = message.error()
            if error and error.code() == KafkaError._PARTITION_EOF:
                self.next_offsets[message.partition()] = message.offset()
                left.discard(message.partition())
            elif error and error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise AssertionError(f"messages were deleted before they were read: {error}")
            elif not error:
                found = message.value(), message.key() != UNREADABLE_HEADERS_KEY
                self.messages[message.partition(), message.offset()] = found
        return ends


# The key of messages with header names that are not UTF-8. The client library fails on such names, so a message says it here.
UNREADABLE_HEADERS_KEY = b"\xff unreadable headers"

def judged(payload, framing):
    """The movement that a message is, or the stage at which it becomes a dead letter."""
    try:
        movement = framing.decode(payload or b"")
    except Broken:
        return None, "decode"
    if not math.isfinite(movement["operation_value"]):
        return None, "sql"
    if movement["agency"] == REFUSED_AGENCY or len(movement["agency"]) > AGENCY_CHARACTERS_MAX:
        return None, "write"
    return movement, None


class Ledger:
    """Compares everything that a job has written with the messages of its topic."""

    def __init__(self, messages, ends, framing=None):
        self.messages, self.ends = messages, ends
        self.movements, self.dead = {}, {}
        framing = framing or Raw()
        for place, (payload, is_readable) in messages.items():
            movement, stage = judged(payload, framing) if is_readable else (None, "decode")
            if movement is None:
                self.dead[place] = (stage, payload)
            else:
                self.movements[place] = movement
        self.known = rules.accounts(ROOT / "data" / "accounts.csv")
        self.differences = []

    def compare(self, database, job):
        """What differs, as lines of text; none where all is as it must be."""
        self.differences = []
        self._same("offsets", self.ends.items(), self._offsets(database, job))
        dead = "SELECT kafka_partition, kafka_offset, stage, payload FROM dead_letters WHERE job = %s"
        self._same("dead letters", [(*place, *letter) for place, letter in self.dead.items()], database.rows(dead, job))
        classified = database.rows(CLASSIFIED)
        accounts = self._accounts(classified)
        self._same("classified_movements", self._expected_rows(accounts), classified)
        self._same("reactions", self._expected_reactions(), database.rows(REACTIONS))
        self._same("account_state", accounts.state(), database.rows(STATE))
        self._same("latest_movements", self._expected_latest(accounts), database.rows(LATEST))
        return self.differences

    def _same(self, what, expected, found):
        expected, found = Counter(map(tuple, expected)), Counter(map(tuple, found))
        for word, rows in (("missing", expected - found), ("too much", found - expected)):
            if rows:
                self.differences.append(f"{what}: {rows.total()} rows {word} of {expected.total()} expected")
                shown = sorted(rows.items(), key=repr)[:EXAMPLES_MAX]
                self.differences += [f"  {row} {f'{n} times' if n > 1 else ''}".rstrip() for row, n in shown]

    @staticmethod
    def _offsets(database, job):
        rows = "SELECT kafka_partition, next_offset FROM realtime_offsets WHERE job = %s"
        return database.rows(rows, job)

    def _accounts(self, classified):
        """Every customer's movements, in the order in which the job has taken them."""
        order = defaultdict(list)
        for partition, offset, customer, movements_before, *_ in classified:
            order[customer].append((movements_before, partition, offset))
        accounts = rules.Accounts()
        for customer, taken in sorted(order.items()):
            taken.sort()
            if [number for number, _, _ in taken] != list(range(len(taken))):
                twice = [n for n, count in Counter(n for n, _, _ in taken).items() if count > 1]
                self.differences.append(
                    f"customer {customer}: its {len(taken)} movements are not numbered one after the other; "
                    f"numbers that occur twice: {twice[:EXAMPLES_MAX]}"
                )
            last = {}
            for number, partition, offset in taken:
                if last.get(partition, -1) > offset:
                    self.differences.append(
                        f"customer {customer}: movement {number}, at {partition}/{offset}, was taken after "
                        f"{partition}/{last[partition]}"
                    )
                last[partition] = offset
                if (partition, offset) in self.movements:
                    accounts.add((partition, offset), self.movements[partition, offset])
        return accounts

    def _expected_rows(self, accounts):
        for place, movement in self.movements.items():
            before = accounts.before.get(place, (movement["customer"], None, None, None, None))
            account = self.known.get(movement["customer"])
            found = rules.reactions(movement, account)
            yield (
                *place,
                *before,
                account["name"] if account else None,
                movement["agency"],
                movement["operation_type"],
                movement["operation_value"],
                movement["account_balance"],
                movement["date"],
                "/".join(rules.MOVEMENT_OF[reaction] for reaction in found) or None,
                "/".join(found) or None,
            )

    def _expected_reactions(self):
        for place, movement in self.movements.items():
            for reaction in rules.reactions(movement, self.known.get(movement["customer"])):
                yield *place, movement["customer"], movement["date"], rules.MOVEMENT_OF[reaction], reaction

    @staticmethod
    def _expected_latest(accounts):
        last = {}
        for place, (customer, movements_before, *_) in accounts.before.items():
            if movements_before >= last.get(customer, (-1,))[0]:
                last[customer] = (movements_before, place)
        for customer, (movements_before, place) in last.items():
            yield customer, *place, movements_before + 1
