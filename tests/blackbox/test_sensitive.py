"""A field that is `sensitive` is never shown: whatever a job, its page, the prompt and the commands print is searched for values of
it, in every spelling. Only the outputs that select it have it, and the payloads of dead letters."""

import base64
import json
import socket
import time
from urllib.parse import quote

from avro import string, varint
from harness import terminate, wait_until
from watched import free_port, get

MARKER = "Zq7xWv9kJj3fPp5d"
NAME = "Hh8mLt2rCc6s"
# In no column of type SMALLINT, and in no output by chance.
PIN = 918273645

SCHEMA = {
    "type": "record",
    "name": "Card",
    "fields": [
        {"name": "id", "type": "int"},
        {"name": "kind", "type": "int"},
        {"name": "secret", "type": "string"},
        {"name": "pin", "type": "long"},
        {
            "name": "person",
            "type": {
                "type": "record",
                "name": "Person",
                "fields": [{"name": "name", "type": "string"}, {"name": "city", "type": "string"}],
            },
        },
    ],
}
SENSITIVE = ["secret", "pin", "person.name", "kafka_key"]

GOOD, CAST, LONG, LARGE, TWICE, CHECKED = range(6)
VIEWS = {
    "chosen": "SELECT id, secret, pin, person['name'] AS name, person['city'] AS city FROM batch",
    "derived": "SELECT id, upper(secret) AS loud, pin % 1000000000 AS rest, city FROM chosen",
    "numbered": f"SELECT id, CAST(secret AS BIGINT) AS n FROM batch WHERE kind = {CAST}",
    "short": f"SELECT id, secret AS value FROM batch WHERE kind = {LONG}",
    "small": f"SELECT id, pin AS value FROM batch WHERE kind = {LARGE}",
    "twice": f"SELECT secret AS value FROM batch WHERE kind = {TWICE}",
    "checked": f"SELECT id, secret AS value FROM batch WHERE kind = {CHECKED}",
    "next_seen": "SELECT b.kind, max(b.secret) AS latest, max(coalesce(s.times, 0)) + count(*) AS times "
    "FROM batch b LEFT JOIN seen s ON s.kind = b.kind GROUP BY b.kind",
}
TABLES = [
    "CREATE TABLE short (id INT PRIMARY KEY, value VARCHAR(5))",
    "CREATE TABLE small (id INT PRIMARY KEY, value SMALLINT)",
    "CREATE TABLE twice (value VARCHAR(60) PRIMARY KEY)",
    "CREATE TABLE checked (id INT PRIMARY KEY, value VARCHAR(60), CHECK (CHAR_LENGTH(value) < 3))",
]
OUTPUTS = ["chosen", "derived", "numbered", "short", "small", "twice", "checked"]
SHOWN = "***"


def card(number, kind=GOOD, secret=None):
    secret = secret or f"{MARKER}{number}"
    person = string(NAME) + string("Faro")
    return varint(number) + varint(kind) + string(secret) + varint(PIN) + person


def spellings(text):
    """A text as it is, in hexadecimal digits, and in the base64 of longer bytes."""
    data = text.encode()
    yield from (text, text.upper(), data.hex(), " ".join(f"{byte:02x}" for byte in data))
    for before in range(3):
        # The first and the last letters depend on what is around.
        yield base64.b64encode(b"\0" * before + data).decode().rstrip("=")[4:-2]


NEEDLES = [*spellings(MARKER), *spellings(NAME), str(PIN), f"{PIN:_}"]


def assert_hidden(shown):
    """`shown`: texts by where they come from."""
    found = [f"{needle!r} in {where}:\n{text[:3000]}" for where, text in shown.items() for needle in NEEDLES if needle in text]
    assert not found, "\n".join(found)


def events(port):
    """What the stream of events sends in its first seconds."""
    heard, deadline = b"", time.monotonic() + 3
    with socket.create_connection(("127.0.0.1", port), timeout=1) as stream:
        stream.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while time.monotonic() < deadline:
            try:
                heard += stream.recv(1 << 16)
            except TimeoutError:
                pass
    return heard.decode(errors="replace")


