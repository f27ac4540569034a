"""How a job proves to a registry who it is, and the registry to the job: TLS, certificates and tokens that are wrong, that
expire, and that are exchanged while the job runs."""

import os
import shutil

import pytest

from certificates import DAY, Authority
from harness import terminate, wait_until
from schema_registry import (
    FIRST,
    THIRD_WHOLE,
    WRITTEN,
    Front,
    Memory,
    Tokens,
    Writers,
    basic,
    expected,
    framed,
    registry_job,
    rows,
    server_context,
)

WAITS = "messages whose schema is not known yet wait"
PAST = (-2 * DAY, -DAY)
SCHEMAS = {number: FIRST for number in range(1, 20)}


def message(schema_id, n):
    return framed(schema_id, WRITTEN[0], {"customer": n, "amount": n / 2})


@pytest.fixture
def served():
    """Closes the servers of a test when it is over."""
    servers = []

    def keep(server):
        servers.append(server)
        return server

    yield keep
    for server in servers:
        server.close()


def replace(certificate, job):
    """Puts a certificate and its key in the place of the job's, one after the other."""
    shutil.copy(certificate.file, job.folder / "client.pem")
    shutil.copy(certificate.key, job.folder / "client.key")


def test_the_real_registry_behind_tls_and_a_client_certificate(new_job, new_topic, database, registry, tmp_path, served):
    authority = Authority(tmp_path, "bank")
    front = served(Front(registry, server_context(authority.signs(), authority.file)))
    writers, topic = Writers(registry), new_topic(partitions=2)
    wanted = {topic.send(writers.payload(n % 3, n)): expected(n % 3, n) for n in range(30)}
    topic.flush()
    job = registry_job(
        new_job, topic, front.url, ca=str(authority.file), certificate="client.pem", key="client.key"
    )
    replace(authority.signs(), job)
    job.catch_up()
    assert rows(database) == wanted
    assert front.ids() == sorted(writers.ids[:3])


def test_a_client_certificate_is_exchanged_while_the_job_runs(new_job, new_topic, database, tmp_path, served):
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    server = first.signs()
    registry = served(Memory(SCHEMAS, server_context(server, first.file)))
    topic = new_topic(partitions=1)
    topic.send_all([message(1, 1)])
    job = registry_job(new_job, topic, registry.url, ca=str(first.file), certificate="client.pem", key="client.key")
    replace(first.signs(), job)
    process = job.start()
    job.wait_committed(1, 60, process)
    # From now on, clients need a certificate of the other authority. Its file is there before its key.
    registry.server.tls = server_context(server, second.file)
    new = second.signs()
    shutil.copy(new.file, job.folder / "client.pem")
    topic.send_all([message(2, 2)])
    wait_until(lambda: WAITS in process.stderr_text(), 30, process.stderr_text)
    assert "are no certificate and its key" in process.stderr_text()
    shutil.copy(new.key, job.folder / "client.key")
    job.wait_committed(2, 60, process)
    # An authority that is exchanged is a file that has changed, too.
    registry.server.tls = server_context(second.signs(), second.file)
    topic.send_all([message(3, 3)])
    wait_until(lambda: "its issuer is not known" in process.stderr_text(), 30, process.stderr_text)
    first.file.write_bytes(second.file.read_bytes())
    job.wait_committed(3, 60, process)
    assert [row[0] for row in rows(database).values()] == [1, 2, 3]
    assert database.value("SELECT COUNT(*) FROM dead_letters") == 0
    assert terminate(process) == 0


# What is wrong, and what is said about it. If waiting may help, the job waits.
WAITED_FOR = {
    "another authority": "has a certificate that is not trusted: its issuer is not known",
    "an expired server": "has a certificate that is not trusted: it has expired",
    "another name": "has a certificate that is not trusted: it is for another name",
    "no TLS": "does not speak TLS",
}
REFUSED = {
    "no client certificate": "refuses the client certificate: it wants one, and none is configured",
    "an expired client": "refuses the client certificate: it has expired",
    "a client of another authority": "refuses the client certificate: its issuer is not known to the server",
    "no authority in the file": "holds no certificate",
    "a file that is missing": "cannot be read",
    "another key": "are no certificate and its key",
}


@pytest.mark.parametrize("what", [*WAITED_FOR, *REFUSED])
def test_what_is_wrong_with_tls_is_said(new_job, new_topic, database, tmp_path, served, what):
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    server, client, key = ours.signs(), ours.signs(), None
    ca, clients = str(ours.file), None
    match what:
        case "another authority":
            ca = str(others.file)
        case "an expired server":
            server = ours.signs(valid=PAST)
        case "another name":
            server = ours.signs(address="10.0.0.1")
        case "no client certificate":
            client, clients = None, ours.file
        case "an expired client":
            client, clients = ours.signs(valid=PAST), ours.file
        case "a client of another authority":
            client, clients = others.signs(), ours.file
        case "no authority in the file":
            ca = str(client.key)
        case "a file that is missing":
            ca = "nowhere.pem"
        case "another key":
            key = ours.signs().key
    registry = served(Memory(SCHEMAS, None if what == "no TLS" else server_context(server, clients)))
    topic = new_topic(partitions=1)
    topic.send_all([message(1, 1)])
    login = {"ca": ca}
    if client:
        login |= {"certificate": str(client.file), "key": str(key or client.key)}
    job = registry_job(new_job, topic, registry.url.replace("http:", "https:"), **login)
    said = (WAITED_FOR | REFUSED)[what]
    listed = job.run("schema", "list", expect=1)
    assert said in listed.stderr and "hint: " in listed.stderr, listed.stderr
    if what in REFUSED:
        ended = job.run("run", "--until-caught-up", "--progress", "none", expect=1)
        assert said in ended.stderr, ended.stderr
    else:
        process = job.start()
        wait_until(lambda: WAITS in process.stderr_text(), 60, process.stderr_text)
        assert said in process.stderr_text()
        assert terminate(process) == 0
    assert database.committed(job.name) == 0
    assert registry.asked == []


