"""Messages that fastavro writes under the ids of a real registry (Apicurio): versions, references, and the registry away."""

import json
import os
import random
import re
import subprocess
import time
from urllib.parse import unquote, urlsplit

from harness import terminate, unique, wait_until
from schema_registry import FIRST, MONEY, THIRD, Writers, expected, framed, record, registry_job, rows


def test_three_writers_and_one_request_an_id(new_job, new_topic, database, registry, front, full, figure):
    writers, topic = Writers(registry), new_topic(partitions=4)
    count = 1_000_000 if full else 3_000
    wanted = {topic.send(writers.payload(n % 3, n % 1000)): expected(n % 3, n % 1000) for n in range(count)}
    topic.flush()
    job = registry_job(new_job, topic, front.url)
    job.catch_up()
    assert rows(database) == wanted
    assert front.ids() == sorted(writers.ids[:3])
    figure(f"{count} messages of three schemas, {len(front.asked)} requests")
    assert database.value("SELECT COUNT(*) FROM dead_letters") == 0
    stored = {int(row[0]) for row in database.rows("SELECT schema_id FROM realtime_schemas WHERE job = %s", job.name)}
    assert stored == set(writers.ids[:3])


def test_the_registry_is_away_and_comes_back(new_job, new_topic, database, registry, front):
    writers, topic = Writers(registry), new_topic(partitions=3)
    job = registry_job(new_job, topic, front.url)
    wanted = {topic.send(writers.payload(n % 2, n)): expected(n % 2, n) for n in range(60)}
    topic.flush()
    job.catch_up()
    assert rows(database) == wanted
    # A restart while the registry is away: what is known goes on.
    front.is_away = True
    asked = len(front.asked)
    process = job.start()
    wanted |= {topic.send(writers.payload(n % 2, n)): expected(n % 2, n) for n in range(60, 120)}
    topic.flush()
    job.wait_committed(120, 60, process)
    assert rows(database) == wanted and len(front.asked) == asked
    # One partition meets a schema that is not known; behind it stand messages of known ones.
    waiting = {}
    for n in range(120, 150):
        version = 2 if n in (125, 140) else 0
        place = topic.send(writers.payload(version, n), partition=0 if n % 3 == 0 or n in (125, 140) else 1)
        waiting[place] = expected(version, n)
    topic.flush()
    others = {place: row for place, row in waiting.items() if place[0] == 1}
    first = min(place for place, row in waiting.items() if row[0] == 125)
    wanted |= others | {place: row for place, row in waiting.items() if place[0] == 0 and place < first}
    wait_until(lambda: rows(database) == wanted, 60, lambda: process.stderr_text()[-2000:])
    wait_until(lambda: len(front.asked) > asked + 2, 30, "it asks again")
    assert rows(database) == wanted, "nothing of the partition that waits"
    assert process.stderr_text().count("messages whose schema is not known yet wait") == 1
    # It is stopped while it waits, and started again.
    assert terminate(process) == 0
    process = job.start()
    wait_until(lambda: "messages whose schema is not known yet wait" in process.stderr_text(), 60, "it waits again")
    front.is_away = False
    wanted |= waiting
    job.wait_committed(150, 60, process)
    assert rows(database) == wanted
    order = [row[0] for row in database.rows("SELECT place FROM seen WHERE part = 0 ORDER BY _id")]
    assert order == sorted(order), "in their order"
    assert database.value("SELECT COUNT(*) FROM dead_letters") == 0
    assert terminate(process) == 0


def test_unknown_and_unsuitable_schemas_are_dead_letters(new_job, new_topic, database, registry, front):
    writers, topic = Writers(registry), new_topic(partitions=1)
    other = record(("account", "string"))
    other_id = registry.register(unique("others"), other)
    topic.send_all(
        [
            writers.payload(0, 1),
            framed(2_000_000_000, FIRST, {"customer": 2, "amount": 1.0}),
            framed(other_id, other, {"account": "x"}),
            writers.payload(3, 4),
        ]
    )
    job = registry_job(new_job, topic, front.url)
    job.catch_up()
    assert sorted(row[0] for row in rows(database).values()) == [1, 4]
    reasons = [row[0] for row in database.rows("SELECT reason FROM dead_letters ORDER BY kafka_offset")]
    assert len(reasons) == 2
    assert "does not know schema id 2000000000" in reasons[0], reasons
    assert f"schema {other_id} of the registry" in reasons[1], reasons


