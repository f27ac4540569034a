"""`offsets`: what is stored is shown, and changed so that an instance that runs goes on there."""

import json
import time

from avro import movement
from counting import assert_each_once, counting_job, numbers
from harness import terminate, wait_until


def shown(job):
    done = job.run("offsets", "show", "--format", "json")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_show(new_job, new_topic):
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic)
    before = job.run("offsets", "show")
    assert before.stdout == "" and "has not run" in before.stderr
    assert not job.database.rows("SHOW TABLES"), "looking creates nothing"
    topic.send_all(movement(n) for n in range(10))
    job.catch_up()
    topic.send_all(movement(n) for n in range(10, 16))
    rows = shown(job)
    assert [row["kafka_partition"] for row in rows] == [0, 1]
    for row in rows:
        assert (row["next_offset"], row["first_offset"], row["end_offset"], row["lag"]) == (5, 0, 8, 3)
        assert row["epoch"] == 1 and row["message_time"] and row["updated_at"]
    assert f"{topic.name}[1]" in job.run("offsets", "show").stdout
    job.write_config(kafka_server="127.0.0.1:1")
    alone = job.run("offsets", "show", "--format", "json", timeout=60)
    assert "127.0.0.1:1" in alone.stderr
    assert [json.loads(line)["lag"] for line in alone.stdout.splitlines()] == [None, None]


def test_reset_says_what_it_will_do_and_asks(new_job, new_topic):
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic)
    topic.send_all(movement(n) for n in range(20))
    job.catch_up()
    asked = job.run("offsets", "reset", "--to", "4", "--partition", "1", expect=2)
    assert f"{topic.name}[1]: 10 -> 4: up to 6 messages would be processed again" in asked.stderr
    assert "counted: existing rows of counted would stay, and the same rows would be appended again" in asked.stderr
    assert "--yes" in asked.stderr
    assert [row["next_offset"] for row in shown(job)] == [10, 10]
    job.run("offsets", "reset", "--to", "4", "--partition", "1", "--yes")
    assert [row["next_offset"] for row in shown(job)] == [10, 4]
    job.catch_up()
    assert len(numbers(job)) == 26 and len(set(numbers(job))) == 20
    outside = job.run("offsets", "reset", "--to", "11", "--yes", expect=1)
    assert "offset 11 is not there, Kafka has 0 to 10" in outside.stderr
    assert "expected `beginning`" in job.run("offsets", "reset", "--to", "soon", expect=2).stderr


def test_reset_to_a_moment(new_job, new_topic):
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic)
    for n in range(10):
        topic.send(movement(n), timestamp=1_700_000_000_000 + 1000 * n)
    topic.flush()
    job.catch_up()
    job.run("offsets", "reset", "--to", "2023-11-14T22:13:27Z", "--yes")
    assert [row["next_offset"] for row in shown(job)] == [7]
    job.run("offsets", "reset", "--to", "2030-01-01", "--yes")
    assert [row["next_offset"] for row in shown(job)] == [10]


def test_every_command_takes_the_same_places(new_job, new_topic):
    """`--from`, `--to` and `\\seek`: the two ends, an offset, a time with and without a zone."""
    topic = new_topic(partitions=2)
    job = counting_job(new_job, topic)
    for n in range(20):
        topic.send(movement(n), partition=0 if n < 15 else 1, timestamp=1_700_000_000_000 + 1000 * n)
    topic.flush()
    job.catch_up()
    ends = [("beginning", [0, 0]), ("earliest", [0, 0]), ("end", [15, 5]), ("latest", [15, 5])]
    places = [*ends, ("2023-11-14T22:13:30Z", [10, 0]), ("2023-11-14 22:13:37", [15, 2])]
    for place, offsets in places:
        job.run("offsets", "reset", "--to", place, "--yes")
        assert [row["next_offset"] for row in shown(job)] == offsets, place
    lowest = "SELECT min(kafka_offset) AS o FROM batch GROUP BY kafka_partition ORDER BY kafka_partition"
    for place, offsets in [*places[4:], ("7", [7]), ("0=12 1=1", [12, 1])]:
        read = [at for at, end in zip(offsets, [15, 5], strict=False) if at < end]
        for asked in (["--from", place, "-c", lowest], ["-c", f"\\seek {place}", "-c", lowest]):
            rows = job.run("sql", "--format", "csv", *asked).stdout.splitlines()
            assert [int(row) for row in rows[1:]] == read, (asked, rows)
    # An offset after the end of a partition is its end, not its beginning.
    for place, count, least in [("2023-11-14T22:13:30Z", 10, [10, 0]), ("7", 8, [7])]:
        printed = job.run("consume", "--from", place, "--count", str(count), timeout=60).stdout.splitlines()
        rows = [json.loads(line) for line in printed]
        found = [min(r["kafka_offset"] for r in rows if r["kafka_partition"] == p) for p in sorted({r["kafka_partition"] for r in rows})]
        assert (len(rows), found) == (count, least), place


def running(new_job, new_topic, partitions):
    """A job that has committed 20 messages and waits for more."""
    topic = new_topic(partitions=partitions)
    job = counting_job(new_job, topic)
    topic.send_all(movement(n) for n in range(20))
    process = job.start()
    job.wait_committed(20, 30, process)
    return topic, job, process


def test_an_idle_instance_notices_a_reset_without_a_message(new_job, new_topic):
    _, job, process = running(new_job, new_topic, 2)
    job.run("offsets", "reset", "--to", "earliest", "--yes")
    again = sorted([*range(20), *range(20)])
    wait_until(lambda: numbers(job) == again, 15, process.stderr_text)
    said = process.stderr_text()
    assert "[0]: the stored offset is 0 in epoch 2, and this instance is at 10 in epoch 1" in said, said
    time.sleep(3)
    assert process.stderr_text().count("continuing from the stored offsets") == 1, "it is said once"
    assert terminate(process) == 0
    assert numbers(job) == again


def test_what_a_failover_of_the_database_lost_is_read_again(new_job, new_topic):
    """The new primary lacks the last transactions: rows and offsets are those of a moment before."""
    _, job, process = running(new_job, new_topic, 1)
    job.database.execute("DELETE FROM counted WHERE n >= 12")
    job.database.execute("UPDATE realtime_offsets SET next_offset = 12, message_time = NULL")
    wait_until(lambda: numbers(job) == [*range(20)], 15, process.stderr_text)
    assert "the stored offset is 12 in epoch 1, and this instance is at 20 in epoch 1" in process.stderr_text()
    assert terminate(process) == 0
    assert_each_once(job, 20)


def test_a_running_instance_goes_on_where_it_was_reset_to(new_job, new_topic):
    topic, job, process = running(new_job, new_topic, 2)
    job.run("offsets", "reset", "--to", "earliest", "--yes")
    topic.send_all(movement(n) for n in range(20, 40))
    job.wait_committed(40, 30, process)
    time.sleep(0.5)
    assert terminate(process) == 0
    assert numbers(job) == sorted([*range(20), *range(40)])
