"""Several instances of the shipped job: partitions change hands in the middle of batches, instances freeze and wake, and
two write the state of the same customers. What they leave is audited row by row."""

import json
import random
import signal
import time

import pytest

from avro import customer_movement
from chaos.traffic import random_movement
from harness import local_ports, ports_in_transaction, terminate, wait_until
from ledger import audit, audited_job
from proxy import Proxy

TAKEN_OVER = "another instance took partitions over"
CONFLICTS_MIN = 100
# A batch takes MySQL about a second: every row of this table sleeps.
SLOW = "CREATE TRIGGER slow BEFORE INSERT ON classified_movements FOR EACH ROW DO SLEEP(0.01)"
SLOW_BATCH_ROWS = 100
# MySQL ends a session after 30 s without a statement, in a transaction or not.
ABANDONED_SECONDS_MAX = 60


def send(topic, count, customers, seed, by_customer=True):
    """Movements of these customers: each has a partition of its own, or comes by all of them in turn."""
    rng = random.Random(seed)
    for number in range(count):
        customer = rng.choice(customers)
        place = customer if by_customer else number
        topic.send(customer_movement(random_movement(rng, customer, number)), partition=place % topic.partitions)
    topic.flush()


def assert_audited(job):
    differences = audit(job)
    assert not differences, "\n".join(differences)


def conflicts(job):
    """Conflicts that the instances have reported."""
    lines = [line for path in job.folder.glob("stdout-*.log") for line in path.read_text().splitlines()]
    return sum(json.loads(line)["conflicts"] for line in lines if line.startswith("{"))


@pytest.mark.parametrize("lanes", [1, 2])
def test_partitions_change_hands_in_the_middle_of_a_batch(new_job, new_topic, database, admin, lanes):
    """What is taken away is held back until the batches in hand are committed: no instance is fenced."""
    topic = new_topic(partitions=6, word="customer_movements")
    job = audited_job(new_job, topic, lanes=lanes, batch_rows_max=SLOW_BATCH_ROWS)
    admin.execute(SLOW)
    send(topic, 4_000, range(1, 61), seed=1)
    processes = [job.start()]
    job.wait_committed(1, 60, processes[0])
    for _ in range(2):
        processes.append(job.start())
        wait_until(lambda: "assigned: customer" in processes[-1].stderr_text(), 60, processes[-1].stderr_text)
        time.sleep(0.7)
    assert terminate(processes[0]) == 0, processes[0].stderr_text()
    time.sleep(1.5)
    database.execute("DROP TRIGGER slow")
    job.wait_committed(topic.sent, 120, processes[-1])
    for process in processes[1:]:
        assert terminate(process) == 0, process.stderr_text()
    said = [process.stderr_text() for process in processes]
    assert sum(text.count("revoked: customer") for text in said) >= 2, said
    assert not any(TAKEN_OVER in text for text in said), said
    assert_audited(job)


@pytest.mark.parametrize("sleeps_seconds", [8, 3], ids=["beyond its session", "within its session"])
def test_an_instance_frozen_in_a_transaction_writes_nothing_of_what_it_lost(
    new_job, new_topic, database, admin, sleeps_seconds
):
    topic = new_topic(partitions=4, word="customer_movements")
    job = audited_job(new_job, topic, batch_rows_max=200)
    send(topic, 2_000, range(1, 41), seed=2)
    frozen = job.start()
    job.wait_committed(topic.sent, 60, frozen)
    with database.connect() as locker, admin.connect(database=False) as watcher:
        locker.begin()
        locker.cursor().execute("SELECT customer FROM account_state FOR UPDATE")
        send(topic, 1_000, range(1, 41), seed=3)

        def in_transaction():
            return set(ports_in_transaction(watcher, database.name)) & local_ports(frozen.pid)

        # Its transaction has moved the offsets and waits for rows of state.
        wait_until(in_transaction, 10, "a transaction that waits")
        frozen.send_signal(signal.SIGSTOP)
        locker.rollback()
    held = database.committed(job.name)
    assert held == 2_000, "it is frozen before its COMMIT"
    other = job.start()
    if sleeps_seconds > 6:
        # The other one has the partitions; it waits until MySQL has ended the frozen one's transaction.
        job.wait_committed(topic.sent, ABANDONED_SECONDS_MAX, other)
    else:
        time.sleep(sleeps_seconds)
    frozen.send_signal(signal.SIGCONT)
    send(topic, 1_000, range(1, 41), seed=4)
    job.wait_committed(topic.sent, 60, other)
    for process in (frozen, other):
        assert terminate(process) == 0, process.stderr_text()
    assert_audited(job)


