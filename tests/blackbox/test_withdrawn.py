"""What servers take away while the job runs: writing, connections, rights, the topic. What may come back is waited for,
what does not ends the job with advice; either way nothing is lost or doubled."""

import time
from urllib.parse import urlsplit, urlunsplit

import pymysql
import pytest
from confluent_kafka.admin import NewTopic

from avro import movement
from counting import assert_each_once, counting_job
from harness import Database, terminate, unique, wait_until

# Longer than one pause of the job's retries.
AWAY_SECONDS = 3


@pytest.fixture
def own_user(database, admin):
    """A user that only this test's job has, with all rights on its database; gives the name and the job's database."""
    name = unique("user")
    admin.execute(f"CREATE USER `{name}`@`%%` IDENTIFIED BY 'secret'")
    admin.execute(f"GRANT ALL ON `{database.name}`.* TO `{name}`@`%%`")
    parts = urlsplit(database.server_url)
    address = urlunsplit(parts._replace(netloc=f"{name}:secret@{parts.hostname}:{parts.port}"))
    yield f"`{name}`@`%%`", Database(address, database.name)
    admin.execute(f"DROP USER `{name}`@`%%`")


def running_job(new_job, new_topic, database, own_user):
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic, database=own_user[1], batch_rows_max=500)
    job.database = database
    topic.send_all(movement(n) for n in range(5_000))
    process = job.start()
    job.wait_committed(5_000, 30, process)
    return topic, job, process


def cut_sessions(admin, user):
    name = user.split("`")[1]
    for (session,) in admin.rows("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s", name):
        try:
            admin.execute(f"KILL {session}")
        except pymysql.Error:
            # It ended by itself meanwhile.
            pass


@pytest.mark.outage
def test_a_server_that_only_reads_is_waited_for(new_job, new_topic, database, admin, services, own_user):
    """As after a failover, until the new primary takes writes."""
    topic, job, process = running_job(new_job, new_topic, database, own_user)
    admin.execute("SET GLOBAL read_only = ON")
    try:
        topic.send_all(movement(n) for n in range(5_000, 10_000))
        time.sleep(AWAY_SECONDS)
        assert process.poll() is None, process.stderr_text()
        assert database.committed(job.name) == 5_000
    finally:
        admin.execute("SET GLOBAL read_only = OFF")
    job.wait_committed(10_000, 30, process)
    assert terminate(process) == 0, process.stderr_text()
    assert_each_once(job, 10_000)


def test_too_many_connections_are_waited_for(new_job, new_topic, database, admin, own_user):
    user, login = own_user
    topic, job, process = running_job(new_job, new_topic, database, own_user)
    admin.execute(f"ALTER USER {user} WITH MAX_USER_CONNECTIONS 1")
    cut_sessions(admin, user)
    other = wait_until(lambda: connection_of(login), 5, "the one connection of the user")
    topic.send_all(movement(n) for n in range(5_000, 10_000))
    cut_others(admin, user, other)
    time.sleep(AWAY_SECONDS)
    assert process.poll() is None, process.stderr_text()
    other.close()
    admin.execute(f"ALTER USER {user} WITH MAX_USER_CONNECTIONS 0")
    job.wait_committed(10_000, 60, process)
    assert terminate(process) == 0, process.stderr_text()
    assert_each_once(job, 10_000)


def connection_of(login):
    try:
        return login.connect()
    except pymysql.Error:
        return None


def cut_others(admin, user, kept):
    name = user.split("`")[1]
    sessions = admin.rows("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s", name)
    for (session,) in sessions:
        if session != kept.thread_id():
            admin.execute(f"KILL {session}")


def test_a_right_that_is_withdrawn_ends_the_job(new_job, new_topic, database, admin, own_user):
    """It is nobody's data and does not come back by itself: exit code 1, no dead letter, all that was committed there."""
    user, _ = own_user
    topic, job, process = running_job(new_job, new_topic, database, own_user)
    admin.execute(f"REVOKE INSERT ON `{database.name}`.* FROM {user}")
    cut_sessions(admin, user)
    topic.send_all(movement(n) for n in range(5_000, 10_000))
    assert process.wait(timeout=30) == 1, process.stderr_text()
    said = process.stderr_text()
    assert "denied" in said and "hint: GRANT the right to the user of `database`" in said, said
    assert database.committed(job.name) == 5_000
    admin.execute(f"GRANT INSERT ON `{database.name}`.* TO {user}")
    job.catch_up()
    assert_each_once(job, 10_000)


def test_a_topic_that_is_deleted(new_job, new_topic, database):
    """What was committed stays; the job says that the topic is gone, and waits for it."""
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic, batch_rows_max=500)
    topic.send_all(movement(n) for n in range(5_000))
    process = job.start()
    job.wait_committed(5_000, 30, process)
    topic.delete()
    gone = f"Subscribed topic not available: {topic.name}"
    try:
        wait_until(lambda: gone in process.stderr_text(), 60, process.stderr_text)
        assert process.poll() is None, process.stderr_text()
    finally:
        # The fixture deletes it again.
        again = NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=1)
        topic.admin.create_topics([again])[topic.name].result(timeout=30)
    process.kill()
    process.wait()
    assert_each_once(job, 5_000)
