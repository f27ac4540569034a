"""Exit codes, messages and streams of the commands, as scripts and people meet them."""

import json
import random
import re
import socketserver
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions

from avro import COUNTING_VIEW, MOVEMENT, double, movement, string, varint
from counting import assert_each_once, counting_job, numbers
from harness import terminate

RUN = ("run", "--until-caught-up", "--progress", "none")
# A record that fits `MOVEMENT`.
RECORD = {
    "customer": 1, "agency": "a", "operation_value": 1.0, "operation_type": 0, "date": "x", "account_balance": 1.0}  # fmt: skip


@pytest.fixture
def job(new_job, new_topic):
    return counting_job(new_job, new_topic(partitions=2))


@pytest.mark.parametrize("arguments", [["nonsense"], ["run", "--nonsense"], [], ["produce"]])
def test_a_bad_command_line_is_2(job, arguments):
    assert job.run(*arguments, expect=2).stderr.strip()


@pytest.mark.parametrize("command", ["run", "demo", "produce", "consume", "generate"])
def test_help_goes_to_stdout(job, command):
    help_text = job.run(command, "--help").stdout
    assert "Usage" in help_text and len(help_text) > 200


def test_faults_of_the_configuration_are_78(job):
    """Several faults at once, each with its line and the nearest right name."""
    job.write_config(kafka_topik="x", batch_rows_max="many", trigger_interval="soon")
    done = job.run(*RUN, expect=78)
    lines = (job.folder / "config.yaml").read_text(encoding="utf-8").splitlines()
    for key in ("kafka_topik", "batch_rows_max", "trigger_interval"):
        number = next(n for n, line in enumerate(lines, 1) if line.startswith(key))
        assert re.search(rf"config\.yaml:{number}\b.*{key}|{key}.*config\.yaml:{number}\b", done.stderr, re.S), (
            done.stderr
        )
    assert "kafka_topic" in done.stderr


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("config.yaml", "kafka_server: [", "config.yaml"),
        ("config.yaml", "kafka_topic: ${NO_SUCH_VARIABLE}\n", "NO_SUCH_VARIABLE"),
        ("schema.avsc", "{", "schema.avsc"),
        ("schema.avsc", '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "nonsense"}]}', "nonsense"),
        ("sql/counted.sql", "SELECT custmer FROM batch", "counted.sql:1:8"),
        ("sql/counted.sql", "SELEC customer FROM batch", "counted.sql"),
        ("sql/counted.sql", "SELECT customer FROM nowhere", "nowhere"),
        ("sql/counted.sql", "DELETE FROM batch", "counted.sql"),
        ("sql/counted.sql", "SELECT a.customer FROM counted a", "counted"),
    ],
)
def test_faults_of_files_are_78(job, path, text, said):
    job.write(path, text)
    done = job.run(*RUN, expect=78)
    assert said in done.stderr, done.stderr
    assert job.database.committed(job.name) == 0


def test_missing_files_are_78(job):
    (job.folder / "schema.avsc").unlink()
    assert "schema.avsc" in job.run(*RUN, expect=78).stderr
    job.write("schema.avsc", MOVEMENT)
    (job.folder / "sql" / "counted.sql").unlink()
    assert job.run(*RUN, expect=78).stderr
    job.run("--config", "nowhere.yaml", *RUN, expect=None)


def test_a_wrong_password_ends_it_and_is_not_printed(job):
    url = re.sub(r":[^:@/]+@", ":wrong@", job.config["database"])
    job.write_config(database=url)
    done = job.run(*RUN, expect=None, timeout=60)
    assert done.returncode in (1, 78)
    assert "Access denied" in done.stderr and "wrong" not in done.stderr, done.stderr


def test_no_broker_is_1_for_produce(job):
    job.write_config(kafka_server="127.0.0.1:1")
    job.write("one.json", RECORD)
    assert "127.0.0.1:1" in job.run("produce", "one.json", expect=1, timeout=90).stderr


