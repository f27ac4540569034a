"""Whatever is killed, and whenever: every message is in the table exactly once."""

import json
import os
import random
import signal
import subprocess
import time

import pymysql
import pytest

from avro import movement
from counting import assert_each_once, counting_job
from harness import Database, terminate, wait_until

# A killed member blocks its partitions for the session timeout (6 s), an instance with a name does not.
RESTART_SECONDS_MAX = 7.0
NAMED_RESTART_SECONDS_MAX = 1.0
CUTS_MAX = 60
SERVER_SETTLES_SECONDS = 0.2


@pytest.mark.parametrize(
    ("instance", "lanes"), [(None, 1), ("one", 1), ("one", 2)], ids=["nameless", "named", "two lanes"]
)
def test_kill_nine_during_a_catch_up(new_job, new_topic, database, full, figure, instance, lanes):
    messages, kills = (2_000_000, 20) if full else (200_000, 5)
    topic = new_topic(partitions=4)
    job = counting_job(new_job, topic, batch_rows_max=1000, instance=instance, write_connections=lanes)
    topic.send_all(movement(n) for n in range(messages))
    rng = random.Random(5)
    restarts = []
    for turn in range(kills):
        # A commit that was under way when the process was killed may still happen in the server.
        time.sleep(SERVER_SETTLES_SECONDS)
        before = database.committed(job.name)
        begun = time.monotonic()
        process = job.start("--until-caught-up")

        def has_committed(process=process, before=before):
            assert process.poll() is None, process.stderr_text()
            return database.committed(job.name) > before

        wait_until(has_committed, 30, lambda process=process: process.stderr_text())
        restarts.append(time.monotonic() - begun)
        # Anywhere in a trigger, but early enough that there is something left to kill in.
        time.sleep(rng.uniform(0, 0.3 if full else 0.1))
        assert process.poll() is None, f"caught up before kill {turn + 1} of {kills}"
        process.send_signal(signal.SIGKILL)
        process.wait()
    job.catch_up()
    assert database.committed(job.name) == messages
    assert_each_once(job, messages)
    again = restarts[1:]
    figure(f"{kills} kills; start to first new commit: {min(again):.2f} to {max(again):.2f} s")
    # The first start is no restart: nothing was killed before it.
    assert max(again) < (NAMED_RESTART_SECONDS_MAX if instance else RESTART_SECONDS_MAX)


@pytest.mark.parametrize("lanes", [1, 2])
def test_two_instances_share_and_hand_over(new_job, new_topic, database, lanes):
    """Instances come and go, in good order and killed, while messages arrive."""
    topic = new_topic(partitions=8)
    job = counting_job(new_job, topic, batch_rows_max=500, write_connections=lanes)
    count = 0

    def send(more):
        nonlocal count
        topic.send_all(movement(n) for n in range(count, count + more))
        count += more

    send(20_000)
    first = job.start()
    job.wait_committed(1, 30, first)
    second = job.start()
    for _ in range(10):
        send(2_000)
        time.sleep(0.2)
    assert terminate(first) == 0, first.stderr_text()
    send(20_000)
    third = job.start()
    for _ in range(10):
        send(2_000)
        time.sleep(0.2)
    second.kill()
    second.wait()
    send(20_000)
    job.wait_committed(count, 60, third)
    assert terminate(third) == 0, third.stderr_text()
    assert_each_once(job, count)


@pytest.mark.parametrize("partitions", [1, 8])
def test_lanes_share_partitions_out_and_some_may_have_none(new_job, new_topic, database, partitions):
    topic = new_topic(partitions=partitions)
    job = counting_job(new_job, topic, batch_rows_max=500, write_connections=4)
    topic.send_all(movement(n) for n in range(20_000))
    done = job.run("run", "--until-caught-up", "--progress", "json")
    batches = [json.loads(line) for line in done.stdout.splitlines()]
    assert [batch["batchId"] for batch in batches] == list(range(len(batches)))
    # The group gives all partitions at once, so they go to the lanes in turn.
    moved = [{int(partition) % 4 for partition in batch["sources"][0]["endOffset"]} for batch in batches]
    assert all(len(lanes) == 1 for lanes in moved), "a batch is of one lane"
    assert set().union(*moved) == set(range(min(partitions, 4))), "every lane has had a batch"
    assert_each_once(job, 20_000)


