"""A job that knows a secret of every kind fails in every way, and none of its secrets is in anything that can be seen: what the
commands print, both forms of the log, the page and all that it reads, the metrics, and every table of the database."""

import itertools
import os
import urllib.error
import urllib.request
from urllib.parse import quote, urlsplit

import pytest

from harness import terminate, wait_until
from hidden import assert_hidden
from schema_registry import FIRST, WRITTEN, Memory, Tokens, basic, framed, registry_job
from watched import free_port

# Each of pieces that no output has by chance.
DATABASE, SASL, REGISTRY, HTTP = "Xk4vQw8zRt3b", "Bn6jHy2mLp7c", "Gd9sTf5xKw1q", "Vr8nZc4hMj6yPq2w"
WAITS = "messages whose schema is not known yet wait"
# The loudest that each library can be.
LOUD = "debug,librdkafka=trace,reqwest=trace,hyper=trace,hyper_util=trace,rustls=trace,mysql_async=trace"
PATHS = (
    "/",
    "/metrics",
    "/livez",
    "/readyz",
    "/api/status",
    "/api/history",
    "/api/views",
    "/api/events-log",
    "/api/config",
    "/api/rows?view=seen",
    "/api/query?sql=SELECT%20*%20FROM%20seen",
    "/api/dead-letters",
    "/api/sql",
    "/nothing",
)
COMMANDS = (
    ("config",),
    ("config", "--format", "json"),
    ("check", "--format", "json"),
    ("schema", "list"),
    ("offsets", "show"),
    ("dead-letters", "list"),
    ("dead-letters", "export"),
    ("consume", "--count", "1"),
    ("sql", "-c", "SELECT count(*) FROM batch"),
)