def test_produce_registers_only_when_it_is_told(new_job, new_topic, database, registry, front):
    topic = new_topic(partitions=1)
    job = registry_job(new_job, topic, front.url)
    job.write_config(schema_registry={"url": registry.url})
    job.write("two.json", [{"customer": 1, "amount": 2.5, "note": None}, {"customer": 2, "amount": 3, "note": "x"}])
    refused = job.run("produce", "two.json", expect=1)
    assert "has no version with this schema" in refused.stderr
    job.run("produce", "two.json", "--register")
    job.run("produce", "two.json")
    job.run("schema", "check")
    listed = job.run("schema", "list").stdout
    assert re.search(rf"^ {topic.name}-value +\| +1 \| +\d+ \| same$", listed, re.MULTILINE), listed
    pulled = json.loads(job.run("schema", "pull", f"{topic.name}-value").stdout)
    assert [field["name"] for field in pulled["fields"]] == ["customer", "amount", "note"]
    job.catch_up()
    assert sorted(row[0] for row in rows(database).values()) == [1, 1, 2, 2]


def test_a_registry_that_fails_at_random(new_job, new_topic, database, registry, front, full, figure):
    """Schemas keep coming while the registry fails and instances are killed: each message counts once, in its order."""
    rng = random.Random(7)
    front.fault = lambda: rng.choice([500, "cut", "html", "slow", None, None, None, None])
    topic = new_topic(partitions=4)
    job = registry_job(new_job, topic, front.url)
    job.write_config(schema_registry={"url": front.url, "timeout": "300ms"})
    wanted, processes, kills = {}, [job.start(), job.start()], 0
    deadline = time.monotonic() + (120 if full else 20)
    while time.monotonic() < deadline:
        writers = Writers(registry)
        for n in range(40):
            version = rng.randrange(4)
            wanted[topic.send(writers.payload(version, n))] = expected(version, n)
        topic.flush()
        time.sleep(rng.uniform(0.2, 1.5))
        if rng.random() < 0.3:
            victim = rng.randrange(len(processes))
            processes[victim].kill()
            processes[victim].wait()
            processes[victim] = job.start()
            kills += 1
    job.wait_committed(len(wanted), 120, processes[0])
    assert [process.poll() for process in processes] == [None, None]
    assert rows(database) == wanted
    assert database.value("SELECT COUNT(*) FROM seen") == len(wanted)
    assert database.value("SELECT COUNT(*) FROM dead_letters") == 0
    for part in range(4):
        order = [row[0] for row in database.rows("SELECT place FROM seen WHERE part = %s ORDER BY _id", part)]
        assert order == sorted(order), part
    failed = len(front.asked) - len(set(front.asked))
    figure(f"{len(wanted)} messages, {kills} kills, {len(front.asked)} requests, {failed} of them made again")


KEY_SCHEMA = {**record(("id", "long"), name="key"), "fields": [
    {"name": "id", "type": "long"}, {"name": "area", "type": "string", "default": "none"}]}  # fmt: skip
OLD_KEY = record(("id", "int"), name="key")