def test_a_password_is_read_again_when_its_file_changes(new_job, new_topic, database, served):
    password = "first"
    registry = served(Memory(SCHEMAS, wanted=lambda: basic("realtime", password)))
    topic = new_topic(partitions=1)
    topic.send_all([message(1, 1)])
    job = registry_job(new_job, topic, registry.url, username="realtime", password_file="password")
    job.write("password", "first\n")
    process = job.start()
    job.wait_committed(1, 60, process)
    password = "second"
    job.write("password", "second\n")
    topic.send_all([message(2, 2)])
    job.wait_committed(2, 60, process)
    # What the registry does not take ends the job, and the next start goes on where it was.
    password = "third"
    topic.send_all([message(3, 3)])
    assert process.wait(60) == 1, process.stderr_text()
    assert "refuses access (status 401)" in process.stderr_text() and "hint: " in process.stderr_text()
    job.write("password", "third")
    job.catch_up()
    assert [row[0] for row in rows(database).values()] == [1, 2, 3]


def test_tokens_that_expire_are_exchanged_and_fail_for_a_while(new_job, new_topic, database, served):
    tokens = served(Tokens("realtime", "right", lifetime=1))
    registry = served(Memory(SCHEMAS, wanted=tokens.bearer))
    topic = new_topic(partitions=1)
    topic.send_all([message(1, 1)])
    login = {"token_url": f"{tokens.url}/token", "client_id": "realtime", "client_secret_file": "secret"}
    job = registry_job(new_job, topic, registry.url, timeout="2s", **login)
    job.write("secret", "right")
    process = job.start()
    job.wait_committed(1, 60, process)
    # One that lasts a second is asked for again for the next request.
    topic.send_all([message(2, 2)])
    job.wait_committed(2, 60, process)
    assert tokens.count == 2
    # One that lasts is used again, until the registry refuses it.
    tokens.lifetime = 3600
    for n in (3, 4):
        topic.send_all([message(n, n)])
        job.wait_committed(n, 60, process)
    assert tokens.count == 3
    tokens.count += 1
    topic.send_all([message(5, 5)])
    job.wait_committed(5, 60, process)
    assert tokens.count == 5
    # While no token can be had, messages wait.
    tokens.count += 1
    for n, fault in enumerate((500, "cut", "html", "half", "redirect"), 6):
        tokens.fault = lambda fault=fault: fault
        asked = len(tokens.asked)
        topic.send_all([message(n, n)])
        wait_until(lambda asked=asked: len(tokens.asked) > asked + 1, 30, process.stderr_text)
        assert database.committed(job.name) == n - 1
        tokens.fault = lambda: None
        job.wait_committed(n, 60, process)
        tokens.count += 1
    assert f"needs a token, and the token server {tokens.url}/token answers with status 500" in process.stderr_text()
    # A client that is refused ends the job.
    tokens.secret = "another"
    topic.send_all([message(11, 11)])
    assert process.wait(60) == 1, process.stderr_text()
    assert "refuses the client (status 401)" in process.stderr_text()
    job.write("secret", "another")
    job.catch_up()
    assert [row[0] for row in rows(database).values()] == list(range(1, 12))
    assert database.value("SELECT COUNT(*) FROM dead_letters") == 0


def test_an_id_that_comes_to_mean_another_schema_keeps_its_first(new_job, new_topic, database, served):
    """A registry that lies: one job decodes all messages of an id in one way, whichever instance asks, and when."""
    registry = served(Memory({1: FIRST}))
    topic = new_topic(partitions=2)
    job = registry_job(new_job, topic, registry.url)
    processes = [job.start(), job.start()]
    wait_until(lambda: all("assigned:" in process.stderr_text() for process in processes), 60, "both have joined")
    topic.send_all([message(1, 1)], partition=0)
    job.wait_committed(1, 60)
    registry.schemas[1] = THIRD_WHOLE
    topic.send_all([message(1, 2)], partition=1)
    job.wait_committed(2, 60)
    assert [terminate(process) for process in processes] == [0, 0]
    topic.send_all([message(1, 3)])
    job.catch_up()
    assert sorted(row[0] for row in rows(database).values()) == [1, 2, 3]
    assert database.value("SELECT COUNT(*) FROM dead_letters") == 0


def test_the_authorities_of_the_system_are_asked_without_ca(new_job, new_topic, tmp_path, served):
    ours = Authority(tmp_path, "ours")
    registry = served(Memory(SCHEMAS, server_context(ours.signs())))
    job = registry_job(new_job, new_topic(partitions=1), registry.url)
    refused = job.run("schema", "list", expect=1)
    assert "has a certificate that is not trusted: its issuer is not known" in refused.stderr, refused.stderr
    job.run("schema", "list", env={**os.environ, "SSL_CERT_FILE": str(ours.file)})