class Project:
    """A job with secrets everywhere, its registry, and all that was seen of it."""

    def __init__(self, new_job, topic, database, user, login):
        self.database, self.seen, self.logs = database, [], itertools.cycle(("text", "json"))
        self.tokens = Tokens("realtime", REGISTRY, word=REGISTRY)
        self.registry = Memory({1: FIRST}, wanted=lambda: self.wanted())
        # Whom a redirect leads to.
        self.stranger = Memory({1: FIRST})
        self.registry.elsewhere = self.stranger.url
        keys, self.wanted = self.login(login)
        self.listens = f"127.0.0.1:{free_port()}"
        self.job = registry_job(new_job, topic, self.registry.url, timeout="400ms", **keys)
        server = urlsplit(database.url).netloc.rpartition("@")[2]
        self.name = user(DATABASE)
        self.address = f"mysql://{self.name}:{DATABASE}@{server}/{database.name}"
        self.job.write_config(
            database=self.address, http=self.listens, http_token=HTTP, kafka_properties={"sasl.password": SASL}
        )
        self.job.write("secret", REGISTRY + "\n")

    def login(self, word):
        """The keys of a way to log in, and what returns the header that the registry then wants."""
        oauth = {"token_url": f"{self.tokens.url}/token", "client_id": "realtime"}
        user, bearer = (lambda: basic("realtime", REGISTRY)), (lambda: f"Bearer {REGISTRY}")
        return {
            "password": ({"username": "realtime", "password": REGISTRY}, user),
            "password_file": ({"username": "realtime", "password_file": "secret"}, user),
            "token": ({"token": REGISTRY}, bearer),
            "token_file": ({"token_file": "secret"}, bearer),
            "client_secret": ({**oauth, "client_secret": REGISTRY}, self.tokens.bearer),
            "client_secret_file": ({**oauth, "client_secret_file": "secret"}, self.tokens.bearer),
        }[word]

    def registry_keys(self, **changes):
        return {**self.job.config["schema_registry"], **changes}

    def close(self):
        for server in (self.tokens, self.registry, self.stranger):
            server.close()

    def commands(self, *commands):
        for command in commands or COMMANDS:
            done = self.job.run(*command, expect=None, env={**os.environ, "RUST_LOG": LOUD}, timeout=60)
            self.seen += [done.stdout, done.stderr]

    def run(self, until, code=1):
        """Runs the job until this is logged, or until it ends with this code if `until` is None; looks at all that it shows."""
        process = self.job.start("--log", next(self.logs), env={**os.environ, "RUST_LOG": LOUD})
        if until is None:
            assert process.wait(60) == code, process.stderr_text()[-3000:]
        else:
            wait_until(lambda: until in process.stderr_text(), 60, lambda: process.stderr_text()[-3000:])
            self.seen += [self.page(path) for path in PATHS]
            assert terminate(process, 60) in (0, 1)
        self.seen.append(process.stderr_text())

    def page(self, path):
        """What the job answers, to one who has the token and to one who has not."""
        found = []
        for headers in ({"Authorization": f"Bearer {HTTP}"}, {}):
            request = urllib.request.Request(f"http://{self.listens}{path}", headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    found.append(answer.read().decode("utf-8", "replace"))
            except urllib.error.HTTPError as error:
                found.append(error.read().decode("utf-8", "replace"))
        assert found[0] != found[1], path
        return "\n".join(found)

    def tables(self):
        """All rows of all tables, as text."""
        names = [name for (name,) in self.database.rows("SHOW TABLES")]
        return "\n".join(f"{name}: {row!r}" for name in names for row in self.database.rows(f"SELECT * FROM `{name}`"))

    def assert_nothing_is_seen(self):
        assert any(self.seen)
        seen = [*self.seen, self.tables()]
        for secret in (DATABASE, SASL, REGISTRY, HTTP):
            assert_hidden(secret, *seen)
        # As it is sent, without the user's name.
        coded = basic("realtime", REGISTRY).split()[1]
        assert coded[len(coded) // 2 : -2] not in "\n".join(seen)


@pytest.fixture
def project(new_job, new_topic, database, user):
    made = []

    def make(login):
        topic = new_topic(partitions=1)
        topic.send_all([framed(1, WRITTEN[0], {"customer": 1, "amount": 1.0})])
        made.append(Project(new_job, topic, database, user, login))
        return made[-1]

    yield make
    for each in made:
        each.close()


# A way to log in, what the registry does, and what is logged of it; None: the job ends.
FAILURES = (
    ("password", 401, None),
    ("token", 403, None),
    ("password_file", 500, WAITS),
    ("token_file", 404, WAITS),
    ("password", 407, WAITS),
    ("token", "cut", WAITS),
    ("password_file", "half", WAITS),
    ("token_file", "html", WAITS),
    ("password", "slow", WAITS),
    ("token", "redirect", WAITS),
    ("client_secret", "html", WAITS),
    ("client_secret_file", 401, None),
    ("client_secret", "redirect", WAITS),
)


@pytest.mark.parametrize("login, fault, until", FAILURES)
def test_a_registry_that_fails_shows_no_secret(project, login, fault, until):
    project = project(login)
    project.registry.fault = lambda: fault
    project.run(until)
    project.commands()
    assert len(project.registry.asked) > 1
    # Credentials go to the address that is configured, and nowhere else.
    assert project.stranger.asked == []
    project.assert_nothing_is_seen()


@pytest.mark.parametrize("login", ["password", "token_file", "client_secret"])
def test_what_a_registry_repeats_of_the_credentials_is_not_shown(project, login):
    """`Memory` names what it was sent in its errors: here that it does not know the schema."""
    project = project(login)
    project.registry.schemas = {}
    process = project.job.start()
    project.job.wait_committed(1, 60, process)
    project.seen += [project.page(path) for path in PATHS]
    assert terminate(process) == 0
    project.seen.append(process.stderr_text())
    project.commands()
    reason = project.database.value("SELECT reason FROM dead_letters")
    assert "does not know schema id 1: a message that repeats the credentials (40403)" in reason, reason
    project.assert_nothing_is_seen()


def test_tls_and_addresses_that_are_wrong_show_no_secret(project):
    project = project("password")
    plain = project.registry.url.rpartition(":")[2]
    for url in (f"https://127.0.0.1:{plain}", "http://127.0.0.1:1", "http://no-such-host.invalid"):
        project.job.write_config(schema_registry=project.registry_keys(url=url))
        project.run(WAITS)
        project.commands(("schema", "list"), ("check",))
    files = {"ca": "secret", "certificate": "secret", "key": "secret"}
    project.job.write_config(schema_registry=project.registry_keys(url=f"https://127.0.0.1:{plain}", **files))
    project.run(None)
    project.commands()
    project.assert_nothing_is_seen()


def test_a_client_that_the_token_server_refuses_shows_no_secret(project):
    project = project("client_secret_file")
    for fault, until in ((401, None), (400, None), (500, WAITS), ("html", WAITS), ("redirect", WAITS), ("cut", WAITS)):
        project.tokens.fault = lambda fault=fault: fault
        project.run(until)
        project.commands(("schema", "list"), ("check",))
    project.tokens.fault = lambda: None
    project.tokens.secret = "another"
    project.run(None)
    project.commands()
    assert project.registry.asked == []
    project.assert_nothing_is_seen()


def test_a_configuration_that_is_wrong_shows_no_secret(project):
    project = project("password")
    host = project.registry.url.removeprefix("http://")
    coded = quote(REGISTRY, safe="")
    for changes in (
        {"url": f"http://realtime:{REGISTRY}@{host}"},
        {"url": [project.registry.url, f"http://{REGISTRY}@{host}"]},
        {"url": f"{project.registry.url}/?token={REGISTRY}"},
        {"url": f"{project.registry.url}/#{coded}"},
        {"url": REGISTRY},
        {"url": f"ftp://realtime:{REGISTRY}@{host}"},
        {"url": f"http://{REGISTRY}:{REGISTRY}"},
        {"pasword": REGISTRY},
        {"password": [REGISTRY]},
        {"password": {REGISTRY: 1}},
        {"token": REGISTRY},
        {"token_url": f"http://realtime:{REGISTRY}@{host}", "client_id": "c", "client_secret": REGISTRY},
    ):
        project.job.write_config(schema_registry=project.registry_keys(**changes))
        code = project.job.run("check", expect=None).returncode
        assert code, changes
        project.commands(("check",), ("check", "--format", "json"), ("config",), ("run", "--until-caught-up"))
        project.job.write_config(schema_registry=project.registry_keys())
    project.job.write_config(schema_registry=REGISTRY)
    project.commands(("check",), ("config",))
    assert REGISTRY not in "".join(project.registry.asked)
    project.assert_nothing_is_seen()


def test_servers_that_refuse_show_no_secret(project, admin):
    project = project("token")
    # Kafka wants to be spoken to in another way, and the database has another password.
    sasl = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "realtime"}
    project.job.write_config(kafka_properties={**sasl, "sasl.password": SASL, "debug": "all"})
    project.commands(("run", "--until-caught-up", "--progress", "none"), *COMMANDS)
    project.job.write_config(kafka_properties={"sasl.password": SASL})
    admin.execute(f"ALTER USER `{project.name}`@`%` IDENTIFIED BY 'another'")
    project.run(None, code=78)
    project.commands()
    server = urlsplit(project.address).netloc.rpartition("@")[2]
    project.job.write_config(database=project.address.replace(server, "127.0.0.1:1"))
    project.commands(("check",), ("config",), ("offsets", "show"), ("dead-letters", "list"))
    project.assert_nothing_is_seen()


def test_a_job_that_works_shows_no_secret(project):
    for login in ("password_file", "client_secret"):
        each = project(login)
        process = each.job.start()
        each.job.wait_committed(1, 60, process)
        each.seen += [each.page(path) for path in PATHS]
        assert terminate(process) == 0
        each.seen.append(process.stderr_text())
        each.commands(("config",), ("check", "--format", "json"), ("sql", "-c", "SELECT * FROM batch"))
        assert each.database.value("SELECT COUNT(*) FROM seen") >= 1
        each.assert_nothing_is_seen()
