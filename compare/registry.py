"""Messages of three writers, each with a version of the schema of its own: with ids that a schema registry has, beside the same
messages with ids from files."""

import json
import struct

from avro import read_varint, string, varint
from compare import topic as topics
from compare.ours import SCHEMA, Project
from compare.run import Failed, catch_up
from harness import yaml_of
from schema_registry import Front, NoJava, Registry

SUBJECT, REFERRED_SUBJECT = "compare-movements-value", "compare-fees"
FEE = {"type": "record", "name": "Fee", "namespace": "bank.fees", "fields": [{"name": "cents", "type": "long"}]}
CHANNEL = {"name": "channel", "type": "string"}
# How a record of the reader's schema becomes one of each writer: what precedes it and what follows it.
EXTRAS = ((b"", b""), (string("branch"), b""), (b"", varint(250)))
# What precedes the value that is added up: the agency of four digits, with its length.
AGENCY_BYTES = 5


def writers_schemas(fee):
    """The schemas of the writers; `fee` is how the third one names the type of its own field."""
    reader = json.loads(SCHEMA.read_text(encoding="utf-8"))
    fields = reader["fields"]
    return (
        reader,
        {**reader, "fields": [CHANNEL, *fields]},
        {**reader, "fields": [*fields, {"name": "fee", "type": fee}]},
    )


def registered(registry):
    """The ids of the writers' schemas; the third refers to another subject."""
    registry.register(REFERRED_SUBJECT, FEE)
    name = f"{FEE['namespace']}.{FEE['name']}"
    first, second, third = writers_schemas(name)
    return (
        registry.register(SUBJECT, first),
        registry.register(SUBJECT, second),
        registry.register(SUBJECT, third, (name, REFERRED_SUBJECT, 1)),
    )


def mixed(seed, messages, ids):
    """(partition, key, payload, cents) of each message: the writers take turns."""
    movements = topics.Movements(seed)
    heads = [b"\0" + number.to_bytes(4, "big") for number in ids]
    for number in range(messages):
        partition, key, record = movements.next()
        writer = number % len(ids)
        before, after = EXTRAS[writer]
        _, at = read_varint(record, 0, 32)
        (value,) = struct.unpack_from("<d", record, at + AGENCY_BYTES)
        yield partition, key, heads[writer] + before + record + after, round(value * 100)


def filled(bench, messages, ids):
    """The topic, which is made if it is not there yet; and what the rows add up to: values in cents, and offsets."""
    name = f"compare-registry-{bench.seed}-{messages}-{'-'.join(map(str, ids))}"
    cents, counts = 0, [0] * topics.PARTITIONS

    def counted():
        nonlocal cents
        for partition, key, payload, of_message in mixed(bench.seed, messages, ids):
            cents += of_message
            counts[partition] += 1
            yield partition, key, payload

    sent = counted()
    topics.filled(bench.kafka, name, messages, sent, bench.say)
    # If the topic was there, the messages are only added up.
    for _ in sent:
        pass
    return name, (cents, sum(count * (count - 1) // 2 for count in counts))


def measure_registry(bench, _):
    """A million messages of three versions of a schema, with ids from a registry and from files."""
    try:
        registry = Registry.started()
    except NoJava as error:
        raise Failed(f"the registry needs Java: {error}") from error
    ids, front = registered(registry), Front(registry)
    topic, sums = filled(bench, bench.messages // 2, ids)
    files = {}
    for number, schema in zip(ids, writers_schemas(FEE), strict=True):
        file = bench.folder / f"writer-{number}.avsc"
        file.write_text(json.dumps(schema), encoding="utf-8")
        files[number] = str(file)
    framing = {"avro_framing": "confluent"}
    variants = {
        "registry": Project(config={**framing, "schema_registry": {"url": front.url}}),
        "files": Project(config={**framing, "writer_schemas": files}),
    }
    bench.say("a run that is not counted")
    catch_up(bench, bench.sides["ours"].project(topic, variants["files"]), topic)
    for name, variant in bench.rounds(variants):
        front.asked.clear()
        job = bench.sides["ours"].project(topic, variant)
        found = catch_up(bench, job, topic)
        right_values(bench, sums)
        wanted = sorted(ids) if name == "registry" else []
        if front.ids() != wanted:
            raise Failed(f"the ids {front.ids()} were asked for, expected {wanted}\n{yaml_of(variant.config)}")
        job.forget()
        bench.add(f"{name}.rate", found.rate)
        bench.add(f"{name}.rate_with_start", found.rate_with_start)
    front.close()


def right_values(bench, sums):
    """The rows are those of the messages, and not only those that the other variant has written."""
    *_, cents, offsets = bench.tables.content()
    if (cents, offsets) != sums:
        raise Failed(f"values and offsets add up to {(cents, offsets)}, expected {sums}")
