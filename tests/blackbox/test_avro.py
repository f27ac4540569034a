"""Messages written by fastavro, with every type, arrive in MySQL with the right values, and the other way round."""

import io
import json
import random
import struct
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import fastavro
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.serialization import IntegerSerializer, StringSerializer

from avro import varint

ROWS = 3000


def logical(kind, logical_type, **more):
    return {"type": kind, "logicalType": logical_type, **more}


TYPES = {
    "nothing": "null",
    "yes": "boolean",
    "i": "int",
    "l": "long",
    "f": "float",
    "d": "double",
    "raw": "bytes",
    "text": "string",
    "maybe": ["null", "string"],
    "maybe_last": ["string", "null"],
    "maybe_long": ["null", "long"],
    "color": {"type": "enum", "name": "Color", "symbols": ["RED", "GREEN", "BLUE"]},
    "pair": {"type": "record", "name": "Pair", "fields": [{"name": "a", "type": "int"},
             {"name": "deep", "type": ["null", {"type": "record", "name": "Deep", "fields": [
                 {"name": "s", "type": "string"}]}]}]},
    "list": {"type": "array", "items": "int"},
    "list_maybe": {"type": "array", "items": ["null", "string"]},
    "counts": {"type": "map", "values": "long"},
    "four": {"type": "fixed", "name": "Four", "size": 4},
    "money": logical("bytes", "decimal", precision=12, scale=2),
    "big_money": logical("fixed", "decimal", name="Big", size=16, precision=38, scale=10),
    "day": logical("int", "date"),
    "t_ms": logical("int", "time-millis"),
    "t_us": logical("long", "time-micros"),
    "ts_ms": logical("long", "timestamp-millis"),
    "ts_us": logical("long", "timestamp-micros"),
    "lts_ms": logical("long", "local-timestamp-millis"),
    "lts_us": logical("long", "local-timestamp-micros"),
    "id": logical("string", "uuid"),
}  # fmt: skip
SCHEMA = {"type": "record", "name": "Every", "fields": [{"name": n, "type": t} for n, t in TYPES.items()]}
TEXTS = ["", "plain", "José", "日本 🍰", "tab\there", "line\nbreak\r\n", "back\\slash \\N \\0", "quote ' \" `", "nul\0!", "NULL",
         "\\N", " spaces ", ",;|"]  # fmt: skip


