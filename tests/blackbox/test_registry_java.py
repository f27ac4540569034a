"""Messages that Java programs write: Kafka's own producer with the serializer of Apicurio, which registers schemas by itself.

Confluent's serializer is not on Maven Central, so it is not here. What it writes has the same frame: a zero byte and four
bytes of the id, which is what Apicurio's serializer writes by default.
"""

import datetime
import decimal
import json
import subprocess

import pytest

from harness import ROOT, Services
from schema_registry import registry_job

SECONDS_MAX = 120
PROGRAM = ROOT / "tests" / "blackbox" / "java" / "Send.java"
SERIALIZER = "io.apicurio.registry.serde.avro.AvroKafkaSerializer"
SCALE = 2

ADDRESS = {
    "type": "record",
    "name": "Address",
    "namespace": "bank.places",
    "fields": [
        {"name": "street", "type": "string"},
        {"name": "country", "type": {"type": "enum", "name": "Country", "symbols": ["BR", "PT", "DE"]}},
    ],
}
ORDER = {
    "type": "record",
    "name": "Order",
    "namespace": "bank.orders",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "is_new", "type": "boolean"},
        {"name": "ratio", "type": "float"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": SCALE}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "exactly", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "clock", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "number", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
        {"name": "address", "type": ADDRESS},
        # Named a second time.
        {"name": "billed_to", "type": ["null", "bank.places.Address"], "default": None},
        {"name": "amounts", "type": {"type": "array", "items": "double"}},
        {"name": "labels", "type": {"type": "map", "values": "string"}},
    ],
}
# What a later version of the writer has more.
NEWER = {**ORDER, "fields": [{"name": "channel", "type": "string"}, *ORDER["fields"]]}
VIEW = """
SELECT kafka_partition AS part, kafka_offset AS place, id, is_new, ratio, note, price, day, at, exactly, clock, number, hash,
  address['street'] AS street, address['country'] AS country, billed_to['country'] AS billed_country, amounts, labels
FROM batch
"""
NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


def order(n):
    """The n-th order in Avro's JSON encoding."""
    price = (n * 1000 - 12345).to_bytes(4, "big", signed=True)
    address = {"street": f"Rua das Flôres {n}", "country": "BR"}
    at = NOON + datetime.timedelta(seconds=n)
    return {
        "id": n << 33,
        "is_new": n % 2 == 0,
        "ratio": n / 4,
        "note": {"string": f"note {n}"} if n % 3 else None,
        "price": price.decode("latin-1"),
        "day": (at.date() - datetime.date(1970, 1, 1)).days + n,
        "at": int(at.timestamp() * 1000) + n,
        "exactly": int(at.timestamp()) * 1_000_000 + n,
        "clock": 1000 * n,
        "number": f"00000000-0000-4000-8000-{n:012x}",
        "hash": bytes((n, 0, 255, 128)).decode("latin-1"),
        "address": address,
        "billed_to": {"bank.places.Address": {**address, "country": "PT"}} if n % 2 else None,
        "amounts": [n / 2] * (n % 3),
        "labels": {"n": str(n), "ü": "é"} if n % 2 else {},
        "channel": "web",
    }


def stored(n):
    """The row of the n-th order."""
    at = NOON + datetime.timedelta(seconds=n)
    plain = at.replace(tzinfo=None)
    return (
        n << 33,
        int(n % 2 == 0),
        n / 4,
        f"note {n}" if n % 3 else None,
        decimal.Decimal(n * 1000 - 12345).scaleb(-SCALE),
        at.date() + datetime.timedelta(days=n),
        plain + datetime.timedelta(milliseconds=n),
        plain + datetime.timedelta(microseconds=n),
        datetime.timedelta(seconds=n),
        f"00000000-0000-4000-8000-{n:012x}",
        bytes((n, 0, 255, 128)),
        f"Rua das Flôres {n}",
        "BR",
        "PT" if n % 2 else None,
        [n / 2] * (n % 3),
        {"n": str(n), "ü": "é"} if n % 2 else {},
    )


class Java:
    """Runs the program that sends."""

    def __init__(self, environment, registry, kafka_server):
        self.java, self.serializers = environment["REGISTRY_JAVA"], environment["SERIALIZERS"]
        self.properties = {
            "bootstrap.servers": kafka_server,
            "acks": "all",
            "key.serializer": "org.apache.kafka.common.serialization.ByteArraySerializer",
            "value.serializer": SERIALIZER,
            "apicurio.registry.url": registry.url.replace("/apis/ccompat/v7", "/apis/registry/v3"),
            "apicurio.registry.auto-register": "true",
        }

    def send(self, job, topic, schema, numbers, **properties):
        """Sends these orders; returns their numbers by place."""
        job.write("writer.avsc", schema)
        names = {field["name"] for field in schema["fields"]}
        lines = [json.dumps({name: value for name, value in order(n).items() if name in names}) for n in numbers]
        properties = {**self.properties, **{name.replace("_", "."): value for name, value in properties.items()}}
        done = subprocess.run(
            [self.java, "-cp", f"{self.serializers}/*", PROGRAM, topic.name, job.folder / "writer.avsc"]
            + [f"{key}={value}" for key, value in properties.items()],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        places = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        return dict(zip(places, numbers, strict=True))


@pytest.fixture(scope="session")
def java(registry, kafka_server):
    return Java(Services().exports("serializers"), registry, kafka_server)


def java_job(new_job, topic, url):
    job = registry_job(new_job, topic, url)
    job.write("schema.avsc", ORDER)
    job.view("seen", VIEW)
    return job


def assert_orders(database, sent):
    found = {}
    for part, place, *row in database.rows("SELECT * FROM seen"):
        *plain, amounts, labels = row
        found[part, place] = (*plain, json.loads(amounts), json.loads(labels))
    assert found == {place: stored(n) for place, n in sent.items()}
    assert database.value("SELECT COUNT(*) FROM dead_letters") == 0


@pytest.mark.parametrize("dereference", ["false", "true"])
def test_all_types_that_java_writes_arrive(new_job, new_topic, database, front, java, figure, dereference):
    """Types in the record are registered as subjects of their own, to which it refers, or stay in it."""
    topic = new_topic(partitions=3)
    job = java_job(new_job, topic, front.url)
    changes = {"apicurio_registry_dereference-schema": dereference}
    sent = java.send(job, topic, ORDER, range(1, 31), **changes)
    sent |= java.send(job, topic, NEWER, range(31, 61), **changes)
    job.catch_up()
    assert_orders(database, sent)
    assert len(front.ids()) == 2
    figure(f"60 messages of two versions, {len(front.asked)} requests")
    # What the serializer has registered is a subject of this API, and is read as one file.
    pulled = json.loads(job.run("schema", "pull", f"{topic.name}-value").stdout)
    assert [field["name"] for field in pulled["fields"]] == [field["name"] for field in NEWER["fields"]]
    checked = job.run("schema", "check")
    assert "has the field `channel`, which avro_schema does not have" in checked.stderr, checked.stderr


def test_ids_in_headers_of_apicurio_are_dead_letters(new_job, new_topic, database, front, java):
    """docs/registry.md says to leave that setting off: the payload then has no frame."""
    topic = new_topic(partitions=3)
    job = java_job(new_job, topic, front.url)
    sent = java.send(job, topic, ORDER, range(1, 21), **{"apicurio_registry_headers_enabled": "true"})
    job.catch_up()
    reasons = [row[0] for row in database.rows("SELECT reason FROM dead_letters")]
    assert len(reasons) == len(sent)
    assert all("a Confluent payload starts with 00" in reason for reason in reasons), reasons
    assert front.ids() == []
