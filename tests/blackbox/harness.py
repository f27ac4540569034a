"""What the tests share: servers, a topic, a database and a job's folder, each made for one test and gone after it.

The program is only ever seen from outside: a folder with a configuration, messages in, exit codes, streams and rows
out. Nothing here knows how it is built.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import pymysql
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

ROOT = Path(__file__).resolve().parents[2]
# How long one run of the program may take before a test gives up on it.
RUN_SECONDS_MAX = 300


def unique(word):
    """A name no other test, now or before, has used."""
    return f"{word}_{secrets.token_hex(4)}"


def wait_until(condition, seconds, what):
    """Returns the first true answer of `condition`, or fails once the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.005)


class Database:
    """One MySQL database of a test's own."""

    def __init__(self, server_url, name):
        self.server_url = server_url
        self.name = name
        self.connection = None

    @property
    def url(self):
        return urlunsplit(urlsplit(self.server_url)._replace(path="/" + self.name))

    def connect(self, database=True, **options):
        url = urlsplit(self.server_url)
        return pymysql.connect(
            host=url.hostname,
            port=url.port,
            user=unquote(url.username),
            password=unquote(url.password or ""),
            database=self.name if database else None,
            charset="utf8mb4",
            autocommit=True,
            init_command="SET time_zone = '+00:00'",
            **options,
        )

    def lead_to(self, server_url):
        """Goes on with another server. Other threads may be using the old connection, so it is left to them."""
        self.server_url, self.connection = server_url, None

    def create(self):
        with self.connect(database=False) as connection:
            connection.cursor().execute(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4")

    def drop(self):
        self.close()
        with self.connect(database=False) as connection:
            connection.cursor().execute(f"DROP DATABASE IF EXISTS `{self.name}`")

    def close(self):
        if self.connection is not None:
            try:
                self.connection.close()
            except pymysql.Error:
                pass
            self.connection = None

    def rows(self, sql, *parameters):
        """All rows of a query, as tuples."""
        if self.connection is None:
            self.connection = self.connect()
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                return list(cursor.fetchall())
        except (pymysql.OperationalError, pymysql.InterfaceError):
            # The server may have been restarted: the next call connects again.
            self.close()
            raise

    def value(self, sql, *parameters):
        """The one value of a query, or None where it has no row."""
        rows = self.rows(sql, *parameters)
        return rows[0][0] if rows else None

    def try_value(self, sql, *parameters):
        """Like `value`, and None where the table does not exist yet or the server is away."""
        try:
            return self.value(sql, *parameters)
        except pymysql.Error:
            return None

    def execute(self, sql, *parameters):
        self.rows(sql, *parameters)

    def columns(self, table):
        return [row[0] for row in self.rows(f"SHOW COLUMNS FROM `{table}`")]

    def dicts(self, sql, *parameters):
        """All rows of a query, as dicts."""
        if self.connection is None:
            self.connection = self.connect()
        with self.connection.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(sql, parameters or None)
            return list(cursor.fetchall())

    def committed(self, job):
        """Messages the job has stored offsets for: the sum of next_offset over its partitions."""
        total = self.try_value("SELECT SUM(next_offset) FROM realtime_offsets WHERE job = %s", job)
        return int(total or 0)


class Topic:
    """One topic of a test's own, and a producer that knows each message's offset before it is sent.

    Offsets follow from the order of sending because partitions are chosen here and the producer is idempotent.
    """

    def __init__(self, server, name, partitions, idempotent=True, **config):
        self.server = server
        self.name = name
        self.partitions = partitions
        self.next_offsets = [0] * partitions
        self.failed = []
        # Tests take servers away: what librdkafka says about that is not worth reading.
        quiet = {"bootstrap.servers": server, "log_level": 2}
        self.admin = AdminClient(quiet)
        # Tests give messages moments of their own, years ago as well: by default a broker deletes those, at a moment of its own.
        config = {"retention.ms": "-1", **config}
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config)
        self.admin.create_topics([topic])[name].result(timeout=30)
        # A broker that is busy answers before it knows the topic itself.
        wait_until(self.is_there, 60, f"{name} is there")
        self.producer = Producer(
            {
                **quiet,
                "enable.idempotence": idempotent,
                "acks": "all",
                "linger.ms": 5,
                "queue.buffering.max.messages": 1_000_000,
                "message.max.bytes": 10_000_000,
                "delivery.timeout.ms": 300_000,
            }
        )

    def is_there(self):
        found = self.admin.list_topics(self.name, timeout=30).topics.get(self.name)
        return found is not None and found.error is None and len(found.partitions) == self.partitions

    def send(self, payload, partition=None, key=None, headers=None, timestamp=None):
        """Queues one message and returns its (partition, offset). Partitions take turns unless one is named."""
        if partition is None:
            partition = sum(self.next_offsets) % self.partitions
        options = {"key": key, "partition": partition}
        if headers is not None:
            options["headers"] = headers
        if timestamp is not None:
            options["timestamp"] = timestamp
        while True:
            try:
                self.producer.produce(self.name, payload, **options)
                break
            except BufferError:
                self.producer.poll(0.1)
        offset = self.next_offsets[partition]
        self.next_offsets[partition] += 1
        if offset % 1000 == 0:
            self.producer.poll(0)
        return partition, offset

    def grown(self, partitions):
        """The topic has more partitions now: waits until the producer knows them."""

        def is_known():
            return len(self.producer.list_topics(self.name, timeout=30).topics[self.name].partitions) >= partitions

        wait_until(is_known, 30, f"the producer sees {partitions} partitions")
        self.next_offsets += [0] * (partitions - self.partitions)
        self.partitions = partitions

    def flush(self):
        assert self.producer.flush(300) == 0, "not every message was acknowledged"

    def send_all(self, payloads, **options):
        places = [self.send(payload, **options) for payload in payloads]
        self.flush()
        return places

    @property
    def sent(self):
        return sum(self.next_offsets)

    def delete(self):
        self.admin.delete_topics([self.name])[self.name].result(timeout=30)