def encode(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


def random_record(rng, n):
    micros = rng.randrange(-30_000_000_000_000_000, 200_000_000_000_000_000)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    whole_ms = micros // 1000 * 1000
    money = rng.choice([0, 1, -1, 10**12 - 1, -(10**12) + 1, rng.randrange(-(10**12), 10**12)])
    big = rng.choice([0, 10**38 - 1, -(10**38) + 1, rng.randrange(-(10**38), 10**38)])
    in_day = rng.randrange(86_400_000_000)
    as_time = (datetime.min + timedelta(microseconds=in_day)).time()
    return {
        "nothing": None,
        "yes": rng.random() < 0.5,
        "i": rng.choice([0, -1, 2**31 - 1, -(2**31), n]),
        "l": n if n % 2 else rng.choice([0, -1, 2**63 - 1, -(2**63), rng.randrange(-(2**63), 2**63)]),
        "f": struct.unpack("<f", struct.pack("<f", rng.choice([0.0, 1.5, -0.1, 3.4e38, 1e-30, rng.uniform(-9, 9)])))[0],
        "d": rng.choice([0.0, -1.5, 0.1, 1e300, -1e-300, 2**53 + 2.0, rng.uniform(-1e9, 1e9)]),
        "raw": bytes(range(256)) if n % 50 == 0 else rng.randbytes(rng.randrange(20)),
        "text": f"{n} {rng.choice(TEXTS)}",
        "maybe": rng.choice([None, *TEXTS]),
        "maybe_last": rng.choice([None, *TEXTS]),
        "maybe_long": rng.choice([None, 0, n]),
        "color": rng.choice(["RED", "GREEN", "BLUE"]),
        "pair": {"a": n, "deep": rng.choice([None, {"s": rng.choice(TEXTS)}])},
        "list": [rng.randrange(-99, 99) for _ in range(rng.randrange(5))],
        "list_maybe": [rng.choice([None, *TEXTS]) for _ in range(rng.randrange(3))],
        "counts": {f"k{i} é": rng.randrange(-(2**53), 2**53) for i in range(rng.randrange(3))},
        "four": rng.randbytes(4),
        "money": Decimal(money).scaleb(-2),
        "big_money": Decimal((0 if big >= 0 else 1, tuple(map(int, str(abs(big)))), -10)),
        "day": date(1970, 1, 1) + timedelta(days=rng.randrange(-300_000, 2_000_000)),
        "t_ms": as_time.replace(microsecond=as_time.microsecond // 1000 * 1000),
        "t_us": as_time,
        "ts_ms": epoch + timedelta(microseconds=whole_ms),
        "ts_us": epoch + timedelta(microseconds=micros),
        "lts_ms": (epoch + timedelta(microseconds=whole_ms)).replace(tzinfo=None),
        "lts_us": (epoch + timedelta(microseconds=micros)).replace(tzinfo=None),
        "id": uuid.UUID(int=rng.getrandbits(128)),
    }


def as_seen(value):
    """What Python's driver gives for a value in the column its type has."""
    match value:
        case bool():
            return int(value)
        case datetime():
            return value.replace(tzinfo=None)
        case time():
            return timedelta(hours=value.hour, minutes=value.minute, seconds=value.second,
                             microseconds=value.microsecond)  # fmt: skip
        case uuid.UUID():
            return str(value)
    return value


def check_row(row, record):
    for name, kind in TYPES.items():
        got, want = row[name], as_seen(record[name])
        if name == "nothing":
            assert got == 1
        elif name == "f":
            assert got == pytest.approx(want, rel=1e-6), name
        elif kind in ("bytes",) or name == "four":
            assert bytes(got) == want, name
        elif name in ("pair", "list", "list_maybe", "counts"):
            assert json.loads(got) == want, name
        elif name == "id" and isinstance(got, bytes):
            assert str(uuid.UUID(bytes=got)) == want
        else:
            assert got == want, name


def selected():
    special = {"nothing": "nothing IS NULL AS nothing"}
    return ", ".join(special.get(name, name) for name in TYPES)


def test_every_type(new_job, new_topic, database):
    rng = random.Random(11)
    topic = new_topic(partitions=2)
    job = new_job(topic, outputs={"every": {"table": "every", "mode": "append"}}, batch_rows_max=1000)
    job.write("schema.avsc", SCHEMA)
    job.view("every", f"SELECT kafka_partition AS p, kafka_offset AS o, kafka_timestamp AS at, {selected()} FROM batch")
    schema = fastavro.parse_schema(SCHEMA)
    sent = {}
    for n in range(ROWS):
        record = random_record(rng, n)
        sent[topic.send(encode(schema, record), timestamp=1_700_000_000_123 + n)] = (n, record)
    topic.flush()
    job.catch_up()
    assert database.rows("SELECT stage, place, reason FROM dead_letters LIMIT 3") == []
    columns = ", ".join("CAST(f AS DOUBLE) AS f" if name == "f" else f"`{name}`" for name in TYPES)
    rows = database.dicts(f"SELECT p, o, `at`, {columns} FROM `every`")
    assert len(rows) == ROWS
    for row in rows:
        n, record = sent.pop((row["p"], row["o"]))
        at = datetime.fromtimestamp(1_700_000_000, UTC) + timedelta(milliseconds=123 + n)
        assert row["at"] == at.replace(tzinfo=None)
        check_row(row, record)
    assert not sent


def test_nested_values_in_sql(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = new_job(topic, outputs={"parts": {"table": "parts", "mode": "append"}})
    job.write("schema.avsc", SCHEMA)
    job.view(
        "parts",
        """
        SELECT pair['a'] AS a, pair['deep']['s'] AS s, list[1] AS first, array_length(list) AS many, color = 'RED' AS red,
               money * 2 AS doubled, CAST(ts_us AS DATE) AS day, upper(text) AS loud
        FROM batch
        """,
    )
    rng = random.Random(3)
    schema = fastavro.parse_schema(SCHEMA)
    records = [random_record(rng, n) for n in range(200)]
    topic.send_all(encode(schema, record) for record in records)
    job.catch_up()
    rows = {row[0]: row[1:] for row in database.rows("SELECT a, s, first, many, red, doubled, day, loud FROM parts")}
    for n, r in enumerate(records):
        s, first, many, red, doubled, day, loud = rows[n]
        assert s == (r["pair"]["deep"] or {}).get("s")
        assert first == (r["list"][0] if r["list"] else None)
        assert (many or 0) == len(r["list"])
        assert (bool(red), doubled, day, loud) == (r["color"] == "RED", r["money"] * 2, r["ts_us"].date(),
                                                   r["text"].upper())  # fmt: skip


def test_a_general_union(new_job, new_topic, database):
    """Each branch is a field of its own, and the table has them as JSON."""
    topic = new_topic(partitions=1)
    job = new_job(topic, outputs={"v": {"table": "v", "mode": "append"}})
    union = {"name": "either", "type": ["null", "string", "long", {"type": "array", "items": "int"}]}
    record = {"type": "record", "name": "R", "fields": [union]}
    job.write("schema.avsc", record)
    job.view("v", "SELECT kafka_offset AS o, either FROM batch")
    schema = fastavro.parse_schema(record)
    values = [None, "text", 5, [1, 2], ""]
    topic.send_all(encode(schema, {"either": value}) for value in values)
    job.catch_up()
    for value, (text,) in zip(values, database.rows("SELECT either FROM v ORDER BY o"), strict=True):
        branches = json.loads(text) if text is not None else {}
        assert [found for found in branches.values() if found is not None] == ([] if value is None else [value])


KEY = {"type": "record", "name": "Key", "fields": [{"name": "id", "type": "long"}, {"name": "area", "type": "string"}]}
KEY_FORMATS = {
    "bytes": (lambda n: struct.pack("<I", n % 2**32), [0, 1, 2**31], None),
    "text": (lambda text: StringSerializer("utf_8")(text, None), ["", "José", "日本 🍰", "nul\0!", "0"], b"\xff\xfe"),
    "int": (lambda n: IntegerSerializer()(n, None), [0, -1, 7, 2**31 - 1, -(2**31)], struct.pack(">q", 7)),
    "long": (lambda n: struct.pack(">q", n), [0, -1, 2**63 - 1, -(2**63)], struct.pack(">i", 7)),
    "avro": (lambda key: encode(KEY, key), [{"id": -7, "area": "José"}, {"id": 2**62, "area": ""}], b"\x02"),
}


@pytest.mark.parametrize("key_format", KEY_FORMATS)
def test_keys_of_other_clients(new_job, new_topic, database, key_format):
    """Keys as other clients write them, messages without one, and keys that do not fit."""
    write, values, broken = KEY_FORMATS[key_format]
    topic = new_topic(partitions=1)
    schema = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]}
    config = {"avro_key_schema": "key.avsc"} if key_format == "avro" else {}
    outputs = {"seen": {"table": "seen", "mode": "append"}}
    job = new_job(topic, outputs=outputs, key_format=key_format, **config)
    job.write("schema.avsc", schema)
    job.write("key.avsc", KEY)
    column = "kafka_key.id AS id, kafka_key.area AS k" if key_format == "avro" else "kafka_offset AS id, kafka_key AS k"
    job.view("seen", f"SELECT n, {column} FROM batch")
    keys = [None, *map(write, values)]
    for n, key in enumerate(keys):
        topic.send(encode(schema, {"n": n}), key=key)
    if broken is not None:
        topic.send(encode(schema, {"n": 99}), key=broken)
    topic.flush()
    job.catch_up()
    rows = {n: (i, k) for n, i, k in database.rows("SELECT n, id, k FROM seen")}
    assert len(rows) == len(keys) and rows[0][1] is None
    for n, value in enumerate(values, 1):
        found = rows[n][1]
        if key_format == "bytes":
            assert bytes(found) == keys[n]
        elif key_format == "avro":
            assert rows[n] == (value["id"], value["area"])
        else:
            assert found == value
    letters = database.rows("SELECT kafka_key, stage, place, reason FROM dead_letters")
    if broken is None:
        assert letters == []
        return
    ((key, stage, place, reason),) = letters
    assert (bytes(key), stage, place) == (broken, "decode", "kafka_key")
    assert reason.startswith("kafka_key"), reason
    # As bytes they all come in.
    job.view("seen", "SELECT n, kafka_offset AS id FROM batch")
    job.write_config(key_format="bytes", avro_key_schema=None)
    job.run("dead-letters", "replay", "--all", "--yes")
    assert database.value("SELECT COUNT(*) FROM seen WHERE n = 99") == 1


@pytest.mark.parametrize("key_format", ["text", "int", "long", "avro"])
def test_keys_for_other_clients(new_job, new_topic, key_format):
    """What `produce` writes, another client reads."""
    topic = new_topic(partitions=1)
    config = {"avro_key_schema": "key.avsc"} if key_format == "avro" else {}
    job = new_job(topic, key_format=key_format, **config)
    fields = [("id", "int"), ("area", "string")]
    job.write("schema.avsc", {"type": "record", "name": "R", "fields": [{"name": n, "type": t} for n, t in fields]})
    job.write("key.avsc", KEY)
    job.view("seen", "SELECT kafka_key.id AS id FROM batch" if key_format == "avro" else "SELECT kafka_key AS id FROM batch")
    job.write("two.json", [{"id": 7, "area": "José"}, {"id": -1, "area": ""}])
    job.run("produce", "two.json", *([] if key_format == "avro" else ["--key", "id"]))
    consumer = Consumer({"bootstrap.servers": topic.server, "group.id": "keys", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic.name, 0, 0)])
    keys = [message.key() for message in consumer.consume(2, timeout=30)]
    consumer.close()
    expected = {
        "text": [b"7", b"-1"],
        "int": [struct.pack(">i", 7), struct.pack(">i", -1)],
        "long": [struct.pack(">q", 7), struct.pack(">q", -1)],
        "avro": [encode(KEY, {"id": 7, "area": "José"}), encode(KEY, {"id": -1, "area": ""})],
    }
    assert keys == expected[key_format]
    # A value that is no such key stops the command before anything is sent.
    if key_format in ("int", "long"):
        refused = job.run("produce", "two.json", "--key", "area", expect=1)
        assert "kafka_key: found" in refused.stderr and "nothing was sent" in refused.stderr