QUERIES = [
    "SELECT * FROM batch",
    "SELECT secret, length(secret) AS n, count(*) AS c FROM batch GROUP BY secret",
    "SELECT c.secret || 'x' AS s, d.loud FROM chosen c JOIN derived d ON d.loud = upper(c.secret)",
    "SELECT person, pin / 1 AS p FROM batch UNION ALL SELECT person, pin FROM batch",
    "SELECT kafka_key FROM batch",
    "SELECT * FROM seen",
    "SELECT CAST(secret AS BIGINT) AS n FROM batch",
    "SELECT pin * 9000000000000 AS n FROM batch",
    "SELECT date_trunc(secret, now()) AS n FROM batch",
]


def shown_by_page(port, job):
    paths = ["/", "/metrics", "/livez", "/readyz"]
    paths += [f"/api/{name}" for name in ("status", "history", "views", "events-log", "config", "dead-letters", "sql")]
    paths += [f"/api/rows?view={name}" for name in ["batch", "seen", *VIEWS]]
    paths += [f"/api/query?sql={quote(query)}" for query in QUERIES]
    shown = {path: get(port, path)[1] for path in [*paths, "/api/batch", "/api/nothing"]}
    assert SHOWN in shown["/api/rows?view=chosen"] and SHOWN in shown["/api/rows?view=batch"], shown
    assert '"Faro"' in shown["/api/rows?view=chosen"], "what is not sensitive is shown"
    assert SHOWN in shown[paths[-len(QUERIES)]], shown
    shown["/api/events"] = events(port)
    assert "data:" in shown["/api/events"]
    rows = job.database.rows("SELECT * FROM realtime_instances")
    assert rows
    return {**shown, "realtime_instances": repr(rows)}


def shown_by_commands(job, port, count):
    ids = [str(number) for (number,) in job.database.rows("SELECT id FROM dead_letters")]
    commands = [
        ("consume", "--count", str(count)),
        ("consume", "--count", str(count), "--format", "table"),
        ("dead-letters", "summary"),
        ("dead-letters", "export"),
        *(("dead-letters", "list", "--format", form) for form in ("table", "text", "json")),
        *(("dead-letters", "show", number) for number in ids),
        *(("dead-letters", "show", number, "--format", "json") for number in ids),
        *(("sql", "--rows", str(count), "--format", form, "-c", QUERIES[0]) for form in ("table", "json", "csv")),
        *(("sql", "-c", query) for query in QUERIES[1:]),
        *(("sql", "-c", f"SELECT * FROM {name}") for name in ["seen", "dead_letters", *VIEWS]),
        *(("sql", "-c", f"SELECT * FROM db.{name}") for name in ["seen", "dead_letters", *OUTPUTS]),
        ("sql", "--dead-letters", "-c", "SELECT * FROM batch", "-c", "SELECT * FROM dead_letters"),
        ("sql", "--job", f"http://127.0.0.1:{port}", "-c", "SELECT * FROM batch", "-c", "SELECT * FROM chosen"),
        ("sql", "-c", "\\copy chosen to rows.csv", "-c", "\\save batch.arrow", "-c", "\\diff"),
        ("check",),
        ("config",),
    ]
    shown = {}
    for command in commands:
        done = job.run(*command, expect=None, timeout=60)
        shown[" ".join(command)] = done.stdout + done.stderr
    for name in ("rows.csv", "batch.arrow"):
        path = job.folder / name
        assert path.stat().st_size > 0
        shown[name] = path.read_bytes().decode(errors="replace")
    return shown


def sensitive_job(new_job, topic, **config):
    job = new_job(topic, outputs={name: {"table": name} for name in OUTPUTS}, **config)
    job.write("schema.avsc", SCHEMA)
    for name, sql in VIEWS.items():
        job.view(name, sql)
    job.write_config(
        state_tables={"seen": {"view": "next_seen", "key": "kind"}}, dead_letters_max_ratio=1, sensitive=SENSITIVE
    )
    return job