def yaml_of(config):
    """YAML with one top-level key a line; JSON is YAML, so values are written as JSON."""
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in config.items())


class Job:
    """A folder with a configuration, schemas and views, and the program run on it."""

    def __init__(self, binary, folder, topic, database, **config):
        self.binary = str(binary)
        self.folder = Path(folder)
        self.topic = topic
        self.database = database
        self.processes = []
        self.config = {
            "kafka_server": topic.server,
            "kafka_topic": topic.name,
            "avro_schema": "schema.avsc",
            "job": unique("job"),
            "database": database.url,
            "sql": "sql",
            **config,
        }
        (self.folder / "sql").mkdir(parents=True, exist_ok=True)
        self.write_config()

    @property
    def name(self):
        return self.config["job"]

    def write_config(self, **changes):
        self.config.update(changes)
        self.write("config.yaml", yaml_of({k: v for k, v in self.config.items() if v is not None}))

    def write(self, path, text):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text, ensure_ascii=False), encoding="utf-8")

    def view(self, name, sql):
        self.write(f"sql/{name}.sql", sql)

    def command(self, *arguments):
        return [self.binary, "--config", "config.yaml", *arguments]

    def run(self, *arguments, timeout=RUN_SECONDS_MAX, expect=0, **options):
        """Runs one command to its end and checks its exit code; `expect=None` takes any."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
            **options,
        )
        if expect is not None:
            assert done.returncode == expect, (
                f"{' '.join(arguments)}: exit {done.returncode}, expected {expect}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def catch_up(self, *arguments, **options):
        """`run --until-caught-up`, which must end with exit code 0."""
        return self.run("run", "--until-caught-up", "--progress", "none", *arguments, **options)

    def start_command(self, *arguments):
        """Starts any command and leaves it running, unheard."""
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(self.command(*arguments), cwd=self.folder, **quiet)
        self.processes.append(process)
        return process

    def start(self, *arguments, config="config.yaml", env=None):
        """Starts `run` and leaves it running. Its stderr is `process.stderr_text()`."""
        log = self.folder / f"stderr-{len(self.processes)}.log"
        progress = () if "--progress" in arguments else ("--progress", "none")
        process = subprocess.Popen(
            [self.binary, "--config", config, "run", *progress, *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / f"stdout-{len(self.processes)}.log").open("w"),
            stderr=log.open("w"),
            env=env,
        )
        process.stderr_text = lambda: log.read_text(encoding="utf-8", errors="replace")
        self.processes.append(process)
        return process

    def wait_committed(self, count, seconds, process=None):
        """Waits until offsets for `count` messages are stored, and fails at once if the process ends before."""

        def state():
            text = process.stderr_text()[-3000:] if process else ""
            return f"{self.database.committed(self.name)} of {count} messages committed\n{text}"

        def reached():
            if self.database.committed(self.name) >= count:
                return True
            if process is not None and process.poll() not in (None, 0):
                raise AssertionError(f"the job ended with exit code {process.returncode}: {state()}")
            return False

        wait_until(reached, seconds, state)

    def end_all(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


def terminate(process, seconds=30):
    """SIGTERM, and the exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=seconds)


def local_ports(pid):
    """The local ports of a process's TCP connections over IPv4."""
    try:
        links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return set()
    inodes = {found[1] for link in links if (found := re.fullmatch(r"socket:\[(\d+)\]", link))}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(fields[1].rpartition(":")[2], 16) for fields in lines if fields[9] in inodes}


def ports_in_transaction(connection, database):
    """The client ports of sessions of a database whose transaction waits for a lock at this moment."""
    # InnoDB shows what it showed last where that was read less than 0.1 s ago.
    time.sleep(0.15)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.HOST FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p"
            " ON p.ID = t.trx_mysql_thread_id WHERE t.trx_state = 'LOCK WAIT' AND p.DB = %s",
            (database,),
        )
        return [int(host.rpartition(":")[2]) for (host,) in cursor.fetchall()]


class Services:
    """`scripts/services`, for tests that stop a server and start it again."""

    def __init__(self):
        self.script = str(ROOT / "scripts" / "services")

    def __call__(self, *arguments):
        done = subprocess.run(
            [self.script, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"services {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def exports(self, *arguments):
        """What a command exports, by name."""
        return dict(re.findall(r"^export (\w+)=(.*)$", self(*arguments), re.MULTILINE))

    def serves(self):
        """True where the servers of the environment are those that the script has started."""
        exported = self.exports("env")
        return all(exported.get(name) == os.environ.get(name) for name in ("KAFKA_SERVER", "MYSQL_URL"))


class Resident:
    """Peak resident memory of a process (VmHWM), read until it has ended."""

    def __init__(self, process):
        self.process = process
        self.peak_kib = 0

    def sample(self):
        try:
            text = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return
        found = re.search(r"VmHWM:\s+(\d+) kB", text)
        if found:
            self.peak_kib = max(self.peak_kib, int(found[1]))

    def until_exit(self, seconds):
        """Samples until the process ends; returns its exit code."""
        deadline = time.monotonic() + seconds
        while (code := self.process.poll()) is None:
            self.sample()
            assert time.monotonic() < deadline, f"still running after {seconds} s"
            time.sleep(0.02)
        return code

    @property
    def peak_mib(self):
        return self.peak_kib / 1024


def cpu_seconds(pid):
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
