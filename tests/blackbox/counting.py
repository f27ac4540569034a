"""The job of the tests about exactly-once: one row a message, each message with a number of its own."""

from avro import COUNTING_VIEW, MOVEMENT


def counting_job(new_job, topic, **config):
    job = new_job(topic, outputs={"counted": {"table": "counted", "mode": "append"}}, **config)
    job.write("schema.avsc", MOVEMENT)
    job.view("counted", COUNTING_VIEW)
    return job


def numbers(job):
    """The numbers of the messages in the table, sorted."""
    return [n for (n,) in job.database.rows("SELECT n FROM counted ORDER BY n")]


def assert_each_once(job, count):
    """The messages 0..count are in the table, each once, and none became a dead letter."""
    found = job.database.rows(
        "SELECT COUNT(*), COUNT(DISTINCT n), MIN(n), MAX(n), COUNT(DISTINCT kafka_topic, p, o) FROM counted"
    )
    assert found == [(count, count, 0, count - 1, count)]
    assert job.database.value("SELECT COUNT(*) FROM dead_letters") == 0