READER = {
    "type": "record",
    "name": "Person",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "surname", "type": "string", "aliases": ["last_name"]},
        {"name": "height", "type": "double"},
        {"name": "points", "type": "double"},
        {"name": "country", "type": "string", "default": "unknown é"},
        {"name": "note", "type": ["null", "string"], "default": None},
        {"name": "level", "type": "int", "default": 7},
        {
            "name": "grade",
            "type": {"type": "enum", "name": "Grade", "symbols": ["A", "B", "OTHER"], "default": "OTHER"},
        },
    ],
}
OLD_WRITER = {
    "type": "record",
    "name": "Person",
    "fields": [
        {"name": "dropped", "type": {"type": "array", "items": "string"}},
        {"name": "points", "type": "int"},
        {"name": "last_name", "type": "string"},
        {"name": "height", "type": "float"},
        {"name": "note", "type": "string"},
        {"name": "grade", "type": {"type": "enum", "name": "Grade", "symbols": ["C", "B", "A"]}},
        {"name": "id", "type": "int"},
    ],
}
VIEW_PEOPLE = "SELECT id, surname, height, points, country, note, level, grade FROM batch"


def old_person(n):
    return {"dropped": ["x"] * (n % 3), "points": -n, "last_name": f"Łąg {n}", "height": n / 2, "note": f"note {n}",
            "grade": "CBA"[n % 3], "id": n}  # fmt: skip


