"""Fixtures: what each test gets from the environment, and the measured figures printed at the end.

REALTIME_PROCESSOR   the program under test
KAFKA_SERVER, MYSQL_URL   the servers (scripts/services env)
FULL=1               the long forms: more messages, more kills
"""

import os
import subprocess
from pathlib import Path

import pytest

from harness import Database, Job, Services, Topic, unique
from schema_registry import Front, NoJava, Registry

FIGURES = []


def pytest_configure(config):
    config.addinivalue_line("markers", "outage: stops servers or changes their settings, so nothing else may use them meanwhile")


def required(name):
    value = os.environ.get(name)
    if not value:
        pytest.exit(f'{name} is not set (hint: eval "$(scripts/services env)", or run scripts/test-services)', 2)
    return value


@pytest.fixture(scope="session")
def full():
    """True for the long forms of the tests."""
    return os.environ.get("FULL") == "1"


@pytest.fixture(scope="session")
def binary():
    path = Path(required("REALTIME_PROCESSOR")).resolve()
    assert path.is_file(), f"{path} does not exist"
    return path


@pytest.fixture(scope="session")
def kafka_server():
    return required("KAFKA_SERVER")


@pytest.fixture
def services():
    services = Services()
    if not services.serves():
        pytest.skip("the servers in use were not started by scripts/services")
    return services


@pytest.fixture
def database():
    database = Database(required("MYSQL_URL"), unique("realtime_test"))
    database.create()
    yield database
    database.drop()


@pytest.fixture
def admin(database):
    """The test's database as the server's administrator sees it."""
    if "MYSQL_ADMIN_URL" not in os.environ:
        pytest.skip("needs MYSQL_ADMIN_URL")
    admin = Database(os.environ["MYSQL_ADMIN_URL"], database.name)
    yield admin
    admin.close()


@pytest.fixture
def user(database, admin):
    """Makes a user with this password who may do anything with the test's database."""
    made = []

    def make(password):
        name = unique("user")[:30]
        made.append(name)
        admin.execute(f"CREATE USER `{name}`@`%` IDENTIFIED BY {admin.connect().escape(password)}")
        admin.execute(f"GRANT ALL ON `{database.name}`.* TO `{name}`@`%`")
        return name

    yield make
    for name in made:
        admin.execute(f"DROP USER `{name}`@`%`")


@pytest.fixture
def new_topic(kafka_server):
    """Makes topics; they are deleted after the test."""
    made = []

    def make(partitions=4, word="test", **config):
        made.append(Topic(kafka_server, unique(word), partitions, **config))
        return made[-1]

    yield make
    for topic in made:
        topic.delete()


@pytest.fixture
def new_job(binary, tmp_path, database):
    """Makes jobs; what they started is ended after the test."""
    made = []

    def make(topic, **config):
        made.append(Job(binary, tmp_path / f"job{len(made)}", topic, config.pop("database", database), **config))
        return made[-1]

    yield make
    for job in made:
        job.end_all()


@pytest.fixture(scope="session")
def registry():
    """The real registry; it is started if it is not running."""
    try:
        return Registry.started()
    except NoJava:
        pytest.skip("no Java that the registry runs on")


@pytest.fixture
def front(registry):
    """An address in front of the real registry."""
    front = Front(registry)
    yield front
    front.close()


@pytest.fixture
def figure(request):
    """Notes a measured figure, printed when all tests have run."""

    def note(text):
        FIGURES.append(f"{request.node.name}: {text}")

    return note


def pytest_terminal_summary(terminalreporter):
    if FIGURES:
        terminalreporter.section("measured")
        for line in FIGURES:
            terminalreporter.write_line(line)


def pytest_report_header():
    version = "not set"
    if binary := os.environ.get("REALTIME_PROCESSOR"):
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
        version = f"{done.stdout.strip()} ({binary})"
    return f"program: {version}"