def test_an_instance_whose_database_stalls_for_longer_than_two_rebalances(new_job, new_topic, database):
    """Partitions come, go and come again while it waits for its claim: each claim serves the assignment it was made for."""
    topic = new_topic(partitions=4, word="customer_movements")
    job = audited_job(new_job, topic, batch_rows_max=100)
    with Proxy(database.url) as proxy:
        config = (job.folder / "config.yaml").read_text(encoding="utf-8")
        assert database.url in config
        job.write("stalls.yaml", config.replace(database.url, proxy.url))
        stalled = job.start(config="stalls.yaml")
        send(topic, 400, range(1, 41), seed=1)
        job.wait_committed(topic.sent, 60, stalled)
        other = job.start()
        wait_until(lambda: "assigned: customer" in other.stderr_text(), 60, other.stderr_text)
        # From here on the first one waits for every claim.
        proxy.stall()
        for turn in range(2):
            assert terminate(other) == 0, other.stderr_text()
            assigned = stalled.stderr_text().count("assigned: customer") + 1
            wait_until(
                lambda count=assigned: stalled.stderr_text().count("assigned: customer") >= count,
                60,
                stalled.stderr_text,
            )
            send(topic, 400, range(1, 41), seed=10 + turn)
            if turn == 0:
                other = job.start()
                wait_until(lambda other=other: "assigned: customer" in other.stderr_text(), 60, other.stderr_text)
        proxy.go_on()
        send(topic, 400, range(1, 41), seed=20)
        job.wait_committed(topic.sent, 60, stalled)
        assert terminate(stalled) == 0, stalled.stderr_text()
    assert stalled.stderr_text().count("revoked: customer") >= 2, "the order of events that this is about"
    assert_audited(job)


def test_an_instance_frozen_again_and_again_under_load(new_job, new_topic, database):
    """Frozen for longer than its session, anywhere in a trigger; what it had is worked on by the other meanwhile."""
    topic = new_topic(partitions=4, word="customer_movements")
    job = audited_job(new_job, topic, batch_rows_max=100)
    instances = [job.start(), job.start()]
    for turn in range(2):
        send(topic, 600, range(1, 41), seed=turn)
        sleeper = instances[turn % 2]
        time.sleep(0.2)
        sleeper.send_signal(signal.SIGSTOP)
        send(topic, 600, range(1, 41), seed=turn + 10)
        job.wait_committed(topic.sent, ABANDONED_SECONDS_MAX, instances[1 - turn % 2])
        sleeper.send_signal(signal.SIGCONT)
    send(topic, 600, range(1, 41), seed=20)
    job.wait_committed(topic.sent, 60, instances[0])
    for process in instances:
        assert terminate(process) == 0, process.stderr_text()
    assert_audited(job)


def test_two_instances_meet_over_the_state_of_the_same_customers(new_job, new_topic, database, figure):
    """One customer's movements come by both partitions, and each partition has an instance of its own."""
    topic = new_topic(partitions=2, word="customer_movements")
    job = audited_job(new_job, topic, batch_rows_max=10)
    instances = [job.start("--progress", "json") for _ in range(2)]
    # Until each has a partition, one of them waits for the other's conflicts alone.
    for process in instances:
        wait_until(lambda p=process: "assigned: customer" in p.stderr_text(), 60, process.stderr_text)
    sent = 0
    while conflicts(job) < CONFLICTS_MIN and sent < 40_000:
        send(topic, 1_000, (1, 2, 3, 4, 9_001), seed=sent, by_customer=False)
        sent += 1_000
        job.wait_committed(sent, 120, instances[0])
    for process in instances:
        assert terminate(process) == 0, process.stderr_text()
    figure(f"{conflicts(job)} conflicts over {sent:,} messages")
    assert conflicts(job) >= CONFLICTS_MIN
    assert_audited(job)
