"""What the program costs: memory, start, idle time. Memory has limits that fail; times are measured and printed."""

import os
import time

from avro import MOVEMENT, double, movement, string, varint
from counting import assert_each_once, counting_job
from harness import Resident, cpu_seconds, terminate, wait_until

CATCH_UP_MIB_MAX = 200
MEMORY_MAX_MIB = 256
OVER_MEMORY_MAX_MIB = 50
IDLE_CPU_RATIO_MAX = 0.05


def test_catch_up_memory_and_speed(new_job, new_topic, database, full, figure):
    messages = 2_000_000 if full else 400_000
    topic = new_topic(partitions=4)
    job = counting_job(new_job, topic)
    topic.send_all(movement(n) for n in range(messages))
    begun = time.monotonic()
    process = job.start("--until-caught-up")
    resident = Resident(process)
    assert resident.until_exit(300) == 0, process.stderr_text()
    took = time.monotonic() - begun
    figure(f"{messages} messages in {took:.1f} s ({messages / took:,.0f}/s), peak {resident.peak_mib:.0f} MiB")
    assert_each_once(job, messages)
    assert resident.peak_mib < CATCH_UP_MIB_MAX


def test_large_messages(new_job, new_topic, database, figure):
    topic = new_topic(partitions=4)
    job = new_job(topic, memory_max=f"{MEMORY_MAX_MIB}MiB", outputs={"sizes": {"table": "sizes", "mode": "append"}})
    job.write("schema.avsc", MOVEMENT)
    job.view("sizes", "SELECT customer AS n, octet_length(agency) AS size FROM batch")
    tail = double(1.0) + varint(1) + string("2024-03-11 08:00:00") + double(1.0)
    text = os.urandom(500_000).hex()
    topic.send_all(varint(n) + string(text) + tail for n in range(1000))
    process = job.start("--until-caught-up")
    resident = Resident(process)
    begun = time.monotonic()
    assert resident.until_exit(300) == 0, process.stderr_text()
    figure(f"1,000 messages of 1 MB in {time.monotonic() - begun:.1f} s, peak {resident.peak_mib:.0f} MiB")
    assert database.rows("SELECT COUNT(*), COUNT(DISTINCT n), MIN(size) FROM sizes") == [(1000, 1000, 1_000_000)]
    assert resident.peak_mib < MEMORY_MAX_MIB + OVER_MEMORY_MAX_MIB


def test_large_rows(new_job, new_topic, database, figure):
    """The megabyte goes all the way into the table."""
    topic = new_topic(partitions=4)
    job = new_job(topic, memory_max=f"{MEMORY_MAX_MIB}MiB", outputs={"texts": {"table": "texts", "mode": "append"}})
    job.write("schema.avsc", MOVEMENT)
    job.view("texts", "SELECT customer AS n, agency FROM batch")
    database.execute("CREATE TABLE texts (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT, agency LONGTEXT)")
    tail = double(1.0) + varint(1) + string("2024-03-11 08:00:00") + double(1.0)
    text = os.urandom(500_000).hex()
    topic.send_all(varint(n) + string(text) + tail for n in range(300))
    process = job.start("--until-caught-up")
    resident = Resident(process)
    assert resident.until_exit(300) == 0, process.stderr_text()
    figure(f"300 rows of 1 MB: peak {resident.peak_mib:.0f} MiB")
    assert database.rows("SELECT COUNT(*), COUNT(DISTINCT n), MIN(LENGTH(agency)) FROM texts") == [
        (300, 300, 1_000_000)
    ]
    assert database.value("SELECT COUNT(*) FROM dead_letters") == 0
    assert resident.peak_mib < MEMORY_MAX_MIB + OVER_MEMORY_MAX_MIB


def test_start_and_latency(new_job, new_topic, database, figure):
    topic = new_topic(partitions=4)
    job = counting_job(new_job, topic)
    topic.send_all([movement(0)])
    begun = time.monotonic()
    process = job.start()
    wait_until(lambda: database.try_value("SELECT COUNT(*) FROM counted"), 30, process.stderr_text)
    first = time.monotonic() - begun
    took = []
    for n in range(1, 101):
        begun = time.monotonic()
        topic.send_all([movement(n)])
        wait_until(lambda n=n: database.value("SELECT COUNT(*) FROM counted") > n, 10, process.stderr_text)
        took.append((time.monotonic() - begun) * 1000)
        time.sleep(0.02)
    took.sort()
    figure(f"start to the first row (tables made): {first:.2f} s")
    figure(f"send to row seen: median {took[50]:.0f} ms, 95th percentile {took[95]:.0f} ms")
    assert terminate(process) == 0
    topic.send_all([movement(101)])
    begun = time.monotonic()
    process = job.start()
    wait_until(lambda: database.value("SELECT COUNT(*) FROM counted") > 101, 30, process.stderr_text)
    figure(f"start to the next row (tables there): {time.monotonic() - begun:.2f} s")
    assert terminate(process) == 0


def test_idle(new_job, new_topic, database, figure):
    topic = new_topic(partitions=4)
    job = counting_job(new_job, topic)
    topic.send_all([movement(0)])
    process = job.start()
    job.wait_committed(1, 30, process)
    time.sleep(1)
    before, begun = cpu_seconds(process.pid), time.monotonic()
    time.sleep(10)
    ratio = (cpu_seconds(process.pid) - before) / (time.monotonic() - begun)
    figure(f"idle: {ratio:.2%} of one core")
    assert ratio < IDLE_CPU_RATIO_MAX
    assert terminate(process) == 0