def test_keys_through_the_registry(new_job, new_topic, database, registry, front):
    """Keys of two versions, an id that nobody knows, and one whose schema no key is; then `produce` with ids of its own."""
    topic = new_topic(partitions=2)
    value_id, key_subject = registry.register(unique("movements"), FIRST), f"{topic.name}-key"
    old_id, key_id = registry.register(key_subject, OLD_KEY), registry.register(key_subject, KEY_SCHEMA)
    job = registry_job(new_job, topic, front.url)
    job.write_config(key_format="avro", avro_key_schema="key.avsc")
    job.write("key.avsc", KEY_SCHEMA)
    job.view("seen", "SELECT customer, amount, kafka_key.id AS id, kafka_key.area AS area FROM batch")
    keys = [
        framed(old_id, OLD_KEY, {"id": 1}),
        framed(key_id, KEY_SCHEMA, {"id": 2**40, "area": "José"}),
        None,
        framed(2_000_000_000, OLD_KEY, {"id": 1}),
        framed(value_id, FIRST, {"customer": 1, "amount": 1.0}),
        b"",
    ]
    for n, key in enumerate(keys):
        topic.send(framed(value_id, FIRST, {"customer": n, "amount": n / 2}), key=key)
    topic.flush()
    job.catch_up()
    seen = "SELECT customer, id, area FROM seen ORDER BY customer"
    assert database.rows(seen) == [(0, 1, "none"), (1, 2**40, "José"), (2, None, None)]
    reasons = [row[0] for row in database.rows("SELECT reason FROM dead_letters ORDER BY kafka_partition, kafka_offset")]
    assert len(reasons) == 3 and all(reason.startswith("kafka_key, byte ") for reason in reasons), reasons
    assert sum("does not know schema id 2000000000" in reason for reason in reasons) == 1, reasons
    assert sum("the key is empty" in reason for reason in reasons) == 1, reasons
    assert front.ids() == sorted({value_id, old_id, key_id, 2_000_000_000}), "one request an id"

    # What `produce` writes is read again, under ids that it registers only when it is told.
    job.write_config(schema_registry={"url": registry.url})
    job.write("key.avsc", record(("customer", "long"), ("note", ["null", "string"]), name="key"))
    job.view("seen", "SELECT customer, amount, kafka_key.customer AS id, kafka_key.note AS area FROM batch")
    new_topic_of_keys = new_topic(partitions=1)
    job.write_config(kafka_topic=new_topic_of_keys.name)
    job.write("one.json", [{"customer": 100, "amount": 2.5, "note": "é"}])
    refused = job.run("produce", "one.json", expect=1)
    assert "has no version with this schema" in refused.stderr
    job.run("produce", "one.json", "--register")
    job.run("produce", "one.json")
    job.run("schema", "check")
    job.catch_up()
    assert database.rows("SELECT customer, id, area FROM seen WHERE customer = 100") == [(100, 100, "é")] * 2


def test_init_begins_a_project(binary, tmp_path, new_topic, database, registry):
    """From the messages of a topic, or from a subject, to rows: nothing is written by hand."""
    writers, topic = Writers(registry), new_topic(partitions=2)
    topic.send_all([writers.payload(2, n) for n in range(10)], key=b"k")
    environment = {**os.environ, "DATABASE_PASSWORD": unquote(urlsplit(database.url).password or "")}

    def run(*arguments):
        words = [str(binary), *arguments]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120, check=False)

    servers = ("--kafka-server", topic.server, "--registry", registry.url, "--database", database.url)
    done = run("init", "--from-topic", topic.name, *servers, "--dir", "by-topic")
    assert done.returncode == 0, done.stderr
    assert f"id {writers.ids[2]} of the registry" in done.stdout and "The keys are text" in done.stdout, done.stdout
    config = (tmp_path / "by-topic/config.yaml").read_text()
    assert "avro_framing: confluent" in config and "${DATABASE_PASSWORD}" in config, config
    # What the schema refers to is in the file, and its fields are columns.
    for command in (["test"], ["check"], ["run", "--until-caught-up", "--progress", "none"]):
        done = run("--config", "by-topic/config.yaml", *command)
        assert done.returncode == 0, done.stdout + done.stderr
    view = topic.name.lower()
    found = database.rows(f"SELECT fee_cents, customer, amount, note FROM `{view}` ORDER BY customer")
    assert found == [(n, n, n / 2, f"n{n}") for n in range(10)]

    subject = unique("orders")
    money = unique("money")
    registry.register(money, MONEY)
    registry.register(f"{subject}-value", THIRD, ("bank.Money", money, 1))
    done = run("init", "--subject", f"{subject}-value", *servers, "--dir", "by-subject")
    assert done.returncode == 0, done.stderr
    schema = json.loads((tmp_path / "by-subject/schemas/movement.avsc").read_text())
    assert schema["fields"][0]["type"]["fields"] == MONEY["fields"], schema
    assert f"kafka_topic: {subject}" in (tmp_path / "by-subject/config.yaml").read_text()
    for command in (["test"], ["check", "--offline"]):
        done = run("--config", "by-subject/config.yaml", *command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_init_says_that_messages_are_json(binary, tmp_path, new_topic, registry):
    topic = new_topic(partitions=1)
    topic.send_all([json.dumps({"customer": n}).encode() for n in range(3)])
    words = [str(binary), "init", "--from-topic", topic.name, "--kafka-server", topic.server, "--registry", registry.url]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and f"the messages of `{topic.name}` are JSON" in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())