@contextmanager
def hangs_up():
    """The address of a listener that hangs up at the first bytes, as a listener of Kafka does for another protocol."""

    class Reader(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(1024)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Reader) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ("PLAINTEXT", "the Kafka broker at {server} hangs up at once, as a listener for another `security.protocol` does: "),
        ("SSL", "the TLS handshake with the Kafka broker at {server} fails: "),
    ],
    ids=["plaintext", "tls"],
)
def test_a_wrong_security_protocol_is_1_and_no_broker_that_is_down(job, protocol, said):
    job.write("one.json", RECORD)
    commands = [RUN, ("check",), ("consume", "--count", "1"), ("produce", "one.json")]
    with hangs_up() as server, ThreadPoolExecutor(len(commands)) as at_once:
        job.write_config(kafka_server=server, kafka_properties={"security.protocol": protocol})
        ended = list(at_once.map(lambda command: job.run(*command, expect=1, timeout=90), commands))
    for done in ended:
        # What follows is librdkafka's own line, which names the broker.
        assert re.search(re.escape(said.format(server=server)) + rf".*{server}/bootstrap", done.stderr), done
        assert "hint: " in done.stderr and "no Kafka broker answers" not in done.stderr, done


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("n INT", "operation_value"),
        ("n DATE, operation_value DOUBLE, kafka_topic TEXT, p INT, o BIGINT", "n"),
        ("n INT, operation_value DOUBLE, kafka_topic TEXT, p INT, o BIGINT, must INT NOT NULL", "must"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_before_the_first_message(job, columns, said):
    job.database.execute(f"CREATE TABLE counted (id BIGINT AUTO_INCREMENT PRIMARY KEY, {columns})")
    job.topic.send_all([movement(0)])
    done = job.run(*RUN, expect=None)
    assert done.returncode in (1, 78)
    assert "counted" in done.stderr and said in done.stderr, done.stderr
    assert job.database.value("SELECT COUNT(*) FROM counted") == 0
    assert job.database.committed(job.name) == 0


def test_tables_are_not_made_when_told_so(job):
    job.write_config(create_tables=False)
    done = job.run(*RUN, expect=None)
    assert done.returncode in (1, 78) and "create_tables" in done.stderr, done.stderr
    assert job.database.rows("SHOW TABLES") == []


def test_the_first_start_logs_what_it_has_made(job):
    (made,) = re.findall(r"created in .*, because they were not there: (.*)", job.catch_up().stderr)
    assert sorted(made.split(", ")) == sorted(table for (table,) in job.database.rows("SHOW TABLES"))
    assert "were not there" not in job.catch_up().stderr, "the second start has made nothing"


def test_progress_as_json(job):
    job.topic.send_all(movement(n) for n in range(2500))
    job.write_config(batch_rows_max=1000)
    done = job.run("run", "--until-caught-up", "--progress", "json")
    batches = [json.loads(line) for line in done.stdout.splitlines()]
    assert [b["batchId"] for b in batches] == sorted({b["batchId"] for b in batches})
    assert sum(b["numInputRows"] for b in batches) == 2500
    for batch in batches:
        assert set(batch) >= {"batchId", "timestamp", "numInputRows", "inputRowsPerSecond", "processedRowsPerSecond",
                              "durationMs", "sources", "outputs", "deadLetters", "nullKeys", "conflicts"}  # fmt: skip
        assert set(batch["durationMs"]) >= {"poll", "decode", "sql", "commit", "total"}
    assert job.topic.name in json.dumps(batches[-1]["sources"])


def test_consume_and_its_count(job):
    job.topic.send_all(movement(n) for n in range(50))
    done = job.run("consume", "--from", "beginning", "--count", "20", timeout=60)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 20
    assert {line["agency"] for line in lines} == {"Centro"}
    table = job.run("consume", "--from", "beginning", "--count", "3", "--format", "table", timeout=60).stdout
    assert "customer" in table and "Centro" in table


def test_what_consume_prints_can_be_produced(new_job, new_topic):
    types = {
        "amount": {"type": "bytes", "logicalType": "decimal", "precision": 15, "scale": 4},
        "day": {"type": "int", "logicalType": "date"},
        "at": {"type": "long", "logicalType": "timestamp-micros"},
        "blob": "bytes",
        "note": ["null", "string"],
        "big": "long",
    }
    schema = {"type": "record", "name": "R", "fields": [{"name": n, "type": t} for n, t in types.items()]}
    record = {
        "amount": "12345678901.7890",
        "day": "2026-02-28",
        "at": "2026-02-28T23:59:59.123456Z",
        "blob": "AP/+",
        "note": None,
        "big": 9007199254740993,
    }
    job = new_job(new_topic(partitions=1))
    job.write("schema.avsc", schema)
    job.write("first.json", record)
    job.run("produce", "first.json")
    job.write("again.jsonl", job.run("consume", "--count", "1", timeout=60).stdout)
    job.run("produce", "again.jsonl")
    first, again = (json.loads(line) for line in job.run("consume", "--count", "2", timeout=60).stdout.splitlines())
    for name in types:
        assert first[name] == again[name], name
    assert again["kafka_offset"] == first["kafka_offset"] + 1


def test_generate_and_produce(job, full):
    count = 200_000 if full else 20_000
    job.run("generate", "--messages", str(count), "--customers", "300", "--seed", "5", "--out", "made.jsonl")
    text = (job.folder / "made.jsonl").read_text(encoding="utf-8")
    assert text == job.run("generate", "--messages", str(count), "--customers", "300", "--seed", "5").stdout
    job.run("produce", "made.jsonl")
    job.catch_up()
    customers = sorted(json.loads(line)["customer"] for line in text.splitlines())
    assert numbers(job) == customers
    # One customer's messages stand in one partition, in their order.
    assert job.database.value("SELECT MAX(c) FROM (SELECT COUNT(DISTINCT p) c FROM counted GROUP BY n) x") == 1


def test_transactions_of_the_producer(new_job, new_topic, database):
    """Aborted messages are not seen, gaps are stepped over, and an open transaction does not keep catch-up waiting."""
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic, batch_rows_max=100)
    producer = Producer({"bootstrap.servers": topic.server, "transactional.id": topic.name})
    producer.init_transactions(30)
    number = 0
    for turn in range(20):
        producer.begin_transaction()
        for n in range(50):
            producer.produce(topic.name, movement(number + n), partition=0)
        producer.flush()
        if turn % 3 == 0:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)
            number += 50
    producer.begin_transaction()
    producer.produce(topic.name, movement(number), partition=0)
    producer.flush()
    job.catch_up(timeout=60)
    assert_each_once(job, number)
    producer.commit_transaction(30)
    job.catch_up(timeout=60)
    assert_each_once(job, number + 1)


