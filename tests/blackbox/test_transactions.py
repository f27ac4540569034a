"""Offsets that hold no message: markers of transactions and aborted messages. Positions move over them, so what retention
deletes of them is not lost, and nobody sees a lag that nothing can close."""

import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from avro import movement
from counting import assert_each_once, counting_job
from harness import terminate, unique, wait_until
from test_lost_data import delete_before

# Positions move within this time after the last message.
MOVED_SECONDS_MAX = 20


def send(topic, payloads, commit=True):
    """One transaction; its marker takes an offset, too."""
    producer = Producer({"bootstrap.servers": topic.server, "transactional.id": unique("tx"), "log_level": 2})
    producer.init_transactions(30)
    producer.begin_transaction()
    for payload in payloads:
        producer.produce(topic.name, payload, partition=0)
    producer.flush(30)
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def stored(job):
    return job.database.try_value("SELECT next_offset FROM realtime_offsets WHERE job = %s", job.name)


def of_the_group(topic, job):
    consumer = Consumer({"bootstrap.servers": topic.server, "group.id": job.name, "log_level": 2})
    try:
        return consumer.committed([TopicPartition(topic.name, 0)], timeout=30)[0].offset
    finally:
        consumer.close()


def send_with_an_aborted_end(topic):
    """Ten messages at 0 to 9 and their marker, five aborted ones at 11 to 15 and theirs: the partition ends at 17."""
    send(topic, [movement(n) for n in range(10)])
    send(topic, [movement(n) for n in range(100, 105)], commit=False)


def test_an_idle_job_moves_over_what_holds_no_message(new_job, new_topic):
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic)
    process = job.start()
    send_with_an_aborted_end(topic)
    wait_until(lambda: stored(job) == 17, MOVED_SECONDS_MAX, lambda: f"{stored(job)}\n{process.stderr_text()}")
    wait_until(lambda: of_the_group(topic, job) == 17, 10, lambda: of_the_group(topic, job))
    # It goes on with what comes, and the next commit moves over the marker before it.
    send(topic, [movement(n) for n in range(10, 20)])
    wait_until(lambda: stored(job) >= 27, 30, process.stderr_text)
    wait_until(lambda: stored(job) == 28, MOVED_SECONDS_MAX, process.stderr_text)
    assert terminate(process) == 0
    assert_each_once(job, 20)


@pytest.mark.parametrize("runs_on", [False, True], ids=["until caught up", "runs on"])
def test_what_retention_takes_of_it_is_not_lost(new_job, new_topic, runs_on):
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic)
    send_with_an_aborted_end(topic)
    if runs_on:
        process = job.start()
        wait_until(lambda: stored(job) == 17, MOVED_SECONDS_MAX, process.stderr_text)
        assert terminate(process) == 0
    else:
        job.catch_up()
        assert stored(job) == 17, "a job that ends has read up to the end"
    assert_each_once(job, 10)
    delete_before(topic, 17)
    done = job.catch_up()
    assert "no longer has" not in done.stderr
    send(topic, [movement(n) for n in range(10, 15)])
    job.catch_up()
    assert_each_once(job, 15)


def test_an_open_transaction_is_waited_for(new_job, new_topic):
    """Nothing moves over messages of which nobody knows yet whether they are aborted."""
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic)
    process = job.start()
    send(topic, [movement(n) for n in range(10)])
    wait_until(lambda: stored(job) == 11, MOVED_SECONDS_MAX, process.stderr_text)
    producer = Producer({"bootstrap.servers": topic.server, "transactional.id": unique("tx"), "log_level": 2})
    producer.init_transactions(30)
    producer.begin_transaction()
    for n in range(10, 15):
        producer.produce(topic.name, movement(n), partition=0)
    producer.flush(30)
    send(topic, [movement(n) for n in range(15, 20)])
    time.sleep(10)
    assert stored(job) == 11
    producer.commit_transaction(30)
    # Five messages each, and a marker each.
    wait_until(lambda: stored(job) == 23, MOVED_SECONDS_MAX, process.stderr_text)
    assert terminate(process) == 0
    assert_each_once(job, 20)
