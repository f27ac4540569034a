"""Dead letters on real servers: brought in by a replay beside a job that runs, and state after a reset."""

import json
import random
import re
import time

import pytest

from avro import MOVEMENT, movement
from counting import counting_job, numbers
from harness import terminate, wait_until
from rules import Accounts
from shipped import following
from test_shipped_rule import shipped_job
from test_state import BEFORE, PARTITIONS, STATE, random_movements, send

# The columns of state that do not depend on the order of movements, and those of all.
COUNTED = (
    "SELECT customer, movements, deposits, deposited, withdrawals, withdrawn, refused FROM account_state ORDER BY customer"
)
REFUSED_CUSTOMERS = (3, 11)


def waiting(job):
    return job.database.value("SELECT COUNT(*) FROM dead_letters WHERE replayed_at IS NULL")


def epochs(job):
    return job.database.value("SELECT SUM(epoch) FROM realtime_offsets WHERE job = %s", job.name)


def following_job(new_job, topic, follows):
    """The shipped job, with state that other writers are kept from by versions, or by the partitions' epochs."""
    job = shipped_job(new_job, topic)
    text = (job.folder / "config.yaml").read_text()
    job.write("config.yaml", following(text, follows))
    return job


@pytest.mark.parametrize("follows", [False, True])
def test_replay_beside_a_running_job(new_job, new_topic, database, follows):
    """The job holds the state of all customers, and goes on with them while dead letters come in."""
    topic = new_topic(partitions=PARTITIONS, word="customer_movements")
    job = following_job(new_job, topic, follows)
    job.catch_up()
    refused = ", ".join(map(str, REFUSED_CUSTOMERS))
    database.execute(f"ALTER TABLE classified_movements ADD CONSTRAINT refused CHECK (customer NOT IN ({refused}))")
    accounts = Accounts()
    process = job.start()
    movements = random_movements(1_000_000, 40, 7)
    for _ in range(6):
        send(topic, (next(movements) for _ in range(100)), accounts)
        time.sleep(0.02)
    job.wait_committed(topic.sent, 60, process)
    count = waiting(job)
    assert count == sum(before[0] in REFUSED_CUSTOMERS for before in accounts.before.values())
    assert not database.rows(f"SELECT 1 FROM account_state WHERE customer IN ({refused})")

    done = job.run("dead-letters", "replay", "--all", expect=1)
    assert done.stdout == f"0 messages replayed, {count} failed again\n"
    assert "most frequent reasons" in done.stderr and waiting(job) == count

    database.execute("ALTER TABLE classified_movements DROP CONSTRAINT refused")
    before = epochs(job)
    # Movements of the same customers, before, while and after the dead letters come in.
    send(topic, (next(movements) for _ in range(400)), accounts)
    done = job.run("dead-letters", "replay", "--all")
    assert done.stdout == f"{count} messages replayed, 0 failed again\n"
    assert (epochs(job) > before) == follows, "the job is fenced where versions do not keep it"
    send(topic, (next(movements) for _ in range(400)), accounts)
    job.wait_committed(topic.sent, 60, process)
    assert terminate(process) == 0, process.stderr_text()

    assert waiting(job) == 0
    assert job.database.rows("SELECT kafka_partition, kafka_offset FROM classified_movements ORDER BY 1, 2") == sorted(
        accounts.before
    )
    assert job.database.rows(COUNTED) == [row[:7] for row in accounts.state()]
    others = [row for row in accounts.rows_before() if row[2] not in REFUSED_CUSTOMERS]
    assert [row for row in job.database.rows(BEFORE) if row[2] not in REFUSED_CUSTOMERS] == others
    assert job.run("dead-letters", "replay", "--all").stdout == "", "a second replay does nothing"


def test_replays_that_are_killed(new_job, new_topic, database, full, figure):
    """A replay that is killed at any moment leaves each message replayed or waiting."""
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic, batch_rows_max=50, dead_letters_max_ratio=1)
    # Another schema than the messages were written with.
    later = json.loads(json.dumps(MOVEMENT))
    later["fields"].append({"name": "later", "type": "string"})
    job.write("schema.avsc", later)
    count = 5_000 if full else 1_000
    topic.send_all(movement(n) for n in range(count))
    job.catch_up()
    assert waiting(job) == count
    job.write("schema.avsc", MOVEMENT)
    rng = random.Random(4)
    kills = 0
    while waiting(job):
        replays = [job.start_command("dead-letters", "replay", "--all") for _ in range(2)]
        before = waiting(job)
        wait_until(
            lambda count=before, replay=replays[0]: waiting(job) < count or replay.poll() is not None,
            60,
            "the replay begins",
        )
        time.sleep(rng.random() * 0.1)
        for replay in replays:
            if replay.poll() is None:
                replay.kill()
                kills += 1
            replay.wait()
        assert kills < 500
        # One snapshot: a COMMIT that was under way when a process was killed may still happen.
        marked, rows = database.rows(
            "SELECT (SELECT COUNT(*) FROM dead_letters WHERE replayed_at IS NOT NULL), (SELECT COUNT(*) FROM counted)"
        )[0]
        assert rows == marked
    assert numbers(job) == list(range(count))
    figure(f"{count} dead letters replayed once through {kills} kills")
    assert kills > 0


