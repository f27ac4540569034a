"""One run: instances, traffic and faults for a while; then quiet, until all is committed; then the comparison."""

import json
import os
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass

from chaos.faults import Faults
from chaos.fleet import Fleet
from chaos.on_kafka import last_transactions
from chaos.pair import Pair, Server
from chaos.plan import DECK, plan
from chaos.traffic import Movements, Traffic
from chaos.world import World
from framing import Confluent, FailingRegistry, Raw, Registered
from harness import Database, Job, Services, Topic, unique
from ledger import Ledger, TopicReader, audited_job, topic_ends, topic_size
from watched import by_label

PARTITIONS = 4
FAULTS_SECONDS_MAX = 300
# After the last fault: sessions end, the frozen wake, what is left is worked off. An idle job looks once a minute whether
# what is stored is what it carries.
QUIET_SECONDS_MAX = 600
STUCK_SECONDS_MAX = 150
# An instance tells its offsets when it commits or compares, and its lag when it has asked Kafka.
METRICS_SECONDS_MAX = 75
# A batch is small, so that a run has many.
BATCH_ROWS_MAX = 200
MEMORY_MAX_MIB, MEMORY_BESIDES_MIB = 256, 50
TTL = "400d"
# Messages have any time.
ANY_TIME = {"message.timestamp.after.max.ms": str((1 << 63) - 1)}
# What the idle fail-over at the end loses.
LAST_SECONDS = 2.0


@dataclass(frozen=True)
class Options:
    seed: int
    seconds: float
    instances: int = 3
    rate: int = 400
    lanes: int = 1
    # By which partitions a customer's messages come: "customer", "none" or "mixed".
    keys: str = "mixed"
    kinds: tuple = tuple(DECK)
    # Writers get new schemas all the time, from a registry that fails at random.
    has_registry: bool = False


@dataclass(frozen=True)
class Traits:
    """What else follows from the seed."""

    has_names: bool
    framing: str
    ttl: str | None
    follows: bool

    @classmethod
    def of(cls, options):
        rng = random.Random(options.seed)
        has_names = rng.random() < 0.5
        framing = rng.choice(("raw", "confluent"))
        framing = "registry" if options.has_registry else framing
        ttl = rng.choice((None, TTL))
        # State of several lanes follows the partitions, so customers have to.
        follows = options.keys == "customer" and (options.lanes > 1 or rng.random() < 0.5)
        return cls(has_names, framing, ttl, follows)

    def __str__(self):
        names = "with" if self.has_names else "without"
        state = f"that {'follows' if self.follows else 'does not follow'} the partitions, ttl {self.ttl or 'none'}"
        return f"{names} names, {self.framing} framing, state {state}"


@dataclass(frozen=True)
class Servers:
    binary: str
    kafka: str
    mysql_url: str
    mysql_admin_url: str
    # The second MySQL, if there is one.
    mysql2_url: str | None = None
    mysql2_admin_url: str | None = None

    REQUIRED = ("REALTIME_PROCESSOR", "KAFKA_SERVER", "MYSQL_URL", "MYSQL_ADMIN_URL")

    @classmethod
    def of_environment(cls):
        return cls(
            *(os.environ[name] for name in cls.REQUIRED),
            os.environ.get("MYSQL2_URL"),
            os.environ.get("MYSQL2_ADMIN_URL"),
        )

    def mysqls(self):
        """The MySQL servers: the first, and the second if there is one."""
        servers = [Server("mysql", self.mysql_url, self.mysql_admin_url)]
        if self.mysql2_url:
            servers.append(Server("mysql2", self.mysql2_url, self.mysql2_admin_url))
        return servers


