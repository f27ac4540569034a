"""How the movements of a run are framed: as plain records, with the id of one schema that a file has, or with the ids of many
schemas that only a registry has. Each framing writes a movement, and reads strictly what it wrote."""

import json
import random
import re
import time

from avro import Broken, customer_movement, read_strictly, string
from harness import ROOT
from schema_registry import Served

FIELDS = {
    "customer": "long",
    "agency": "string",
    "operation_value": "double",
    "operation_type": "long",
    "date": "string",
    "account_balance": "double",
}
SCHEMA_FILE = "schemas/customer.avsc"
CONFLUENT_ID = 7
# Ids of schemas that the failing registry has.
FIRST_ID, SCHEMAS_MAX = 1_000, 1 << 20
# After this many messages, a writer has a new schema.
MESSAGES_PER_SCHEMA = 400
# How many of the newest schemas are in use at the same time.
SCHEMAS_IN_USE = 3
REFERRED_SUBJECT = "extras"
EXTRA = "extra"


class Raw:
    name = "raw"
    # What the configuration needs to read it.
    config = {"avro_framing": "raw"}

    def encode(self, movement, _number=0):
        """The payload of a movement; `number` counts the messages of a writer."""
        return customer_movement(movement)

    def decode(self, payload):
        """The movement, or `Broken`."""
        return dict(zip(FIELDS, read_strictly(FIELDS.values(), payload), strict=True))

    def unknown(self, number, movement):
        """A payload that names a schema which nobody knows; `number` is less than 2^31."""
        return confluent(CONFLUENT_ID + 1 + number) + customer_movement(movement)


class Confluent(Raw):
    name = "confluent"
    config = {"avro_framing": "confluent", "writer_schemas": {CONFLUENT_ID: SCHEMA_FILE}}
    head = b"\0" + CONFLUENT_ID.to_bytes(4, "big")

    def encode(self, movement, _number=0):
        return self.head + super().encode(movement)

    def decode(self, payload):
        if not payload.startswith(self.head):
            raise Broken("another schema")
        return super().decode(payload[len(self.head) :])


class Registered(Raw):
    """Every schema has a field of its own, before the others or after them; that of every third refers to another schema."""

    name = "registry"

    def __init__(self, registry):
        self.config = {"avro_framing": "confluent", "schema_registry": {"url": registry.url, "timeout": "300ms"}}

    def encode(self, movement, number=0):
        newest = number // MESSAGES_PER_SCHEMA
        schema = FIRST_ID + max(0, newest - number % SCHEMAS_IN_USE)
        extra, record = string(f"n{number}"), customer_movement(movement)
        return confluent(schema) + (extra + record if is_extra_first(schema) else record + extra)

    def decode(self, payload):
        schema = int.from_bytes(payload[1:5], "big")
        if payload[:1] != b"\0" or len(payload) < 5 or not is_known(schema):
            raise Broken("another schema")
        names = (EXTRA, *FIELDS) if is_extra_first(schema) else (*FIELDS, EXTRA)
        kinds = {**FIELDS, EXTRA: "string"}
        found = dict(zip(names, read_strictly([kinds[name] for name in names], payload[5:]), strict=True))
        return {name: found[name] for name in FIELDS}

    def unknown(self, number, movement):
        return confluent(FIRST_ID + SCHEMAS_MAX + number) + customer_movement(movement)


def confluent(schema):
    return b"\0" + schema.to_bytes(4, "big")


def is_known(schema):
    return FIRST_ID <= schema < FIRST_ID + SCHEMAS_MAX


def is_extra_first(schema):
    return schema % 2 == 0


class FailingRegistry(Served):
    """A registry that has all schemas of `Registered`. Two of five answers are none, and now and then it is away for some
    seconds; when, follows from the seed."""

    FAULTS = (500, 503, 429, 407, "cut", "half", "html", "slow", *[None] * 12)
    GAP_SECONDS, AWAY_SECONDS = (5, 25), (1, 8)

    def __init__(self, seed):
        super().__init__()
        self.rng = random.Random(seed)
        self.fields = json.loads((ROOT / SCHEMA_FILE).read_text(encoding="utf-8"))
        self.fault = self.next_fault
        self.failed = 0
        self.away_from = time.monotonic() + self.rng.uniform(*self.GAP_SECONDS)
        self.away_until = self.away_from + self.rng.uniform(*self.AWAY_SECONDS)

    def next_fault(self):
        now = time.monotonic()
        if now >= self.away_until:
            self.away_from = now + self.rng.uniform(*self.GAP_SECONDS)
            self.away_until = self.away_from + self.rng.uniform(*self.AWAY_SECONDS)
        fault = "cut" if now >= self.away_from else self.rng.choice(self.FAULTS)
        self.failed += fault is not None
        return fault

    def found(self, request):
        path = request.path.partition("?")[0]
        if (found := re.fullmatch(r"/schemas/ids/(\d+)", path)) and is_known(int(found[1])):
            return 200, self.schema(int(found[1]))
        if found := re.fullmatch(rf"/subjects/{REFERRED_SUBJECT}/versions/(\d+)", path):
            return 200, {"subject": REFERRED_SUBJECT, "version": int(found[1]), "id": 1, "schema": json.dumps(referred(found[1]))}
        return 404, {"error_code": 40403, "message": "Schema not found"}

    def schema(self, number):
        is_reference = number % 3 == 0
        extra = {"name": f"extra_{number}", "type": f"extras.E{number}" if is_reference else "string"}
        fields = self.fields["fields"]
        fields = [extra, *fields] if is_extra_first(number) else [*fields, extra]
        answer = {"schema": json.dumps({**self.fields, "fields": fields})}
        if is_reference:
            answer["references"] = [{"name": extra["type"], "subject": REFERRED_SUBJECT, "version": number}]
        return answer


def referred(number):
    """A record that is written as the text in it is."""
    fields = [{"name": "text", "type": "string"}]
    return {"type": "record", "name": f"E{number}", "namespace": "extras", "fields": fields}