def test_starting_at_the_end(new_job, new_topic, database):
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic, starting_offsets="latest")
    topic.send_all(movement(n) for n in range(1000, 1100))
    job.catch_up()
    assert not database.try_value("SELECT COUNT(*) FROM counted")
    topic.send_all(movement(n) for n in range(100))
    job.catch_up()
    assert_each_once(job, 100)


def test_a_partition_added_later_starts_at_its_beginning(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic, starting_offsets="latest")
    job.catch_up()
    topic.admin.create_partitions([NewPartitions(topic.name, 3)])[topic.name].result(timeout=30)
    topic.partitions, topic.next_offsets = 3, [0, 0, 0]
    topic.send_all(movement(n) for n in range(90))
    job.catch_up()
    assert_each_once(job, 90)


def test_several_topics(new_job, new_topic, database):
    topics = [new_topic(partitions=2), new_topic(partitions=3)]
    job = counting_job(new_job, topics[0], kafka_topic=[topic.name for topic in topics])
    topics[0].send_all(movement(n) for n in range(100))
    topics[1].send_all(movement(n) for n in range(100, 200))
    job.catch_up()
    assert_each_once(job, 200)


@pytest.mark.parametrize("rows_max", [7, 100_000])
def test_upsert(new_job, new_topic, database, rows_max):
    """The last row of each key stands in the table, however the messages are cut; `_delete` takes it away."""
    topic = new_topic(partitions=1)
    job = new_job(
        topic, batch_rows_max=rows_max, outputs={"last": {"table": "last", "mode": "upsert", "key": ["agency"]}}
    )
    job.write("schema.avsc", MOVEMENT)
    job.view(
        "last",
        """
        SELECT agency, customer, operation_value, customer % 10 = 0 AS _delete
        FROM (SELECT *, row_number() OVER (PARTITION BY agency ORDER BY kafka_offset DESC) AS place FROM batch)
        WHERE place = 1
        """,
    )
    rng = random.Random(2)
    agencies = ["José", "jose", "JOSÉ", "Jose ", "", "日本", *(f"A{n}" for n in range(20))]
    expected = {}
    for n in range(1, 700):
        agency = rng.choice(agencies)
        payload = varint(n) + string(agency) + double(n / 4) + varint(1) + string("d") + double(0.0)
        topic.send(payload)
        expected[agency] = (n, n / 4)
        if n % 10 == 0:
            del expected[agency]
    topic.flush()
    job.catch_up()
    assert {a: (n, v) for a, n, v in database.rows("SELECT agency, customer, operation_value FROM last")} == expected
    assert "_delete" not in database.columns("last")