def test_a_frozen_instance_cannot_write_when_it_wakes(new_job, new_topic, database):
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic, batch_rows_max=200)
    topic.send_all(movement(n) for n in range(100_000))
    frozen = job.start()
    job.wait_committed(1, 30, frozen)
    frozen.send_signal(signal.SIGSTOP)
    held = database.committed(job.name)
    other = job.start()
    # At most the session timeout, and the time MySQL keeps the frozen session's locks.
    job.wait_committed(max(held + 1, 20_000), 60, other)
    frozen.send_signal(signal.SIGCONT)
    topic.send_all(movement(n) for n in range(100_000, 120_000))
    try:
        job.wait_committed(120_000, 90, other)
    except AssertionError as error:
        raise AssertionError(f"{error}\nthe instance that was frozen: {frozen.stderr_text()}") from error
    assert frozen.poll() is None, f"woken, the first instance ended: {frozen.stderr_text()}"
    assert terminate(frozen) == 0, frozen.stderr_text()
    assert terminate(other) == 0, other.stderr_text()
    assert_each_once(job, 120_000)


def test_sigterm_commits_the_batch_in_hand(new_job, new_topic, database):
    topic = new_topic(partitions=4)
    job = counting_job(new_job, topic, batch_rows_max=1000)
    topic.send_all(movement(n) for n in range(100_000))
    for sign in (signal.SIGTERM, signal.SIGINT):
        process = job.start()
        before = database.committed(job.name)
        job.wait_committed(before + 1, 30, process)
        process.send_signal(sign)
        assert process.wait(timeout=10) == 0, process.stderr_text()
        stored = database.committed(job.name)
        assert database.value("SELECT COUNT(*) FROM counted") == stored < 100_000
    job.catch_up()
    assert_each_once(job, 100_000)


def test_a_restart_in_good_order_is_quick(new_job, new_topic, database, figure):
    """SIGTERM leaves the group, so the next start waits for no session timeout."""
    topic = new_topic(partitions=4)
    job = counting_job(new_job, topic)
    took = []
    for turn in range(5):
        topic.send_all([movement(turn)])
        begun = time.monotonic()
        process = job.start()
        job.wait_committed(turn + 1, 30, process)
        took.append(time.monotonic() - begun)
        assert terminate(process) == 0, process.stderr_text()
    figure(f"start to commit: {min(took):.2f} to {max(took):.2f} s")
    assert max(took) < RESTART_SECONDS_MAX


def test_cut_connections(new_job, new_topic, database):
    """MySQL sessions of the job are killed again and again: it connects anew and goes on."""
    if "MYSQL_ADMIN_URL" not in os.environ:
        pytest.skip("needs MYSQL_ADMIN_URL")
    admin = Database(os.environ["MYSQL_ADMIN_URL"], "mysql")
    topic = new_topic(partitions=4)
    job = counting_job(new_job, topic, batch_rows_max=1000)
    topic.send_all(movement(n) for n in range(200_000))
    process = job.start("--until-caught-up")
    job.wait_committed(1, 30, process)
    # The test's own session is none of the job's.
    database.close()
    killed = 0
    try:
        while process.poll() is None and killed < CUTS_MAX:
            for (session,) in admin.rows("SELECT ID FROM information_schema.PROCESSLIST WHERE DB = %s", database.name):
                try:
                    admin.execute(f"KILL {session}")
                    killed += 1
                except pymysql.Error:
                    # It ended by itself meanwhile.
                    pass
            time.sleep(0.4)
        assert process.wait(timeout=60) == 0, process.stderr_text()
    finally:
        admin.close()
    assert killed > 0
    assert_each_once(job, 200_000)


def test_a_second_signal_leaves_at_once(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic, batch_rows_max=100)
    topic.send_all(movement(n) for n in range(50_000))
    process = job.start()
    job.wait_committed(1, 30, process)
    with database.connect() as lock:
        lock.cursor().execute("LOCK TABLES counted WRITE, realtime_offsets WRITE")
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            pytest.fail("a second signal did not end it")
        assert time.monotonic() - begun < 1
    job.catch_up()
    assert_each_once(job, 50_000)
