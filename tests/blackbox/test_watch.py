"""A running job, watched from outside: its metrics are read by Prometheus's own tool and agree with what other clients of
Kafka and MySQL see; probes and the prompt ask it."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter

import pytest
from confluent_kafka import Consumer, TopicPartition

from avro import movement
from counting import assert_each_once, counting_job
from harness import terminate, wait_until
from proxy import CommitCutter
from watched import by_label, free_port, get, series

MESSAGES = 20_000


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


def test_series_count_what_was_done_through_faults(new_job, new_topic, database):
    """Answers to COMMIT are lost, the database stalls, messages are refused at every stage: each thing is counted once."""
    topic, port = new_topic(partitions=3), free_port()
    with CommitCutter(database.server_url) as cutter:
        proxied = type(database)(cutter.url, database.name)
        job = counting_job(new_job, topic, batch_rows_max=300, database=proxied, http=f"127.0.0.1:{port}")
        job.database = database
        job.view("counted", "SELECT customer AS n, 100 / (customer % 500) AS share, kafka_topic, kafka_offset AS o FROM batch")
        job.view("small", "SELECT customer AS n FROM batch")
        job.write_config(outputs={"counted": {}, "small": {}}, dead_letters_max_ratio=1)
        database.execute("CREATE TABLE small (n SMALLINT PRIMARY KEY)")
        process = job.start("--progress", "json")
        wait_until(lambda: get(port, "/readyz")[0] == 200, 30, lambda: get(port, "/readyz"))
        count, large, broken = 12_000, 7, 5
        topic.send_all(movement(n) for n in range(1, count))
        cutter.stall()
        topic.send_all(movement(40_000 + n * 500 + 1) for n in range(large))
        topic.send_all([b"\xff"] * broken)
        time.sleep(3)
        cutter.go_on()
        sent = count - 1 + large + broken
        job.wait_committed(sent, 90, process)
        assert cutter.cuts_after > 2 and cutter.cuts_before > 2
        wait_until(lambda: sum(series(port, "realtime_messages_total").values()) >= sent, 10, "the last batch is counted")
        counted = Counter(dict(database.rows("SELECT stage, COUNT(*) FROM dead_letters GROUP BY stage")))
        assert counted == {"decode": broken, "sql": (count - 1) // 500, "write": large}, counted
        letters = by_label(port, "realtime_dead_letters_total", "stage")
        assert {stage: n for stage, n in letters.items() if n} == counted
        for output in ("counted", "small"):
            rows = database.value(f"SELECT COUNT(*) FROM {output}")
            assert by_label(port, "realtime_rows_total", "output")[output] == rows == sent - counted.total()
        ends = dict(database.rows("SELECT kafka_partition, next_offset FROM realtime_offsets WHERE job = %s", job.name))
        messages = by_label(port, "realtime_messages_total", "partition")
        assert {int(partition): n for partition, n in messages.items()} == ends, "an offset is a message here"
        batches = by_label(port, "realtime_batches_total", "result")
        assert terminate(process) == 0
    reports = (job.folder / "stdout-0.log").read_text().splitlines()
    assert batches["committed"] == len(reports), batches
    assert sum(json.loads(report)["numInputRows"] for report in reports) == sent


class Probes(threading.Thread):
    """Asks for `/livez` five times a second and keeps what was not 200."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.asked, self.others = port, 0, []
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.wait(0.2):
            status, text = get(self.port, "/livez")
            self.asked += 1
            if status != 200:
                self.others.append((status, text))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.join()


@pytest.mark.outage
def test_a_job_that_waits_is_alive(new_job, new_topic, services, full):
    """`/livez` is 200 through an outage of the database, a rebalance and a long reload; messages go on after each."""
    outage, reload = (60, 30) if full else (12, 6)
    topic = new_topic(partitions=4)
    job, port = watched_job(new_job, topic)
    process = job.start()
    wait_until(lambda: get(port, "/readyz")[0] == 200, 30, lambda: get(port, "/readyz"))
    with Probes(port) as probes:
        services("stop", "mysql")
        try:
            begun = time.monotonic()
            wait_until(lambda: get(port, "/readyz")[0] == 503, 5, lambda: get(port, "/readyz"))
            assert "waiting for MySQL since " in get(port, "/readyz")[1]
            topic.send_all(movement(n) for n in range(1_000))
            time.sleep(max(0.0, outage - (time.monotonic() - begun)))
            assert get(port, "/readyz")[0] == 503
        finally:
            services("start", "mysql")
        job.wait_committed(1_000, 60, process)

        job.write("second.yaml", (job.folder / "config.yaml").read_text().replace(str(port), str(free_port())))
        second = job.start(config="second.yaml")
        wait_until(lambda: len(series(port, "realtime_committed_offset")) == 2, 60, lambda: get(port, "/api/status"))
        topic.send_all(movement(n) for n in range(1_000, 2_000))
        job.wait_committed(2_000, 60, process)
        assert terminate(second) == 0
        wait_until(lambda: len(series(port, "realtime_committed_offset")) == 4, 60, lambda: get(port, "/api/status"))

        slow = {"query": f"SELECT 1 AS one, SLEEP({reload}) AS waited", "refresh_interval": "1h"}
        job.write_config(reference_tables={"slow": slow})
        text = (job.folder / "sql" / "counted.sql").read_text()
        job.view("counted", text.rstrip() + " WHERE (SELECT max(one) FROM slow) = 1")
        begun = time.monotonic()
        process.send_signal(signal.SIGHUP)
        topic.send_all(movement(n) for n in range(2_000, 3_000))
        job.wait_committed(3_000, 5 * reload, process)
        taken = lambda: by_label(port, "realtime_reloads_total", "result").get("taken_over")  # noqa: E731
        wait_until(lambda: taken() == 1, 60, process.stderr_text)
        assert time.monotonic() - begun > reload, "the query sleeps"
        topic.send_all(movement(n) for n in range(3_000, 4_000))
        job.wait_committed(4_000, 5 * reload, process)
    assert probes.asked > outage and not probes.others, probes.others
    assert terminate(process) == 0
    assert_each_once(job, 4_000)


def test_a_port_that_is_taken_ends_the_job_before_the_first_message(new_job, new_topic):
    topic = new_topic(partitions=1)
    topic.send_all([movement(0)])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        job = counting_job(new_job, topic, http=f"127.0.0.1:{taken.getsockname()[1]}")
        done = job.run("run", "--until-caught-up", "--progress", "none", expect=1)
    assert "cannot be listened on" in done.stderr, done.stderr
    assert job.database.committed(job.name) == 0
