"""Servers go away and come back: the job waits, says so once, and goes on; nothing is lost or doubled.

These tests stop servers, so nothing else may use the same ones meanwhile (`-m "not outage"` leaves them out).
"""

import re
import threading
import time

import pytest

from avro import movement
from counting import assert_each_once, counting_job
from harness import terminate, wait_until
from proxy import CommitCutter

OUTAGE_SECONDS = 20


class Trickle(threading.Thread):
    """Sends messages at a steady rate until it is told to stop."""

    def __init__(self, topic, start, rate):
        super().__init__(daemon=True)
        self.topic, self.next, self.rate = topic, start, rate
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.wait(0.05):
            for _ in range(self.rate // 20):
                self.topic.send(movement(self.next))
                self.next += 1
            self.topic.producer.poll(0)

    def stop(self):
        self.stopping.set()
        self.join()
        self.topic.flush()
        return self.next


@pytest.mark.outage
@pytest.mark.parametrize("way", ["stop", "kill"])
@pytest.mark.parametrize("server", ["mysql", "kafka"])
def test_a_server_is_away(new_job, new_topic, database, services, figure, server, way):
    topic = new_topic(partitions=4)
    job = counting_job(new_job, topic, batch_rows_max=1000)
    topic.send_all(movement(n) for n in range(50_000))
    process = job.start()
    job.wait_committed(1, 30, process)
    trickle = Trickle(topic, 50_000, rate=2000)
    trickle.start()
    time.sleep(1)
    services(way, server)
    said_before = len(process.stderr_text())
    time.sleep(OUTAGE_SECONDS)
    said = process.stderr_text()[max(0, said_before - 500) :]
    assert process.poll() is None, f"the job ended with {process.returncode}: {said}"
    begun = time.monotonic()
    services("start", server)
    back = time.monotonic()
    database.close()
    at = database.committed(job.name)
    wait_until(lambda: database.committed(job.name) > at, 60, process.stderr_text)
    figure(f"{server} back after {back - begun:.1f} s, next commit {time.monotonic() - back:.2f} s later")
    time.sleep(1)
    count = trickle.stop()
    job.wait_committed(count, 60, process)
    assert terminate(process) == 0, process.stderr_text()
    assert_each_once(job, count)
    lines = [line for line in said.splitlines() if line.strip()]
    figure(f"said while {server} was away ({way}): {len(lines)} lines, such as: {lines[-1] if lines else 'nothing'}")
    assert re.search(r"wait|retry|again|away|unreachable|lost|down", said, re.IGNORECASE), said
    assert len(lines) <= 60, "it goes on and on about it"


@pytest.mark.outage
def test_sigterm_while_the_database_is_away(new_job, new_topic, database, services):
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic, batch_rows_max=1000)
    topic.send_all(movement(n) for n in range(50_000))
    process = job.start()
    job.wait_committed(1, 30, process)
    services("stop", "mysql")
    try:
        topic.send_all(movement(n) for n in range(50_000, 60_000))
        time.sleep(2)
        begun = time.monotonic()
        assert terminate(process, seconds=20) == 1, process.stderr_text()
        assert time.monotonic() - begun < 12
    finally:
        services("start", "mysql")
    database.close()
    job.catch_up()
    assert_each_once(job, 60_000)


def test_the_answer_to_commit_is_lost(new_job, new_topic, database):
    """The connection breaks after COMMIT was sent and before its answer came: it may have happened, or not."""
    topic = new_topic(partitions=4)
    with CommitCutter(database.server_url) as cutter:
        proxied = type(database)(cutter.url, database.name)
        job = counting_job(new_job, topic, batch_rows_max=500, database=proxied)
        job.database = database
        topic.send_all(movement(n) for n in range(40_000))
        process = job.start("--until-caught-up")
        assert process.wait(timeout=120) == 0, process.stderr_text()
        assert cutter.cuts_after > 3 and cutter.cuts_before > 3, "the proxy saw COMMITs to cut"
    assert_each_once(job, 40_000)


def test_a_lock_is_waited_for(new_job, new_topic, database):
    """Another session holds what the job needs for longer than its lock wait: no dead letter, no loss."""
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic, batch_rows_max=500)
    topic.send_all(movement(n) for n in range(20_000))
    process = job.start()
    job.wait_committed(1, 30, process)
    other = database.connect()
    other.begin()
    other.cursor().execute("SELECT * FROM realtime_offsets FOR UPDATE")
    time.sleep(12)
    held = database.committed(job.name)
    time.sleep(0.5)
    assert database.committed(job.name) == held
    other.rollback()
    other.close()
    job.wait_committed(20_000, 60, process)
    assert terminate(process) == 0
    assert_each_once(job, 20_000)


def test_a_locked_table_is_waited_for(new_job, new_topic, database):
    """The table is locked for writing by another session, as in a backup."""
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic, batch_rows_max=500)
    topic.send_all(movement(n) for n in range(5_000))
    job.catch_up()
    with database.connect() as other:
        other.cursor().execute("LOCK TABLES counted READ")
        topic.send_all(movement(n) for n in range(5_000, 10_000))
        process = job.start()
        time.sleep(8)
        assert process.poll() is None, process.stderr_text()
        other.cursor().execute("UNLOCK TABLES")
    job.wait_committed(10_000, 60, process)
    assert terminate(process) == 0, process.stderr_text()
    assert_each_once(job, 10_000)
