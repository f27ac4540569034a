"""New tables from old messages, beside a job under load: rows and state are those of a calculation, whatever is killed."""

import random
import signal
import subprocess
import threading
import time

from avro import MOVEMENT, movement
from harness import terminate, wait_until

PARTITIONS = 4
CUSTOMERS = 1_000
RULED = "SELECT customer, kafka_partition AS p, kafka_offset AS o FROM batch"
TOTALS = (
    "SELECT b.customer, coalesce(t.n, 0) + count(*) AS n FROM batch b LEFT JOIN totals t ON t.customer = b.customer"
    " GROUP BY b.customer, t.n"
)
# How often a customer has come so far.
SEEN = (
    "SELECT b.customer, b.kafka_partition AS p, b.kafka_offset AS o, coalesce(t.n, 0) + count(*) OVER"
    " (PARTITION BY b.customer ORDER BY b.kafka_partition, b.kafka_offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    " AS n FROM batch b LEFT JOIN totals t ON t.customer = b.customer"
)
NAMES = ("seen", "totals")


def ruled_job(new_job, topic):
    job = new_job(topic, reference_tables={}, state_tables={}, outputs={"ruled": {}})
    job.write("schema.avsc", MOVEMENT)
    job.view("ruled", RULED)
    return job


def with_new_tables(job):
    """The configuration that has a state table more, and an output that reads it."""
    job.view("next_totals", TOTALS)
    job.view("seen", SEEN)
    state = {"totals": {"view": "next_totals", "key": "customer", "fill": True}}
    job.write_config(state_tables=state, outputs={"ruled": {}, "seen": {"fill": True}})


def reload(job, process):
    with_new_tables(job)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: "not written before it is filled" in process.stderr_text(), 60, process.stderr_text)


def send(topic, numbers):
    for number in numbers:
        customer = number % CUSTOMERS
        topic.send(movement(customer), partition=customer % PARTITIONS)
    topic.flush()


def assert_as_calculated(job, sent):
    """Every message has one row, and the numbers of each customer's rows are those from 1 to how often it has come."""
    database = job.database
    counts = [(number, len(range(number, sent, CUSTOMERS))) for number in range(min(sent, CUSTOMERS))]
    for table in ("ruled", "seen"):
        assert database.rows(f"SELECT COUNT(*), COUNT(DISTINCT p, o) FROM {table}") == [(sent, sent)], table
    assert database.rows("SELECT customer, n FROM totals ORDER BY customer") == counts
    numbers = "SELECT customer, COUNT(*), COUNT(DISTINCT n), MIN(n), MAX(n) FROM seen GROUP BY customer ORDER BY customer"
    assert database.rows(numbers) == [(customer, n, n, 1, n) for customer, n in counts]
    back = "SELECT COUNT(*) FROM (SELECT n - LAG(n) OVER (PARTITION BY customer ORDER BY o) AS step FROM seen) s WHERE step <> 1"
    assert database.value(back) == 0, "the order of a partition is kept"
    assert database.value("SELECT COUNT(*) FROM dead_letters") == 0
    assert database.rows("SELECT name FROM realtime_fills WHERE finished_at IS NOT NULL ORDER BY name") == [
        (name,) for name in NAMES
    ]


def start_fill(job, number):
    log = (job.folder / f"fill-{number}.log").open("w")
    process = subprocess.Popen(
        job.command("fill", *NAMES), cwd=job.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )
    process.text = lambda: (job.folder / f"fill-{number}.log").read_text(encoding="utf-8")
    job.processes.append(process)
    return process