def test_reset_asks_what_becomes_of_state(new_job, new_topic):
    topic = new_topic(partitions=PARTITIONS, word="customer_movements")
    job = following_job(new_job, topic, True)
    accounts = Accounts()
    send(topic, random_movements(500, 20, 1), accounts)
    process = job.start()
    job.wait_committed(topic.sent, 60, process)
    unsaid = job.run("offsets", "reset", "--to", "earliest", "--yes", expect=2)
    assert "the job has state (account_state)" in unsaid.stderr and "--state clear" in unsaid.stderr
    asked = job.run("offsets", "reset", "--to", "earliest", "--state", "clear", expect=2)
    assert f"account_state: {len(accounts.state())} rows would be deleted" in asked.stderr
    assert job.database.rows(STATE) == accounts.state(), "nothing was changed"
    job.run("offsets", "reset", "--to", "earliest", "--state", "clear", "--yes")
    # The instance that runs is fenced with its next batch, and computes the state anew.
    send(topic, random_movements(100, 20, 2), accounts)
    rows = 500 + topic.sent
    wait_until(lambda: job.database.value("SELECT COUNT(*) FROM classified_movements") == rows, 60, "processed again")
    assert terminate(process) == 0, process.stderr_text()
    assert job.database.rows(STATE) == accounts.state()
    job.run("offsets", "reset", "--to", "earliest", "--state", "keep", "--yes")
    job.catch_up()
    assert [row[1] for row in job.database.rows(STATE)] == [2 * row[1] for row in accounts.state()]
    one = job.run("offsets", "reset", "--to", "earliest", "--partition", "1", "--state", "clear", expect=2)
    assert "those of these partitions, would be deleted" in one.stderr


def test_list_show_and_export(new_job, new_topic):
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic)
    topic.send_all([movement(1), b"\x80", b"", movement(2)], key=b"k", headers=[("trace", b"\xff"), ("flag", None)])
    job.catch_up()
    listed = [json.loads(line) for line in job.run("dead-letters", "list", "--format", "json").stdout.splitlines()]
    assert sorted(row["payload_bytes"] for row in listed) == [0, 1]
    shown = job.run("dead-letters", "show", str(listed[0]["id"])).stdout
    assert "header      trace: ff" in shown and "undecodable" in shown
    exported = [json.loads(line) for line in job.run("dead-letters", "export").stdout.splitlines()]
    assert sorted(row["payload"] for row in exported) == ["", "gA=="]
    assert {row["kafka_key"] for row in exported} == {"aw=="}
    assert exported[0]["kafka_headers"] == [{"key": "trace", "base64": "/w=="}, {"key": "flag", "value": None}]


@pytest.mark.parametrize("by_command", [False, True])
def test_a_job_goes_on_when_the_cause_is_mended(new_job, new_topic, database, by_command):
    """A job that stopped because of too many dead letters stops again at the next one, unless the count is forgotten."""
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic)
    later = json.loads(json.dumps(MOVEMENT))
    later["fields"].append({"name": "later", "type": "string"})
    job.write("schema.avsc", later)
    topic.send_all(movement(n) for n in range(1_500))
    stopped = job.run("run", "--until-caught-up", expect=1).stderr
    assert "a raw topic cannot hold two schemas" in stopped and "`run --acknowledge`" in stopped, stopped
    job.write("schema.avsc", MOVEMENT)
    job.catch_up()
    topic.send_all([b"\x01"])
    assert "became dead letters" in job.run("run", "--until-caught-up", expect=1).stderr, "the count is stored"
    if by_command:
        forgotten = job.run("dead-letters", "acknowledge").stdout
        assert re.fullmatch(r"[\d,]+ dead letters no longer counted\n", forgotten), forgotten
        assert job.run("dead-letters", "acknowledge").stdout == "no dead letter is counted\n"
        job.catch_up()
    else:
        done = job.run("run", "--until-caught-up", "--acknowledge")
        assert "no longer counted" in done.stderr, done.stderr
    # Before 1,000 messages there is no verdict: the first ones wait among the dead letters.
    job.run("dead-letters", "replay", "--all", expect=1)
    assert numbers(job) == list(range(1_500)) and waiting(job) == 1


def test_newer_rows_are_asked_about(new_job, new_topic, database):
    topic = new_topic(partitions=1)
    latest = {"table": "latest", "mode": "upsert", "key": "agency"}
    job = new_job(topic, reference_tables={}, state_tables={}, outputs={"latest": latest})
    job.write("schema.avsc", MOVEMENT)
    view = "SELECT agency, customer, 1 / (customer % 2) AS odd, kafka_partition, kafka_offset FROM batch"
    job.view("latest", view)
    topic.send_all(movement(n) for n in (1, 2, 3))
    job.catch_up()
    job.view("latest", view.replace("1 / (customer % 2)", "customer % 2"))
    asked = job.run("dead-letters", "replay", "--all", expect=2).stderr
    assert "latest: 1 row newer than the messages would be replaced by older rows" in asked, asked
    assert "--skip-newer" in asked and "confirmation" in asked, asked
    done = job.run("dead-letters", "replay", "--stage", "sql", "--skip-newer")
    assert done.stdout == "0 messages replayed, 0 failed again\n" and "1 message left out" in done.stderr, done.stderr
    assert database.value("SELECT customer FROM latest") == 3 and waiting(job) == 1
    job.run("dead-letters", "replay", "--all", "--yes")
    assert database.value("SELECT customer FROM latest") == 2 and waiting(job) == 0
