"""Broken messages never stop the job and never disappear: each is kept byte for byte, the others go through."""

import json
import random
from collections import Counter

import pytest

from avro import Broken, double, movement, read_strictly, string, varint
from counting import counting_job, numbers
from harness import terminate
from raw import produce

GOOD, BROKEN = 99_000, 1_000
SCHEMA = {
    "type": "record",
    "name": "Entry",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "name", "type": "string"},
        {"name": "note", "type": ["null", "string"]},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "amount", "type": "double"},
    ],
}
KINDS = ["long", "string", ("optional", "string"), ("array", "string"), "double"]


def parts(rng, number):
    note = varint(0) if rng.random() < 0.5 else varint(1) + string("nota " * rng.randrange(4))
    tags = [f"tag{rng.randrange(100)}" for _ in range(rng.randrange(4))]
    written = (varint(len(tags)) + b"".join(map(string, tags)) if tags else b"") + varint(0)
    return [varint(number), string(f"José {number}"), note, written, double(rng.uniform(-1e6, 1e6))]


def random_bytes(rng, _):
    return rng.randbytes(rng.randrange(1, 80))


def truncated(rng, p):
    whole = b"".join(p)
    return whole[: rng.randrange(1, len(whole))]


def left_over(rng, p):
    return b"".join(p) + rng.randbytes(rng.randrange(1, 9))


def wrong_union_index(rng, p):
    return b"".join([p[0], p[1], varint(rng.choice([-1, 2, 3, 1000])), p[3], p[4]])


def overlong_varint(rng, p):
    return b"".join([rng.randbytes(0) + b"\x80" * rng.randrange(10, 14) + b"\x00", *p[1:]])