def new_person(n):
    return {"id": n + 2**40, "surname": f"new {n}", "height": 0.1 * n, "points": 1e9 + n, "country": "PT",
            "note": None, "level": n, "grade": "AB"[n % 2]}  # fmt: skip


def expected_people(old, new):
    rows = [(n, f"Łąg {n}", n / 2, float(-n), "unknown é", f"note {n}", 7, ["OTHER", "B", "A"][n % 3]) for n in old]
    return rows + [tuple(new_person(n).values()) for n in new]


def people_job(new_job, topic, **config):
    job = new_job(topic, outputs={"people": {"table": "people", "mode": "append"}}, **config)
    job.write("schema.avsc", READER)
    job.write("old.avsc", OLD_WRITER)
    job.view("people", VIEW_PEOPLE)
    return job


def people(job):
    letters = job.database.rows("SELECT place, reason FROM dead_letters LIMIT 3")
    assert letters == []
    return job.database.rows("SELECT id, surname, height, points, country, note, level, grade FROM people ORDER BY id")


def test_raw_messages_of_an_older_writer(new_job, new_topic):
    topic = new_topic(partitions=2)
    job = people_job(new_job, topic, avro_writer_schema="old.avsc")
    schema = fastavro.parse_schema(OLD_WRITER)
    topic.send_all(encode(schema, old_person(n)) for n in range(100))
    job.catch_up()
    assert people(job) == expected_people(range(100), [])


