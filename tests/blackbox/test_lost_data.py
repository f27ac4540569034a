"""Messages that Kafka no longer has: what is lost is said exactly, and the job stops there or goes on behind it."""

import signal
import time

import pytest
from confluent_kafka import TopicPartition

from avro import movement
from counting import assert_each_once, counting_job, numbers
from harness import terminate, wait_until


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


@pytest.mark.parametrize("lost_data", ["fail", "continue"])
def test_a_topic_made_anew_and_filled_beyond_the_old_offset_meanwhile(new_job, new_topic, lost_data):
    """The offset that comes next is there, and holds another topic's message."""
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic, lost_data=lost_data)
    topic.send_all(movement(n) for n in range(50))
    process = job.start()
    job.wait_committed(50, 30, process)
    process.send_signal(signal.SIGSTOP)
    topic.delete()
    wait_until(lambda: topic.name not in topic.admin.list_topics(timeout=10).topics, 10, "it is deleted")
    topic.__init__(topic.server, topic.name, 1)
    topic.send_all(movement(n) for n in range(50, 150))
    process.send_signal(signal.SIGCONT)
    if lost_data == "fail":
        assert process.wait(60) == 1, process.stderr_text()
        assert_each_once(job, 50)
        assert "it was deleted and created again" in process.stderr_text()
    else:
        wait_until(lambda: len(numbers(job)) >= 150, 60, process.stderr_text)
        assert terminate(process) == 0
        # The offsets of the new topic are those of the old one again.
        assert numbers(job) == [*range(150)]


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
