"""State per account, as the shipped job keeps it: every row and all state against a calculation of its own."""

import json
import random
import statistics
import time

from avro import customer_movement
from harness import Resident, terminate, wait_until
from rules import Accounts
from shipped import shipped_config, shipped_job

PARTITIONS = 4
STATE = (
    "SELECT customer, movements, deposits, deposited, withdrawals, withdrawn, refused, refused_in_a_row,"
    " last_movement, last_balance FROM account_state ORDER BY customer"
)
BEFORE = (
    "SELECT kafka_partition, kafka_offset, customer, movements_before, refused_in_a_row_before, previous_movement,"
    " previous_balance FROM classified_movements ORDER BY 1, 2"
)
OVER_MEMORY_MAX_MIB = 50


def random_movements(count, customers, seed):
    rng = random.Random(seed)
    for number in range(count):
        yield {
            "customer": rng.randrange(customers),
            "agency": f"{rng.randrange(20):04}",
            "operation_value": rng.randrange(1, 100_000) / 100,
            "operation_type": rng.randrange(2),
            "date": f"2026-03-{number // 86_400 + 1:02} {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}",
            "account_balance": rng.randrange(100_000) / 100,
        }


def send(topic, movements, accounts):
    """Sends movements keyed by customer, and counts them in `accounts`."""
    for movement in movements:
        partition = movement["customer"] % PARTITIONS
        key = str(movement["customer"]).encode()
        place = topic.send(customer_movement(movement), partition=partition, key=key)
        accounts.add(place, movement)
    topic.flush()


def assert_state(job, accounts):
    assert job.database.rows(BEFORE) == accounts.rows_before()
    assert job.database.rows(STATE) == accounts.state()


def test_state_over_batches_and_restarts(new_job, new_topic):
    topic = new_topic(partitions=PARTITIONS, word="customer_movements")
    job = shipped_job(new_job, topic)
    accounts = Accounts()
    for seed, count in enumerate((1, 5_000, 3_000)):
        send(topic, random_movements(count, 50, seed), accounts)
        job.catch_up()
        assert_state(job, accounts)
    # While it runs, in batches as they come.
    process = job.start()
    for seed in range(100, 110):
        send(topic, random_movements(200, 50, seed), accounts)
        time.sleep(0.05)
    job.wait_committed(topic.sent, 30, process)
    assert terminate(process) == 0, process.stderr_text()
    assert_state(job, accounts)


def filled(job, rows):
    """Gives the state table so many rows of customers 0..rows, by the server itself."""
    columns = (
        "customer, movements, deposits, deposited, withdrawals, withdrawn, refused, refused_in_a_row, last_movement,"
        " last_balance, _version, _message_time"
    )
    digits = "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL"
    digits += " SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
    job.database.execute("DELETE FROM account_state")
    job.database.execute(
        f"INSERT INTO account_state ({columns}) SELECT a.d + 10 * b.d + 100 * c.d,"
        " 1, 1, 10.00, 0, 0.00, 0, 0, '2026-01-01 00:00:00', 10.0, 5, '2026-01-01 00:00:00'"
        f" FROM {digits} a, {digits} b, {digits} c"
    )
    have = 1_000
    while have < rows:
        more = min(have, rows - have)
        job.database.execute(
            f"INSERT INTO account_state ({columns}) SELECT customer + {have}, {columns.split(', ', 1)[1]}"
            f" FROM account_state WHERE customer < {more}"
        )
        have += more