def test_confluent_framing(new_job, new_topic, database):
    topic = new_topic(partitions=2)
    job = people_job(new_job, topic, avro_framing="confluent", writer_schemas={"7": "old.avsc", "70000": "schema.avsc"})
    # Keys of a YAML map are integers here.
    text = (job.folder / "config.yaml").read_text(encoding="utf-8")
    job.write("config.yaml", text.replace('"7"', "7").replace('"70000"', "70000"))
    old, new = fastavro.parse_schema(OLD_WRITER), fastavro.parse_schema(READER)
    topic.send_all(b"\0" + struct.pack(">I", 7) + encode(old, old_person(n)) for n in range(50))
    topic.send_all(b"\0" + struct.pack(">I", 70000) + encode(new, new_person(n)) for n in range(50))
    job.catch_up()
    assert people(job) == expected_people(range(50), range(50))

    # An unknown id and garbage that begins as a frame does are dead letters; the job and the prompt go on.
    bad = [b"\0" + struct.pack(">I", 4242) + encode(new, new_person(99)), bytes(12)]
    topic.send_all([*bad, b"\0" + struct.pack(">I", 70000) + encode(new, new_person(50))])
    job.catch_up()
    assert database.value("SELECT COUNT(*) FROM people") == 101
    letters = database.rows("SELECT payload, stage, reason FROM dead_letters ORDER BY kafka_partition")
    assert sorted(payload for payload, _, _ in letters) == sorted(bad)
    assert {stage for _, stage, _ in letters} == {"decode"}
    reasons = " ".join(reason for _, _, reason in letters)
    assert "schema id 4242 is unknown" in reasons and "schema id 0 is unknown" in reasons, reasons
    counts = "SELECT (SELECT count(*) FROM batch) AS rows, (SELECT count(*) FROM dead_letters) AS bad"
    assert job.run("sql", "-c", counts, "--format", "csv").stdout == "rows,bad\n101,2\n"


def rabin(data):
    """The CRC-64-AVRO fingerprint, as the specification's appendix computes it."""
    empty = 0xC15D213AA4D7A795
    table = []
    for i in range(256):
        fp = i
        for _ in range(8):
            fp = (fp >> 1) ^ (empty & -(fp & 1))
        table.append(fp)
    fp = empty
    for byte in data:
        fp = (fp >> 8) ^ table[(fp ^ byte) & 0xFF]
    return fp


def test_single_object_encoding(new_job, new_topic):
    topic = new_topic(partitions=2)
    job = people_job(new_job, topic, avro_framing="single_object", writer_schemas=["old.avsc"])

    def framed(schema, value):
        canonical = fastavro.schema.to_parsing_canonical_form(schema)
        return b"\xc3\x01" + struct.pack("<Q", rabin(canonical.encode())) + encode(fastavro.parse_schema(schema), value)

    topic.send_all(framed(OLD_WRITER, old_person(n)) for n in range(50))
    topic.send_all(framed(READER, new_person(n)) for n in range(50))
    job.catch_up()
    assert people(job) == expected_people(range(50), range(50))