class Run:
    def __init__(self, options, servers, folder, write=print):
        if options.lanes > 1 and options.keys != "customer":
            raise ValueError("state of several lanes follows the partitions: keys must be `customer`")
        self.options, self.servers, self.folder, self.write = options, servers, folder, write
        self.traits = Traits.of(options)
        self.registry = FailingRegistry(options.seed) if options.has_registry else None
        self.framing = Registered(self.registry) if self.registry else {"raw": Raw, "confluent": Confluent}[self.traits.framing]()
        self.begun = time.monotonic()
        self.saying = threading.Lock()

    def say(self, text):
        with self.saying:
            self.write(f"{time.monotonic() - self.begun:7.2f} s  {text}", flush=True)

    def __call__(self):
        """Runs, and returns what is wrong, as lines of text; none if everything is as it must be."""
        options, servers, traits = self.options, self.servers, self.traits
        faults = plan(options.seed, options.seconds, options.kinds)
        self.write(
            f"chaos: seed {options.seed}, {options.seconds:g} s, {options.instances} instances of {options.lanes} lanes, "
            f"{options.rate} messages/s, keys: {options.keys}, {len(faults)} faults planned\nchaos: {traits}"
        )
        # An idempotent producer may give up for good when a broker is killed; what counts is what the topic has.
        topic = Topic(servers.kafka, unique("chaos"), PARTITIONS, idempotent=False, **ANY_TIME)
        database = Database(servers.mysql_url, unique("realtime_chaos"))
        for server in servers.mysqls():
            # A run that was killed may have left it as a replica.
            server.stand_alone()
        database.create()
        config = self._config()
        job = audited_job(lambda topic: Job(servers.binary, self.folder, topic, database), topic, **config)
        self.write(f"chaos: topic {topic.name}, database {database.name}, folder {self.folder}", flush=True)
        fleet = Fleet(job, options.instances, traits.has_names, config, self.say)
        pair = self._pair(database, fleet)
        try:
            wrong = self._run(faults, topic, database, job, fleet, pair, TopicReader(servers.kafka, topic.name))
        finally:
            job.end_all()
            self._end_pair(pair)
        if not wrong:
            database.drop()
            topic.delete()
        return wrong

    def _config(self):
        changes = {
            "batch_rows_max": BATCH_ROWS_MAX,
            "dead_letters_max_ratio": 1,
            "memory_max": f"{MEMORY_MAX_MIB}MiB",
            **self.framing.config,
        }
        return {**changes, "lanes": self.options.lanes, "follows": self.traits.follows, "ttl": self.traits.ttl}

    def _pair(self, database, fleet):
        primary, *others = self.servers.mysqls()
        replica = others[0] if others else None
        return Pair(primary, replica, database, fleet.all_proxies, Services())

    def _end_pair(self, pair):
        """The first server has what is left to look at, and nothing follows it."""
        if pair.is_replicated:
            if pair.primary.name != "mysql":
                pair.switch_over(is_cut=True, delay=0)
            pair.part()

    def _run(self, faults, topic, database, job, fleet, pair, reader):
        options, traits = self.options, self.traits

        def movements(seed):
            return Movements(seed, options.keys, self.framing, PARTITIONS)

        traffic = Traffic(topic, options.rate, movements(options.seed))
        world = World(
            fleet,
            topic,
            traffic,
            reader,
            database,
            job.name,
            pair,
            Services(),
            movements,
            has_ttl=traits.ttl is not None,
        )
        if pair.replica and world.is_in_charge and {"switch-over", "fail-over"} & {fault.kind for fault in faults}:
            pair.replicate(delay=1)
        self.begun = time.monotonic()
        fleet.start()
        traffic.start()
        injected = Faults(world, self.say)
        for fault in faults:
            time.sleep(max(0.0, self.begun + fault.at - time.monotonic()))
            injected.inject(fault)
        time.sleep(max(0.0, self.begun + options.seconds - time.monotonic()))
        injected.join(FAULTS_SECONDS_MAX)
        wrong = []
        if pair.is_replicated:
            pair.hold_back()
            time.sleep(LAST_SECONDS)
        traffic.stop()
        if "transactions" in options.kinds:
            self.say(f"transactions: {last_transactions(world)}")
        sent = topic_size(self.servers.kafka, topic.name)
        self.say(f"no more faults; the topic ends at {sent} offsets")
        wrong += self._settle(fleet, sent, database, job)
        if pair.is_replicated and not wrong:
            is_dead = bool(options.seed % 2)
            lost = pair.fail_over(is_dead, is_cut=False, delay=1)
            old = "died" if is_dead else "became read-only"
            self.say(
                f"the idle job's database moved to {pair.primary.name}, which lacks {lost} transactions; the old one {old}"
            )
            wrong += self._settle(fleet, sent, database, job)
        if not wrong:
            wrong += self._metrics(fleet, topic, database, job)
        fleet.stop()
        self._sum_up(injected, fleet, job)
        ends = reader.read()
        ledger = Ledger(reader.messages, ends, self.framing)
        wrong += ledger.compare(database, job.name)
        self.write(
            f"compared: {len(ledger.movements)} movements, {len(ledger.dead)} dead letters, all rows of four tables and "
            f"all state: {'they differ' if wrong else 'equal'}"
        )
        memory_mib = MEMORY_MAX_MIB + MEMORY_BESIDES_MIB
        if fleet.peak_mib > memory_mib:
            wrong.append(f"an instance took {fleet.peak_mib:.0f} MiB of memory, at most {memory_mib} were expected")
        return wrong + fleet.unexpected + injected.broken

    def _settle(self, fleet, sent, database, job):
        """Waits until everything that was sent is committed."""
        begun = moved_at = time.monotonic()
        before = None
        while (committed := database.committed(job.name)) != sent:
            now = time.monotonic()
            if committed != before:
                before, moved_at = committed, now
            if fleet.unexpected or now - moved_at > STUCK_SECONDS_MAX or now - begun > QUIET_SECONDS_MAX:
                tails = [f"{i}: {i.process.stderr_text()[-1500:]}" for i in fleet.living()]
                return [
                    f"offsets up to {committed} of {sent} are stored, {now - begun:.0f} s after the last fault and "
                    f"{now - moved_at:.0f} s after they last changed",
                    *tails,
                ]
            time.sleep(0.1)
        self.say(f"all are committed, {time.monotonic() - begun:.1f} s later")
        return []

    def _metrics(self, fleet, topic, database, job):
        """Waits until lag and committed offsets, as the instances tell them, are those that other clients find."""
        deadline = time.monotonic() + METRICS_SECONDS_MAX
        while True:
            ends = topic_ends(self.servers.kafka, topic.name)
            stored = dict(
                database.rows("SELECT kafka_partition, next_offset FROM realtime_offsets WHERE job = %s", job.name)
            )
            expected = {p: [(float(stored[p]), float(end - stored[p]))] for p, end in ends.items() if p in stored}
            told = {}
            for port in fleet.metrics_ports():
                lags = by_label(port, "realtime_lag_messages", "partition")
                for partition, offset in by_label(port, "realtime_committed_offset", "partition").items():
                    told.setdefault(int(partition), []).append((offset, lags.get(partition)))
            if told == expected:
                self.say(f"lag and offsets of {len(told)} partitions, as told by {fleet.wanted} instances, are right")
                return []
            if time.monotonic() > deadline:
                return [f"metrics tell (offset, lag) {told}, other clients find {expected}"]
            time.sleep(0.5)

    def _sum_up(self, injected, fleet, job):
        done = Counter(fault.kind for fault in injected.done)
        self.write(f"faults injected: {', '.join(f'{kind} {count}' for kind, count in sorted(done.items()))}")
        if injected.not_done:
            not_done = Counter(fault.kind for fault in injected.not_done)
            self.write(f"not done: {', '.join(f'{kind} {count}' for kind, count in sorted(not_done.items()))}")
        batches = conflicts = 0
        for number in range(len(job.processes)):
            for line in (job.folder / f"stdout-{number}.log").read_text(encoding="utf-8").splitlines():
                try:
                    conflicts += json.loads(line)["conflicts"]
                    batches += 1
                except json.JSONDecodeError:
                    # The last line of an instance that was killed.
                    pass
        if self.registry:
            schemas = len({path for path in self.registry.asked if path.startswith("/schemas/ids/")})
            self.write(f"the registry was asked {len(self.registry.asked)} times for {schemas} ids, and failed {self.registry.failed} times")
        proxies = fleet.all_proxies()
        self.write(
            f"{fleet.started} instances started, the largest took {fleet.peak_mib:.0f} MiB; {batches} batches, "
            f"{conflicts} conflicts over state; {sum(p.cuts_before for p in proxies)} COMMITs cut before and "
            f"{sum(p.cuts_after for p in proxies)} after they were passed on"
        )