def test_a_trigger_costs_by_its_batch_not_by_the_table(new_job, new_topic, database, admin, full, figure):
    """Batches of 1,000 messages of customers that are not held, over a small state table and over a large one."""
    topic = new_topic(partitions=1, word="customer_movements")
    job = shipped_job(new_job, topic, batch_rows_max=1000)
    job.catch_up()
    medians, peaks = {}, {}
    for rows in (1_000, 10_000_000 if full else 200_000):
        filled(job, rows)
        rng = random.Random(rows)
        before = selects(admin)
        for _ in range(20_000):
            movement = {**next(random_movements(1, 1, 0)), "customer": rng.randrange(rows)}
            topic.send(customer_movement(movement))
        topic.flush()
        done = job.start("--until-caught-up", "--progress", "json")
        resident = Resident(done)
        assert resident.until_exit(120) == 0, done.stderr_text()
        lines = (job.folder / f"stdout-{len(job.processes) - 1}.log").read_text().splitlines()
        batches = [json.loads(line) for line in lines]
        full_ones = [batch for batch in batches if batch["numInputRows"] == 1_000]
        assert len(full_ones) >= 15
        medians[rows] = statistics.median(b["durationMs"]["sql"] + b["durationMs"]["commit"] for b in full_ones)
        peaks[rows] = resident.peak_mib
        # One query for the keys that are not held, one that locks them and compares their versions.
        assert selects(admin) - before <= 2 * len(batches)
        assert database.value("SELECT COUNT(*) FROM account_state") == rows
    small, large = medians
    figure(
        f"1,000 messages over {small:,} keys {medians[small]:.1f} ms, over {large:,} keys {medians[large]:.1f} ms"
        f" (SQL and commit, median); peak {peaks[small]:.0f} and {peaks[large]:.0f} MiB"
    )
    assert max(peaks.values()) < 256 + OVER_MEMORY_MAX_MIB


def selects(admin):
    """SELECTs on the state table that the server has run."""
    return admin.value(
        "SELECT COALESCE(SUM(COUNT_STAR), 0) FROM performance_schema.events_statements_summary_by_digest"
        " WHERE SCHEMA_NAME = %s AND DIGEST_TEXT LIKE %s",
        admin.name,
        "SELECT%account_state%",
    )


def test_a_producer_faster_than_the_database(new_job, new_topic, database, admin, full, figure):
    """Memory stays bounded, the lag is shown, and everything arrives."""
    seconds = 300 if full else 15
    topic = new_topic(partitions=PARTITIONS, word="customer_movements")
    job = shipped_job(new_job, topic)
    job.catch_up()
    # A database that takes about 3,000 rows a second.
    admin.execute("CREATE TRIGGER slow BEFORE INSERT ON classified_movements FOR EACH ROW DO SLEEP(0.0002)")
    accounts = Accounts()
    job.write("config.yaml", shipped_config(job, batch_rows_max=5000))
    process = job.start("--progress", "json")
    resident = Resident(process)
    movements = random_movements(10_000_000, 500, 1)
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        send(topic, (next(movements) for _ in range(3_000)), accounts)
        resident.sample()
        time.sleep(max(0, begun + topic.sent / 30_000 - time.monotonic()))
    committed = database.committed(job.name)
    lines = (job.folder / f"stdout-{len(job.processes) - 1}.log").read_text().splitlines()
    lag = sum(json.loads(lines[-1])["sources"][0]["lagMessages"].values())
    figure(
        f"{topic.sent / seconds:,.0f} messages/s sent, {committed / seconds:,.0f}/s committed for {seconds} s,"
        f" lag {lag:,}, peak {resident.peak_mib:.0f} MiB"
    )
    assert topic.sent > 2 * committed, "the producer was not faster"
    assert lag > 0
    assert resident.peak_mib < 256 + OVER_MEMORY_MAX_MIB
    begun = time.monotonic()
    assert terminate(process) == 0, process.stderr_text()
    figure(f"stopped under load after {time.monotonic() - begun:.1f} s")
    database.execute("DROP TRIGGER slow")
    process = job.start("--until-caught-up")
    resident = Resident(process)
    assert resident.until_exit(300) == 0, process.stderr_text()
    wait_until(lambda: database.committed(job.name) == topic.sent, 1, "everything is committed")
    assert job.database.rows(STATE) == accounts.state()
    assert database.value("SELECT COUNT(*) FROM classified_movements") == topic.sent
    assert resident.peak_mib < 256 + OVER_MEMORY_MAX_MIB
