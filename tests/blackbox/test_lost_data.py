"""Messages that Kafka no longer has: what is lost is said exactly, and the job stops there or goes on behind it."""

import signal
import time

import pytest
from confluent_kafka import TopicPartition

from avro import movement
from counting import assert_each_once, counting_job, numbers
from harness import terminate


def delete_before(topic, offset, partition=0):
    """What retention does, at once."""
    place = TopicPartition(topic.name, partition, offset)
    for done in topic.admin.delete_records([place]).values():
        done.result(timeout=30)


def test_at_the_start(new_job, new_topic):
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic)
    topic.send_all(movement(n) for n in range(100))
    job.catch_up()
    topic.send_all(movement(n) for n in range(100, 200))
    delete_before(topic, 150)
    for _ in range(2):
        done = job.run("run", "--until-caught-up", expect=1)
        assert f"{topic.name}[0]: Kafka no longer has the 50 offsets 100 to 149" in done.stderr
        assert_each_once(job, 100)
    job.write_config(lost_data="continue")
    done = job.run("run", "--until-caught-up")
    assert f"{topic.name}[0]: Kafka no longer has the 50 offsets 100 to 149" in done.stderr
    assert numbers(job) == [*range(100), *range(150, 200)]
    assert "no longer" not in job.run("run", "--until-caught-up").stderr
    assert numbers(job) == [*range(100), *range(150, 200)]


@pytest.mark.parametrize("lost_data", ["fail", "continue"])
def test_while_it_runs(new_job, new_topic, lost_data):
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic, lost_data=lost_data)
    topic.send_all(movement(n) for n in range(100))
    process = job.start()
    job.wait_committed(100, 30, process)
    process.send_signal(signal.SIGSTOP)
    # The fetch that is on its way is answered with nothing, at the latest after `fetch.wait.max.ms`, 0.5 s; so these are
    # deleted before they are asked for.
    time.sleep(2)
    topic.send_all(movement(n) for n in range(100, 200))
    delete_before(topic, 150)
    process.send_signal(signal.SIGCONT)
    if lost_data == "fail":
        assert process.wait(30) == 1, process.stderr_text()
        assert_each_once(job, 100)
    else:
        job.wait_committed(200, 30, process)
        assert numbers(job) == [*range(100), *range(150, 200)]
        assert terminate(process) == 0
    assert f"{topic.name}[0]: Kafka no longer has the 50 offsets 100 to 149" in process.stderr_text()


def test_a_topic_made_anew(new_job, new_topic):
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic)
    topic.send_all(movement(n) for n in range(100))
    job.catch_up()
    topic.delete()
    time.sleep(1)
    topic.__init__(topic.server, topic.name, 1)
    topic.send_all(movement(n) for n in range(100, 110))
    done = job.run("run", "--until-caught-up", expect=1)
    assert "the stored offset is 100, and the partition ends at 10" in done.stderr
    job.write_config(lost_data="continue")
    job.run("run", "--until-caught-up")
    assert numbers(job) == list(range(110))