def test_the_last_of_several_rows_of_a_key_stands(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = new_job(topic, outputs={"last": {"table": "last", "mode": "upsert", "key": ["agency"]}})
    job.write("schema.avsc", MOVEMENT)
    job.view("last", "SELECT agency, customer FROM batch")
    topic.send_all(movement(n) for n in range(10))
    done = job.run(*RUN, expect=78)
    assert "nothing says which of them is the last" in done.stderr, done.stderr
    assert "row_number() OVER (PARTITION BY agency" in done.stderr, done.stderr
    job.view("last", "SELECT agency, customer, kafka_partition, kafka_offset FROM batch")
    job.catch_up()
    assert database.rows("SELECT customer FROM last") == [(9,)]


def test_sqlite_needs_no_server(new_job, new_topic):
    topic = new_topic(partitions=2)
    job = new_job(topic, outputs={"counted": {"table": "counted", "mode": "append"}})
    job.write_config(database="sqlite://out.db")
    job.write("schema.avsc", MOVEMENT)
    job.view("counted", COUNTING_VIEW)
    topic.send_all(movement(n) for n in range(10_000))
    job.catch_up()
    job.catch_up()
    with sqlite3.connect(job.folder / "out.db") as file:
        assert file.execute("SELECT COUNT(*), COUNT(DISTINCT n), MAX(n) FROM counted").fetchone() == (
            10_000,
            10_000,
            9_999,
        )


def test_a_reference_file_is_read_again_when_it_changes(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = new_job(
        topic,
        reference_tables={"names": {"file": "names.csv", "key": "id", "matches": "customer", "refresh_interval": "1s"}},
        outputs={"named": {"table": "named", "mode": "append"}},
    )
    job.write("schema.avsc", MOVEMENT)
    job.write("names.csv", "id,name\n1,before\n")
    job.view("named", "SELECT b.customer, n.name FROM batch b LEFT JOIN names n ON n.id = b.customer")
    process = job.start()
    topic.send_all([movement(1), movement(2)])
    job.wait_committed(2, 30, process)
    job.write("names.csv", "id,name\n1,after\n2,new\n")
    time.sleep(2.5)
    topic.send_all([movement(1), movement(2)])
    job.wait_committed(4, 30, process)
    assert terminate(process) == 0
    assert sorted(database.rows("SELECT customer, COALESCE(name, '-') FROM named")) == [
        (1, "after"), (1, "before"), (2, "-"), (2, "new")]  # fmt: skip