def test_a_sensitive_value_is_shown_nowhere(new_job, new_topic, monkeypatch):
    monkeypatch.setenv("RUST_LOG", "debug")
    topic, port = new_topic(partitions=1), free_port()
    job = sensitive_job(new_job, topic, http=f"127.0.0.1:{port}")
    for statement in TABLES:
        job.database.execute(statement)
    broken = [
        varint(90) + varint(GOOD) + varint(200) + MARKER.encode(),
        card(91) + MARKER.encode(),
        MARKER.encode(),
        varint(92) + varint(GOOD) + string(MARKER.encode() + b"\xff"),
    ]
    refused = [card(1, CAST), card(2, LONG), card(3, LARGE), card(4, TWICE, MARKER), card(5, TWICE, MARKER), card(6, CHECKED)]
    payloads = [card(0), *refused, *broken, *(card(number) for number in range(10, 20))]
    topic.send_all(payloads, key=MARKER.encode())
    process = job.start("--progress", "json")
    job.wait_committed(len(payloads), 60, process)
    # The last batch is one that has rows.
    topic.send_all([card(number) for number in range(20, 25)], key=MARKER.encode())
    count = len(payloads) + 5
    job.wait_committed(count, 60, process)
    wait_until(lambda: '"rows":[[' in get(port, "/api/rows?view=chosen")[1], 10, lambda: get(port, "/api/rows?view=chosen"))
    table = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'realtime_instances'"
    wait_until(lambda: job.database.value(table) == 1, 30, "the table of instances is there")
    wait_until(lambda: job.database.value("SELECT COUNT(*) FROM realtime_instances") == 1, 30, "it announces itself")
    shown = {**shown_by_page(port, job), **shown_by_commands(job, port, count)}
    assert terminate(process) == 0
    shown["the log"] = process.stderr_text()
    shown["stdout"] = "".join(path.read_text() for path in job.folder.glob("stdout-*.log"))
    shown["reasons"] = repr(job.database.rows("SELECT stage, place, reason FROM dead_letters"))
    assert_hidden(shown)

    # What is chosen is there, so there was something to hide; and a dead letter can be replayed.
    assert job.database.value("SELECT COUNT(*) FROM chosen WHERE secret LIKE %s", MARKER + "%") == 17
    assert job.database.value("SELECT latest FROM seen WHERE kind = 0").startswith(MARKER)
    stages = dict(job.database.rows("SELECT stage, COUNT(*) FROM dead_letters GROUP BY stage"))
    assert stages == {"decode": 4, "sql": 1, "write": 4}, stages
    assert job.database.value("SELECT COUNT(*) FROM dead_letters WHERE INSTR(payload, %s) > 0", MARKER) == 9
    [(number,)] = job.database.rows("SELECT id FROM dead_letters WHERE stage = 'sql'")
    asked = job.run("dead-letters", "show", str(number), "--payload", "--format", "json").stdout
    assert MARKER.encode() in base64.b64decode(json.loads(asked)["payload"])
    assert json.loads(asked)["message"]["secret"] == SHOWN
    job.write_config(sensitive=[])
    control = {"consume": job.run("consume", "--count", str(count)).stdout}
    try:
        assert_hidden(control)
    except AssertionError:
        return
    raise AssertionError("the search finds nothing where nothing is sensitive")


def test_a_job_that_stops_quotes_no_key(new_job, new_topic):
    topic = new_topic(partitions=1)
    job = sensitive_job(new_job, topic)
    for statement in TABLES:
        job.database.execute(statement)
    job.view("next_seen", "SELECT secret, kafka_offset AS o FROM batch")
    job.write_config(state_tables={"seen": {"view": "next_seen", "key": "secret"}})
    topic.send_all([card(1, secret=MARKER), card(2, secret=MARKER)])
    done = job.run("run", "--until-caught-up", "--progress", "none", expect=1)
    assert "state table `seen`" in done.stderr and "not shown" in done.stderr, done.stderr
    assert_hidden({"the error": done.stderr})


def test_a_name_that_is_no_field_is_an_error(new_job, new_topic):
    topic = new_topic(partitions=1)
    job = sensitive_job(new_job, topic)
    job.write_config(sensitive=["person.nmae", "pin"])
    for command in (["check", "--offline"], ["run"], ["consume", "--count", "1"], ["dead-letters", "export"]):
        done = job.run(*command, expect=78)
        assert "sensitive: the messages have no field `person.nmae`" in done.stdout + done.stderr
        assert "did you mean `person.name`?" in done.stdout + done.stderr
        assert "config.yaml:" in done.stdout + done.stderr
    assert job.run("sql", "-c", "SELECT 1", expect=None).returncode != 0
