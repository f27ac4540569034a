"""A running job, watched from outside: its metrics are read by Prometheus's own tool and agree with what other clients of
Kafka and MySQL see; probes and the prompt ask it."""

import json
import os
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
from confluent_kafka import Consumer, TopicPartition

from avro import movement
from counting import assert_each_once, counting_job
from harness import terminate, wait_until

MESSAGES = 20_000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(port, path):
    """Status and text of an answer; 0 if nobody listens yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except urllib.error.URLError as error:
        return 0, str(error)


def series(port, name):
    """The values of a metric, by its labels as they are written."""
    _, text = get(port, "/metrics")
    lines = [line for line in text.splitlines() if line.startswith(name + "{")]
    return {line[len(name) : line.rindex(" ")]: float(line.rsplit(" ", 1)[1]) for line in lines}


def watched_job(new_job, topic):
    port = free_port()
    return counting_job(new_job, topic, http=f"127.0.0.1:{port}"), port


def test_metrics_agree_with_other_clients(new_job, new_topic):
    topic = new_topic(partitions=3)
    job, port = watched_job(new_job, topic)
    process = job.start()
    wait_until(lambda: get(port, "/readyz")[0] == 200, 30, lambda: get(port, "/readyz"))
    topic.send_all(movement(n) for n in range(MESSAGES))
    job.wait_committed(MESSAGES, 60, process)
    wait_until(lambda: sum(series(port, "realtime_lag_messages").values()) == 0, 10, "no lag")
    _, text = get(port, "/metrics")
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert checked.returncode == 0 and not checked.stderr, checked.stderr
    assert sum(series(port, "realtime_messages_total").values()) == MESSAGES
    assert sum(series(port, "realtime_rows_total").values()) == job.database.value("SELECT COUNT(*) FROM counted")
    consumer = Consumer({"bootstrap.servers": topic.server, "group.id": "watcher"})
    for partition in range(3):
        _, end = consumer.get_watermark_offsets(TopicPartition(topic.name, partition), timeout=10)
        stored = job.database.value(
            "SELECT next_offset FROM realtime_offsets WHERE job = %s AND kafka_partition = %s", job.name, partition
        )
        labels = f'{{pipeline="{job.name}",topic="{topic.name}",partition="{partition}"}}'
        assert series(port, "realtime_lag_messages")[labels] == end - stored == 0
        assert series(port, "realtime_committed_offset")[labels] == stored
    consumer.close()
    job.run("health")
    answer = job.run(
        "sql", "--job", f"http://127.0.0.1:{port}", "--format", "json", "-c", "SELECT count(*) AS n FROM counted"
    )
    assert json.loads(answer.stdout)["n"] > 0, answer.stdout
    terminate(process)
    assert_each_once(job, MESSAGES)
    job.run("health", expect=1)
    assert job.database.value("SELECT COUNT(*) FROM realtime_instances") == 0


def test_two_instances_see_each_other(new_job, new_topic):
    topic = new_topic(partitions=4)
    job, port = watched_job(new_job, topic)
    processes, ports = [job.start()], [port, free_port()]
    wait_until(lambda: get(port, "/readyz")[0] == 200, 30, lambda: get(port, "/readyz"))
    job.write("second.yaml", (job.folder / "config.yaml").read_text().replace(str(port), str(ports[1])))
    processes.append(job.start(config="second.yaml"))

    def owners(port):
        status, text = get(port, "/api/status")
        return [partition["owner"] for partition in json.loads(text)["partitions"]] if status == 200 else []

    wait_until(lambda: len(set(owners(port))) == 2 and None not in owners(port), 60, lambda: owners(port))
    wait_until(lambda: owners(ports[1]) == owners(port), 60, lambda: owners(ports[1]))
    for process in processes:
        terminate(process)


def test_systemd_hears_how_it_goes(new_job, new_topic, tmp_path):
    topic = new_topic(partitions=1)
    job = counting_job(new_job, topic)
    path = str(tmp_path / "notify")
    heard = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(0.5)
        is_over = threading.Event()

        def listen():
            while not is_over.is_set():
                try:
                    heard.append(manager.recv(4096).decode())
                except TimeoutError:
                    pass

        listener = threading.Thread(target=listen)
        listener.start()
        os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"] = path, "1000000"
        try:
            process = job.start()
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
        wait_until(lambda: any("STATUS=idle" in text for text in heard), 30, lambda: heard)
        wait_until(lambda: sum("WATCHDOG=1" in text for text in heard) > 2, 30, lambda: heard)
        terminate(process)
        is_over.set()
        listener.join()
    said = "\n".join(heard)
    assert said.index("READY=1") < said.index("STOPPING=1"), said


@pytest.mark.outage
def test_an_outage_of_the_database_shows_at_once_and_ends_nothing(new_job, new_topic, services):
    topic = new_topic(partitions=1)
    job, port = watched_job(new_job, topic)
    process = job.start()
    wait_until(lambda: get(port, "/readyz")[0] == 200, 30, lambda: get(port, "/readyz"))
    services("stop", "mysql")
    try:
        wait_until(lambda: get(port, "/readyz")[0] == 503, 5, lambda: get(port, "/readyz"))
        _, text = get(port, "/readyz")
        assert "waiting for MySQL since " in text
        assert json.loads(get(port, "/api/status")[1])["state"] == "waiting"
        assert get(port, "/livez")[0] == 200
    finally:
        services("start", "mysql")
    wait_until(lambda: get(port, "/readyz")[0] == 200, 60, lambda: get(port, "/readyz"))
    assert process.poll() is None