def test_a_fill_beside_a_job_under_load_is_killed_again_and_again(new_job, new_topic, database, full, figure):
    old, kills, rate = (2_000_000, 10, 5_000) if full else (200_000, 3, 500)
    topic = new_topic(partitions=PARTITIONS)
    job = ruled_job(new_job, topic)
    send(topic, range(old))
    sent, is_over = old, threading.Event()

    def send_more():
        nonlocal sent
        begun = time.monotonic()
        while not is_over.is_set():
            wanted = old + int((time.monotonic() - begun) * rate)
            send(topic, range(sent, wanted))
            sent = wanted
            time.sleep(0.01)

    process = job.start()
    job.wait_committed(1, 60, process)
    reload(job, process)
    # So much is to be filled, and with the rest before it the job runs as fast as it can meanwhile.
    job.wait_committed(old // 2, 300, process)
    sender = threading.Thread(target=send_more)
    sender.start()
    begun = time.monotonic()
    positions = f"SELECT COALESCE(SUM(next_offset), 0) FROM realtime_offsets WHERE job LIKE '{job.name}/fill/%%'"
    try:
        rng = random.Random(7)
        for kill in range(kills):
            fill = start_fill(job, kill)
            before = database.value(positions)

            def has_moved(fill=fill, before=before):
                return fill.poll() is not None or database.value(positions) > before

            wait_until(has_moved, 60, fill.text)
            time.sleep(rng.uniform(0, 0.5 if full else 0.1))
            assert fill.poll() is None, f"it ended before kill {kill + 1} of {kills}: {fill.text()}"
            fill.send_signal(signal.SIGKILL)
            fill.wait()
        fill = start_fill(job, kills)
        assert fill.wait(timeout=600) == 0, fill.text()
        seconds = time.monotonic() - begun
        # The job goes on with them.
        filled = topic.sent
        wait_until(lambda: topic.sent > filled + rate, 60, "more messages are sent")
    finally:
        is_over.set()
        sender.join()
    job.wait_committed(sent, 300, process)
    assert terminate(process) == 0, process.stderr_text()
    figure(f"{kills} kills of a fill of {old:,} messages and {sent - old:,} that came meanwhile: {seconds:.1f} s")
    assert_as_calculated(job, sent)


def test_a_fill_for_a_job_that_does_not_know_of_it_waits(new_job, new_topic, database):
    topic = new_topic(partitions=PARTITIONS)
    job = ruled_job(new_job, topic)
    send(topic, range(2_000))
    process = job.start()
    job.wait_committed(2_000, 60, process)
    # The files have changed, and the job has not read them.
    with_new_tables(job)
    preview = job.run("fill", *NAMES, "--preview")
    assert "up to 2000 messages in all; of the first 2000:\n  seen: 2000 rows\n  totals: 1000 rows\n" in preview.stdout
    fill = start_fill(job, 0)
    wait_until(lambda: "waiting for the job" in fill.text(), 60, fill.text)
    send(topic, range(2_000, 3_000))
    job.wait_committed(3_000, 60, process)
    assert fill.poll() is None, fill.text()
    process.send_signal(signal.SIGHUP)
    assert fill.wait(timeout=60) == 0, fill.text()
    assert "the job continues" in fill.text()
    send(topic, range(3_000, 4_000))
    job.wait_committed(4_000, 60, process)
    assert terminate(process) == 0, process.stderr_text()
    assert_as_calculated(job, 4_000)
    again = job.run("fill", *NAMES, expect=1)
    assert "`seen` is filled already, and the job writes it" in again.stderr
    alone = job.run("fill", "seen", expect=2)
    assert "hint: `fill seen totals`" in alone.stderr


def test_a_fill_from_a_moment_leaves_earlier_messages_out(new_job, new_topic, database):
    """An output alone, filled from a moment on: the job adds the rows of what comes after it."""
    topic = new_topic(partitions=PARTITIONS)
    job = ruled_job(new_job, topic)
    march = 1_709_251_200_000
    for timestamp in (march - 1, march, march + 60_000):
        topic.send_all((movement(n) for n in range(100)), timestamp=timestamp)
    job.catch_up()
    job.view("late", RULED)
    job.write_config(outputs={"ruled": {}, "late": {"fill": True}})
    # From now on the job leaves the output out.
    job.catch_up()
    since = ("--from", "2024-03-01")
    preview = job.run("fill", "late", *since, "--preview").stdout
    assert "up to 200 messages in all; of the first 200:\n  late: 200 rows\n" in preview, preview
    assert "late: filled from 200 offsets, 0 dead letters" in job.run("fill", "late", *since).stdout
    topic.send_all(movement(n) for n in range(100))
    job.catch_up()
    offsets = "SELECT p, MIN(o), MAX(o), COUNT(*) FROM {} GROUP BY p ORDER BY p"
    each = range(PARTITIONS)
    assert database.rows(offsets.format("ruled")) == [(partition, 0, 99, 100) for partition in each]
    assert database.rows(offsets.format("late")) == [(partition, 25, 99, 75) for partition in each]


def test_tables_are_filled_again_by_two_instances(new_job, new_topic, database):
    """`--clear` beside two instances of the job that share the partitions."""
    topic = new_topic(partitions=PARTITIONS)
    job = ruled_job(new_job, topic)
    with_new_tables(job)
    # As if both had been there from the beginning: nothing waits.
    job.write_config(
        state_tables={"totals": {"view": "next_totals", "key": "customer"}}, outputs={"ruled": {}, "seen": {}}
    )
    processes = [job.start(), job.start()]
    send(topic, range(3_000))
    job.wait_committed(3_000, 60, processes[0])
    database.execute("UPDATE totals SET n = n + 5")
    done = job.run("fill", *NAMES, "--clear", "--yes")
    assert "the job continues" in done.stdout
    send(topic, range(3_000, 4_000))
    job.wait_committed(4_000, 60, processes[0])
    for process in processes:
        assert terminate(process) == 0, process.stderr_text()
    assert_as_calculated(job, 4_000)
