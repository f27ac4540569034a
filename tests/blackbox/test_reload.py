"""SQL that changes while the job runs: every row has the value of the version that the database has for it."""

import json
import os
import re
import signal
import threading
import time

from avro import MOVEMENT, movement
from harness import terminate, wait_until

VIEW = "SELECT customer AS n, kafka_partition AS p, kafka_offset AS o, {rule} AS rule FROM batch"
FAULTY = "SELECT customer AS n, kafka_partition AS p, kafka_offset AS o, {rule} AS rule FROM bach"


def ruled_job(new_job, topic, **config):
    job = new_job(topic, outputs={"ruled": {"table": "ruled", "mode": "append"}}, reference_tables={}, **config)
    job.write("schema.avsc", MOVEMENT)
    job.view("ruled", VIEW.format(rule=0))
    return job


def versions_by_partition(job):
    """For each partition its versions in order, each as (first offset, rule)."""
    database = job.database
    rules = {}
    for version, files in database.rows("SELECT version, files FROM realtime_sql_versions"):
        rules[version] = int(re.search(r"(\d+) AS rule", json.loads(files)["ruled"])[1])
    history = database.rows(
        "SELECT kafka_partition, from_offset, version FROM realtime_sql_history WHERE job = %s ORDER BY 1, 2", job.name
    )
    found = {}
    for partition, offset, version in history:
        found.setdefault(partition, []).append((offset, rules[version]))
    return found


def assert_rows_are_of_their_versions(job, count):
    """Every message has one row, whose rule is that of the version recorded for its offset."""
    database = job.database
    assert database.rows("SELECT COUNT(*), COUNT(DISTINCT n), MIN(n), MAX(n) FROM ruled") == [
        (count, count, 0, count - 1)
    ]
    expected = set()
    ends = dict(database.rows("SELECT kafka_partition, next_offset FROM realtime_offsets WHERE job = %s", job.name))
    for partition, versions in versions_by_partition(job).items():
        starts = [offset for offset, _ in versions]
        for (start, rule), end in zip(versions, starts[1:] + [ends[partition]], strict=True):
            expected.add((partition, rule, start, end - 1, end - start))
    found = set(database.rows("SELECT p, rule, MIN(o), MAX(o), COUNT(*) FROM ruled GROUP BY p, rule"))
    assert found == expected
    return {rule for _, rule, *_ in found}


def test_sql_changes_under_load(new_job, new_topic, full, figure):
    seconds, rate = (60, 50_000) if full else (6, 4_000)
    topic = new_topic(partitions=4)
    job = ruled_job(new_job, topic)
    process = job.start()
    sent = 0

    def send():
        nonlocal sent
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < seconds:
            for _ in range(int(passed * rate) - sent):
                topic.send(movement(sent))
                sent += 1
            time.sleep(0.002)
        topic.flush()

    sender = threading.Thread(target=send)
    sender.start()
    job.wait_committed(1, 30, process)
    changes = 0
    while sender.is_alive():
        changes += 1
        # Half of them are faulty, and change nothing.
        job.view("ruled", (FAULTY if changes % 2 else VIEW).format(rule=changes))
        process.send_signal(signal.SIGHUP)
        time.sleep(1 if full else 0.5)
    sender.join()
    job.wait_committed(sent, 120, process)
    assert terminate(process) == 0, process.stderr_text()
    rules = assert_rows_are_of_their_versions(job, sent)
    faults = process.stderr_text().count("error: no view or table `bach`")
    figure(f"{sent} messages at {sent / seconds:.0f}/s, {changes} changes, {len(rules)} versions in use, {faults} refused")
    assert all(rule % 2 == 0 for rule in rules)
    assert len(rules) >= changes // 2 - 2, (changes, rules, process.stderr_text())
    assert faults >= changes // 2 - 2, process.stderr_text()


def test_a_changed_file_is_noticed(new_job, new_topic):
    topic = new_topic(partitions=1)
    job = ruled_job(new_job, topic, reload="watch")
    topic.send_all([movement(0)])
    process = job.start()
    job.wait_committed(1, 30, process)
    job.view("ruled", VIEW.format(rule=7))
    wait_until(lambda: "the SQL in use has changed" in process.stderr_text(), 10, process.stderr_text)
    topic.send_all([movement(1)])
    job.wait_committed(2, 30, process)
    assert terminate(process) == 0, process.stderr_text()
    assert job.database.rows("SELECT o, rule FROM ruled ORDER BY o") == [(0, 0), (1, 7)]


def test_a_signal_brings_thresholds_and_reference_tables_and_names_what_it_cannot(new_job, new_topic):
    topic = new_topic(partitions=1)
    job = ruled_job(new_job, topic)
    job.write("rates.csv", "customer,rate\n0,1\n1,1\n")
    job.write_config(
        reference_tables={
            "rates": {"file": "rates.csv", "key": "customer", "matches": "customer", "refresh_interval": "1h"}
        }
    )
    joined = "SELECT b.customer AS n, b.kafka_offset AS o, r.rate FROM batch b LEFT JOIN rates r ON r.customer = b.customer"
    job.view("ruled", joined)
    topic.send_all([movement(0)])
    process = job.start("--pid-file", "job.pid")
    job.wait_committed(1, 30, process)
    # As `kill -HUP $(cat job.pid)` sends it. The log has the number too.
    pid_file = job.folder / "job.pid"
    pid = int(pid_file.read_text())
    assert pid == process.pid and f"this is process {pid}, of the job {job.name}" in process.stderr_text()
    job.write("rates.csv", "customer,rate\n0,1\n1,2\n")
    job.write_config(dead_letters_max_ratio=0.5)
    os.kill(pid, signal.SIGHUP)
    wait_until(lambda: "read again: the SQL is the same" in process.stderr_text(), 10, process.stderr_text)
    topic.send_all([movement(1)])
    job.wait_committed(2, 30, process)
    assert job.database.rows("SELECT o, rate FROM ruled ORDER BY o") == [(0, 1), (1, 2)]
    job.write_config(batch_rows_max=5, memory_max="128MiB")
    process.send_signal(signal.SIGHUP)
    refused = "needs a restart: batch_rows_max, memory_max"
    wait_until(lambda: refused in process.stderr_text(), 10, process.stderr_text)
    topic.send_all([movement(0)])
    job.wait_committed(3, 30, process)
    assert terminate(process) == 0, process.stderr_text()
    assert not pid_file.exists(), "it is the file of a process that runs"