def bad_utf8(rng, p):
    bad = rng.choice([b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"])
    return b"".join([p[0], string(b"Jos" + bad + b"!"), *p[2:]])


def huge_block_count(rng, p):
    return b"".join([*p[:3], varint(1 << rng.randrange(20, 62)), p[3], p[4]])


def negative_length(rng, p):
    return b"".join([p[0], varint(-rng.randrange(1, 1 << 40)), *p[2:]])


def empty(_rng, _p):
    return b""


def tombstone(_rng, _p):
    return None


WAYS = [random_bytes, truncated, left_over, wrong_union_index, overlong_varint, bad_utf8, huge_block_count,
        negative_length, empty, tombstone]  # fmt: skip


def is_broken(payload):
    try:
        read_strictly(KINDS, payload or b"")
    except Broken:
        return True
    return False


def test_a_thousand_of_a_hundred_thousand(new_job, new_topic, database, figure):
    rng = random.Random(20240311)
    topic = new_topic(partitions=4)
    job = new_job(topic, outputs={"entries": {"table": "entries", "mode": "append"}})
    job.write("schema.avsc", SCHEMA)
    job.view("entries", "SELECT id, name, note, array_length(tags) AS tag_count, amount FROM batch")

    turns = WAYS * (BROKEN // len(WAYS)) + [None] * GOOD
    rng.shuffle(turns)
    sent, good = {}, []
    for number, way in enumerate(turns):
        p = parts(rng, number)
        headers = [("kind", b"test"), ("none", None)] if number % 10 == 0 else None
        if way is None:
            payload = b"".join(p)
            read_strictly(KINDS, payload)
            topic.send(payload, key=b"k%d" % number)
            good.append(number)
            continue
        payload = way(rng, p)
        while not is_broken(payload):
            payload = way(rng, p)
        place = topic.send(payload, key=b"k%d" % number, headers=headers)
        sent[place] = (b"k%d" % number, payload, way.__name__)
    topic.flush()
    job.catch_up()

    assert [n for (n,) in database.rows("SELECT id FROM entries ORDER BY id")] == good
    letters = database.rows(
        "SELECT kafka_partition, kafka_offset, kafka_key, payload, stage, reason, kafka_topic, job FROM dead_letters"
    )
    assert len(letters) == BROKEN
    reasons = Counter()
    for partition, offset, key, payload, stage, reason, name, of_job in letters:
        want_key, want_payload, way = sent.pop((partition, offset))
        assert (key, payload) == (want_key, want_payload), way
        assert (stage, name, of_job) == ("decode", topic.name, job.name)
        assert reason and reason.strip(), way
        reasons[way, reason] += 1
    assert not sent
    for way in WAYS:
        example, _ = max(((r, c) for (w, r), c in reasons.items() if w == way.__name__), key=lambda x: x[1])
        figure(f"{way.__name__}: {example}")


def test_skipped_tombstones(new_job, new_topic, database):
    topic = new_topic(partitions=2)
    job = new_job(topic, tombstones="skip", outputs={"entries": {"table": "entries", "mode": "append"}})
    job.write("schema.avsc", SCHEMA)
    job.view("entries", "SELECT id FROM batch")
    rng = random.Random(1)
    topic.send_all(None if n % 10 == 0 else b"".join(parts(rng, n)) for n in range(1000))
    job.catch_up()
    assert database.value("SELECT COUNT(*) FROM entries") == 900
    assert database.value("SELECT COUNT(*) FROM dead_letters") == 0
    assert database.committed(job.name) == 1000


def test_faults_of_sql_and_of_the_table_are_dead_letters(new_job, new_topic, database):
    """A division by zero in SQL, and rows a table refuses: too long, NULL, a foreign key, a CHECK, a duplicate."""
    topic = new_topic(partitions=2)
    database.execute("CREATE TABLE names (name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin PRIMARY KEY)")
    database.execute("INSERT INTO names VALUES " + ", ".join(f"('José {n}')" for n in range(2000) if n != 1500))
    database.execute(
        "CREATE TABLE entries (id BIGINT PRIMARY KEY, name VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"
        " NOT NULL, text VARCHAR(10) NOT NULL, quotient BIGINT NOT NULL CHECK (quotient <> 77),"
        " FOREIGN KEY (name) REFERENCES names (name))"
    )
    job = new_job(topic, outputs={"entries": {"table": "entries", "mode": "append"}}, batch_rows_max=500)
    job.write("schema.avsc", SCHEMA)
    job.view(
        "entries",
        """
        SELECT CASE WHEN id = 1600 THEN 1599 ELSE id END AS id, name,
               CASE WHEN id = 1200 THEN 'elevenchars' WHEN id = 1300 THEN NULL ELSE 'short' END AS text,
               CASE WHEN id = 1400 THEN 77 ELSE 100 / (id - 1100) END AS quotient
        FROM batch
        """,
    )
    rng = random.Random(1)
    topic.send_all([b"".join(parts(rng, n)) for n in range(2000)], partition=0)
    done = job.catch_up()
    faults = {1100: "sql", 1200: "write", 1300: "write", 1400: "write", 1500: "write", 1600: "write"}
    letters = dict(database.rows("SELECT kafka_offset, stage FROM dead_letters"))
    assert letters == faults, done.stderr
    ids = [n for (n,) in database.rows("SELECT id FROM entries ORDER BY id")]
    assert ids == [n for n in range(2000) if n not in faults]


@pytest.mark.parametrize("runs", ["once", "again"])
def test_a_header_whose_name_is_not_text_makes_a_dead_letter(new_job, new_topic, runs):
    """Such a name cannot be read. Its message is kept with everything else, and the job goes on, also when it is started again."""
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic)
    topic.send_all(movement(n) for n in range(5))
    headers = [(b"trace", b"7"), (b"bad \xff\xfe", b"lost"), (b"note", None)]
    produce(topic, movement(5), key=b"k", headers=headers)
    topic.send_all(movement(n) for n in range(6, 10))
    if runs == "once":
        process = job.start()
        job.wait_committed(10, 30, process)
        assert terminate(process) == 0
        said = process.stderr_text()
    else:
        job.catch_up()
        said = job.catch_up().stderr
    assert "panicked" not in said, said
    assert numbers(job) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    letters = job.database.rows(
        "SELECT kafka_offset, stage, place, reason, kafka_key, payload, kafka_headers FROM dead_letters"
    )
    [(offset, stage, place, reason, key, payload, kept)] = letters
    assert (offset, stage, place, key, payload) == (5, "decode", "kafka_headers", b"k", movement(5))
    assert "not UTF-8" in reason and ": 2 (of 3)" in reason, reason
    assert "trace" in kept and "note" in kept, kept
    shown = job.run("consume", "--count", "9")
    assert f"{topic.name}[0]@5: kafka_headers: the names of these headers" in shown.stderr
    assert "panicked" not in shown.stderr
    assert "of 9 messages, 1 cannot be decoded" in shown.stderr, shown.stderr
    counted = job.run("sql", "--from", "beginning", "--format", "json", "-c", "SELECT count(*) AS n FROM batch")
    assert json.loads(counted.stdout)["n"] == 9 and "panicked" not in counted.stderr