def test_framing_that_is_not_there_is_a_dead_letter(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = people_job(new_job, topic, avro_framing="confluent", writer_schemas={"7": "old.avsc"})
    text = (job.folder / "config.yaml").read_text(encoding="utf-8")
    job.write("config.yaml", text.replace('"7"', "7"))
    old = fastavro.parse_schema(OLD_WRITER)
    good = b"\0" + struct.pack(">I", 7) + encode(old, old_person(1))
    bad = [b"", b"\0\0\0", b"\x01" + good[1:], good + b"x", varint(1)]
    topic.send_all([good, *bad, good])
    job.catch_up()
    assert database.value("SELECT COUNT(*) FROM people") == 2
    assert [p for (p,) in database.rows("SELECT payload FROM dead_letters ORDER BY kafka_offset")] == bad


def consumed_payloads(topic):
    """What stands in a topic, by Kafka's own client."""
    consumer = Consumer({"bootstrap.servers": topic.server, "group.id": "reader", "auto.offset.reset": "earliest"})
    places = [TopicPartition(topic.name, p, 0) for p in range(topic.partitions)]
    wanted = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
    consumer.assign(places)
    found = []
    while len(found) < wanted:
        messages = consumer.consume(wanted - len(found), timeout=10)
        assert messages, f"{len(found)} of {wanted} messages"
        found += messages
    consumer.close()
    return found


def test_what_consume_prints_produce_writes_again_byte_for_byte(new_job, new_topic):
    rng = random.Random(18)
    topic, copy = new_topic(partitions=1), new_topic(partitions=1)
    job = new_job(topic, outputs={"v": {"table": "v", "mode": "append"}})
    job.write("schema.avsc", SCHEMA)
    job.view("v", "SELECT i FROM batch")
    schema = fastavro.parse_schema(SCHEMA)
    topic.send_all(encode(schema, random_record(rng, n)) for n in range(300))
    printed = job.run("consume", "--from", "beginning", "--count", "300").stdout
    job.write("printed.jsonl", printed)
    job.run("produce", "printed.jsonl", "--topic", copy.name)
    sent, again = ([m.value() for m in consumed_payloads(t)] for t in (topic, copy))
    assert again == sent


def test_produced_messages_are_read_by_fastavro(new_job, new_topic):
    """Messages that `consume` prints, given to `produce`, are the same messages again."""
    rng = random.Random(17)
    topic, copy = new_topic(partitions=3), new_topic(partitions=3)
    job = new_job(topic, outputs={"v": {"table": "v", "mode": "append"}})
    job.write("schema.avsc", SCHEMA)
    job.view("v", "SELECT i FROM batch")
    schema = fastavro.parse_schema(SCHEMA)
    records = [random_record(rng, n) for n in range(300)]
    topic.send_all(encode(schema, record) for record in records)
    done = job.run("consume", "--from", "beginning", "--count", "300")
    lines = done.stdout.splitlines()
    assert len(lines) == 300
    again = []
    for line in lines:
        # Decimals are printed with all their digits; read as text, they keep them.
        printed = json.loads(line, parse_float=str)
        again.append({name: value for name, value in printed.items() if not name.startswith("kafka_")})
        again[-1].update(f=float(printed["f"]), d=float(printed["d"]))
    job.write("again.jsonl", "".join(json.dumps(record) + "\n" for record in again))
    job.run("produce", "again.jsonl", "--topic", copy.name)
    read = [fastavro.schemaless_reader(io.BytesIO(m.value()), schema) for m in consumed_payloads(copy)]
    read.sort(key=lambda r: r["pair"]["a"])
    differences = [(n, k, got[k], want[k]) for n, (got, want) in enumerate(zip(read, records, strict=True))
                   for k in want if got[k] != want[k]]  # fmt: skip
    assert differences == []
